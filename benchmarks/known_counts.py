"""Whether a dataset is whole: examples of each set and class against the known counts."""

from dataclasses import dataclass
from pathlib import Path

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.registry import definition_of


@dataclass(frozen=True)
class Count:
    """Examples in one of the dataset's sets: of one class, or all of them if class_name is None.

    `expected` is the known count, `actual` that of the dataset as it lies on disk.
    """

    set: str
    class_name: str | None
    actual: int
    expected: int


def counts(benchmark: Benchmark) -> list[Count]:
    """The counts of each set and its classes; empty where the dataset's definition states none."""
    return [
        Count(of_set.set, name, _actual(benchmark, of_set.set, name), expected)
        for of_set in definition_of(benchmark.name).known_counts
        # The test set of VOC 2012 comes in an archive of its own, and is not needed.
        if of_set.set in benchmark.sets or of_set.set != "test"
        for name, expected in ((None, of_set.total), *of_set.of_classes(benchmark.classes).items())
    ]


def missing_pictures(benchmark: Benchmark) -> list[str]:
    """The examples that the dataset names and whose files are not there."""
    files = benchmark.files.items()
    return [i for i, file in files if isinstance(file, Path) and not file.exists()]


def _actual(benchmark: Benchmark, set_name: str, class_name: str | None) -> int:
    rows = benchmark.sets.get(set_name, [])
    if class_name is None:
        return len(rows)
    if class_name not in benchmark.classes:
        return 0
    return int((benchmark.labels[rows, benchmark.classes.index(class_name)] > 0).sum())
