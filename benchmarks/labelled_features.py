"""Labels of features that were made elsewhere -> the benchmark that they make, and it in words."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.own_pictures import name_for
from vggfeat.benchmarks.datasets.registry import TAKEN
from vggfeat.benchmarks.protocols.labelled_examples import labelled_benchmark
from vggfeat.errors import DatasetError, OptionError
from vggfeat.features.precomputed.sources import FeatureSource
from vggfeat.layouts.label_table import LabelTable
from vggfeat.layouts.options import DataOptions
from vggfeat.layouts.own_pictures import PART_NAMES, PARTS
from vggfeat.plurals import counted

log = logging.getLogger(__name__)


def labels_in(source: FeatureSource, path: Path, data: DataOptions) -> tuple[Benchmark, LabelTable]:
    """The benchmark that labels beside the features make. Raises DatasetError without any."""
    if source.labels is None:
        raise DatasetError(
            f"{path}: holds no labels. Name a CSV file of labels with --labels, with the columns"
            " path (or id) and label."
        )
    ids = [str(row) for row in range(source.num_rows)] if source.ids is None else source.ids
    try:
        table = LabelTable(ids=ids, labels=[(label,) if label else () for label in source.labels])
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    return benchmark_of(path, table, data), table


def benchmark_of(path: Path, table: LabelTable, data: DataOptions) -> Benchmark:
    """The benchmark that a table of labels makes, named after a file. Raises DatasetError."""
    try:
        benchmark = labelled_benchmark(name_for(path.stem, TAKEN), path.stem, table, data)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    for note in benchmark.notes:
        log.warning("%s: %s", benchmark.name, note)
    return benchmark


def counts_in_words(benchmark: Benchmark) -> tuple[str, str]:
    """How many examples a benchmark has, and how they are split, in words."""
    split, count = benchmark.splits[0], len(benchmark.splits)
    drawn = "the split as given"
    if benchmark.protocol["split"] != "as given":
        drawn = f"{count} random splits" if count > 1 else "a random split"
    examples = (
        f"{counted(len(benchmark.ids), 'example')} of {counted(len(benchmark.classes), 'class')}"
    )
    return (
        f"{benchmark.name}: {examples}, {benchmark.task.kind}",
        f"{drawn}: {len(split.train):,} train, {len(split.validation):,} validate,"
        f" {len(split.test):,} test",
    )


def names_of(label: Any) -> tuple[str, ...]:
    """The classes that a label names: one, or several in a list. Raises OptionError."""
    if isinstance(label, str | int | np.str_ | np.integer):
        return (str(label),)
    if isinstance(label, list | tuple | set | frozenset):
        return tuple(dict.fromkeys(str(name) for name in label))
    raise OptionError(
        f"labels must be texts or whole numbers, or lists of them for several; got {label!r}."
    )


def part_of(part: str) -> str:
    """The part of a split, whichever of its names is given. Raises OptionError."""
    if not isinstance(part, str) or part.lower() not in PART_NAMES:
        raise OptionError(f"split must be one of {', '.join(PARTS)}; got {part!r}.")
    return PART_NAMES[part.lower()]
