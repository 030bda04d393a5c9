"""Benchmarks held against the pictures and labels that torchvision's own loaders hand out."""

from typing import Any

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
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
