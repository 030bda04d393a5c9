"""Benchmarks held against the pictures and labels that torchvision's own loaders hand out."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from helpers.pictures import NARROW
from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets import registry
from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.images import decode, picture_bytes, picture_content


def assert_same_as_loader(benchmark: Benchmark, set_name: str, dataset: Any) -> None:
    """A set of the benchmark has the loader's pictures with the loader's labels, in its order.

    And the sizes of the files are those of what is read.
    """
    rows = benchmark.sets[set_name]
    assert len(rows) == len(dataset) > 0
    for row, (image, label) in zip(rows, dataset, strict=True):
        picture_id = benchmark.ids[row]
        assert benchmark.labels[row].tolist().index(1) == label, picture_id
        assert (benchmark.labels[row] > 0).sum() == 1
        picture = benchmark.pictures[picture_id]
        assert picture_bytes(picture) == len(picture_content(picture)), picture_id
        ours = np.asarray(decode(picture))
        assert (ours == np.asarray(image.convert("RGB"))).all(), picture_id


def state_counts(
    monkeypatch: pytest.MonkeyPatch, name: str, per_class: Mapping[str, tuple[int, int]]
) -> None:
    """Have the counts of a small tree in place of a dataset's known ones.

    per_class is set -> classes and pictures of each.
    """
    stated = tuple(
        KnownCounts(set=key, total=classes * count, per_class=count, source="the test")
        for key, (classes, count) in per_class.items()
    )
    changed = (
        replace(definition, known_counts=stated) if definition.name == name else definition
        for definition in registry.DATASETS
    )
    monkeypatch.setattr(registry, "DATASETS", tuple(changed))


def fetched_by(torchvision_class: Any, root: Path, *arguments: dict) -> dict[str, str | None]:
    """Address -> MD5 of all that a class of torchvision would fetch, which is not fetched."""
    module = sys.modules[torchvision_class.__module__]
    addresses: dict[str, str | None] = {}

    def note(url: str, *args: Any, md5: str | None = None, **kwargs: Any) -> None:
        addresses[url] = md5

    name = "download_and_extract_archive"
    with mock.patch.object(module, name, note):
        for given in arguments:
            with pytest.raises(RuntimeError, match="Dataset not found"):
                torchvision_class(root, download=True, **given)
    return addresses


def stated_by(definition: DatasetDefinition) -> dict[str, str]:
    """Address -> digest of all that our source of a dataset would fetch."""
    return {s.url: s.digest for mirrors in definition.source.files for s in mirrors}


def records_of_bench(
    run: Callable, names: Sequence[str], data: Path, folder: Path, *options: Any
) -> list[dict]:
    """The records of `bench --limit 4` on these benchmarks with a net that runs in milliseconds."""
    result = run(
        "bench", *names, "--limit", 4, "--net", NARROW, "--offline", "--data-dir", data,
        "--cache-dir", folder / "cache", "--out", folder / "out", "--format", "json", *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)
