"""Whether a dataset is whole: examples of each set and class against the known counts."""

import csv
from dataclasses import dataclass
from pathlib import Path

from vggfeat.benchmarks.benchmark import Benchmark

# An empty class stands for the whole set. For actions people are counted, else pictures.
KNOWN_COUNTS = Path(__file__).with_name("known_counts.csv")


@dataclass(frozen=True)
class Count:
    """Examples of a class (all of them if it is empty) in one of the dataset's sets."""

    set: str
    name: str
    found: int
    known: int


def counts(benchmark: Benchmark) -> list[Count]:
    """What there is beside what is known; empty if nothing is known of the benchmark."""
    with KNOWN_COUNTS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if _is_of(row["benchmark"], benchmark)]
    return [
        Count(row["set"], row["class"], _found(benchmark, row), int(row["count"]))
        for row in rows
        # The test set of VOC 2012 comes in an archive of its own, and is not needed.
        if row["set"] in benchmark.sets or row["set"] != "test"
    ]


def _is_of(name: str, benchmark: Benchmark) -> bool:
    return benchmark.name == name or benchmark.name == f"{name}_box"


def _found(benchmark: Benchmark, row: dict[str, str]) -> int:
    rows = benchmark.sets.get(row["set"], [])
    if not row["class"]:
        return len(rows)
    if row["class"] not in benchmark.classes:
        return 0
    return int((benchmark.labels[rows, benchmark.classes.index(row["class"])] > 0).sum())
