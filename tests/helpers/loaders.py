"""Benchmarks held against the pictures and labels that torchvision's own loaders hand out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets import registry
from vggfeat.benchmarks.datasets.definition import KnownCounts
from vggfeat.images import decode


def assert_same_as_loader(benchmark: Benchmark, set_name: str, dataset: Any) -> None:
    """A set of the benchmark has the loader's pictures with the loader's labels, in its order."""
    rows = benchmark.sets[set_name]
    assert len(rows) == len(dataset) > 0
    for row, (image, label) in zip(rows, dataset, strict=True):
        picture_id = benchmark.ids[row]
        assert benchmark.labels[row].tolist().index(1) == label, picture_id
        assert (benchmark.labels[row] > 0).sum() == 1
        ours = np.asarray(decode(benchmark.pictures[picture_id]))
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
