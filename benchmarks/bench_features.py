"""What `vggfeat bench FILE --labels FILE` does, and the same from Python: features, any probe."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks import runner
from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.own_pictures import name_for
from vggfeat.benchmarks.datasets.registry import TAKEN
from vggfeat.benchmarks.labelled_features import (
    benchmark_of,
    counts_in_words,
    labels_in,
    names_of,
    part_of,
)
from vggfeat.benchmarks.options import Settings
from vggfeat.benchmarks.precomputed import (
    PrecomputedMeasurement,
    method_name,
    read_features,
)
from vggfeat.benchmarks.probing import path_of_probe
from vggfeat.benchmarks.protocols.labelled_examples import labelled_benchmark
from vggfeat.benchmarks.runner import Failure, failure
from vggfeat.benchmarks.shots import few_shots
from vggfeat.errors import DatasetError, OptionError, reason_of
from vggfeat.features.options import VectorOptions
from vggfeat.features.precomputed.files import PICKLED, PICKLES, array_source, open_features
from vggfeat.features.precomputed.sources import FeatureSource
from vggfeat.features.requests import FeatureSets
from vggfeat.features.shards.folder import is_shard_folder
from vggfeat.layouts.label_table import LabelTable, read_label_table
from vggfeat.layouts.options import DataOptions
from vggfeat.memory import as_bytes
from vggfeat.plurals import counted
from vggfeat.probes.registry import DEFAULT_PROBE, load_probe
from vggfeat.probes.streaming.choice import Choice
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress, no_progress
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.storage.folders import folders

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FeaturesJob:
    """What the user asked for. `labels` is None where the files hold labels themselves."""

    files: Sequence[Path]
    labels: Path | None = None
    data: DataOptions = field(default_factory=DataOptions)
    settings: Mapping[str, Any] = field(default_factory=dict)  # for Benchmark.settings
    scales: Sequence[int] | None = None  # of feature files of vggfeat, all by default
    vectors: VectorOptions | None = None  # the same
    probes: Sequence[str] = (DEFAULT_PROBE,)
    shots: Sequence[int | None] = (None,)  # training examples a class; None: all
    memory: int | None = None  # bytes that the process may take; None: what is free
    scratch: Path | None = None  # folder for vectors that do not fit; below the cache by default
    workers: Workers = ALONE  # who share the classes of probes whose vectors stream from disk
    command: str = ""

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is read."""
        for path in self.files:
            if path.suffix.lower() in PICKLES:
                raise DatasetError(f"{path}: {PICKLED}")
            if not (path.is_file() or is_shard_folder(path)):
                raise DatasetError(f"{path}: no such file of features.")
        names = [method_name(path.name) for path in self.files]
        if twice := [name for name in names if names.count(name) > 1]:
            raise OptionError(
                f"two files of features are named {twice[0]}: records and tables know them by"
                " their names. Rename one."
            )
        for probe in self.probes:
            load_probe(probe)
        for shots in self.shots:
            replace(self.data, shots=shots)


def bench_files(job: FeaturesJob, out: Path, progress: Progress) -> Iterator[Record | Failure]:
    """Measure every file by every probe, yielding each record once it is on disk.

    One file is in memory at a time. A file that fails is yielded as a Failure and does not stop the
    others. Raises VggfeatError at what is mistyped, and at labels that cannot be used.
    """
    job.check()
    labelled, described = _labelled(job), set()
    for path in job.files:
        yield from _outcomes(job, path, labelled, out, progress, described)


def plan(job: FeaturesJob, out: Path) -> Iterator[str]:
    """What `bench_files` would do, a line for each benchmark, file and probe. Raises as it does."""
    job.check()
    labelled, described = _labelled(job), set()
    is_there: list[bool] = []
    for path in job.files:
        yield from _lines(job, path, labelled, out, described, is_there)
    noun = "measurement" if len(is_there) == 1 else "measurements"
    yield f"In all: {len(is_there)} {noun}, {sum(is_there)} made already."


def _outcomes(
    job: FeaturesJob,
    path: Path,
    labelled: tuple[Benchmark, LabelTable] | None,
    out: Path,
    progress: Progress,
    described: set[str],
) -> Iterator[Record | Failure]:
    """What comes of one file; its features are forgotten when the next one is read."""
    try:
        measured = measurements(job, path, labelled, out, progress)
        benchmark = measured[0].benchmark.whole
        if benchmark.name not in described:
            described.add(benchmark.name)
            log.info("%s; %s", *counts_in_words(benchmark))
        records.prepare(out, benchmark.name)
    except Exception as error:
        yield failure(path.name, error)
        return
    yield from runner.run(measured, FeatureSets(Path(), progress), progress)


def _lines(
    job: FeaturesJob,
    path: Path,
    labelled: tuple[Benchmark, LabelTable] | None,
    out: Path,
    described: set[str],
    is_there: list[bool],
) -> Iterator[str]:
    """The lines of a plan on one file; is_there gets whether each of its records is."""
    measured = measurements(job, path, labelled, out, no_progress)
    benchmark, source = measured[0].benchmark.whole, measured[0].features.source
    if benchmark.name not in described:
        described.add(benchmark.name)
        examples, drawn = counts_in_words(benchmark)
        yield examples
        yield f"  {drawn}"
    vectors, dimensions = counted(source.num_rows, "vector"), f"{source.facts['dim']:,} dimensions"
    yield f"  {source.name}: {vectors}, {dimensions}"
    for measurement in measured:
        is_there.append(measurement.path.is_file())
        shots = measurement.benchmark.protocol.get("shots")
        of_few = f" (shots {shots})" if shots else ""
        what = "made already" if is_there[-1] else "to be fitted"
        yield f"    {measurement.probe.title}{of_few}: {what}"


def planned(job: FeaturesJob, name: str, out: Path) -> list[PrecomputedMeasurement]:
    """The measurements on the job's file of this name. Raises what `bench_files` raises."""
    job.check()
    labelled = _labelled(job)
    paths = [path for path in job.files if method_name(path.name) == name]
    return [m for path in paths for m in measurements(job, path, labelled, out, no_progress)]


def measurements(
    job: FeaturesJob,
    path: Path,
    labelled: tuple[Benchmark, LabelTable] | None,
    out: Path,
    progress: Progress,
) -> list[PrecomputedMeasurement]:
    """The measurements on a file, whose features are read. Raises what reading them raises."""
    source = open_features(path, job.scales, job.vectors)
    base, table = labelled or labels_in(source, path, job.data)
    settings = base.settings(**job.settings)
    by_probe = {probe: settings.changed({"probe": probe}) for probe in job.probes}
    features = read_features(
        source,
        base,
        table.ids,
        choose=_chooser(source, base, by_probe.values(), job.memory),
        folder=job.scratch or folders().scratch,
        shared=job.workers.size > 1,
        progress=progress,
    )
    benchmarks = [few_shots(base, replace(job.data, shots=shots)) for shots in job.shots]
    return [
        PrecomputedMeasurement(
            benchmark=benchmark,
            features=features,
            settings=of_probe,
            out=out,
            command=job.command,
            memory=job.memory,
            workers=job.workers,
        )
        for of_probe in by_probe.values()
        for benchmark in benchmarks
    ]


def _chooser(
    source: FeatureSource, benchmark: Benchmark, settings: Iterable[Settings], memory: int | None
) -> Callable[[int], Choice]:
    """Whether so many vectors are read into memory, or written to disk as one probe needs it."""

    def choose(num_rows: int) -> Choice:
        shape = num_rows, source.vector_dim
        choices = [
            path_of_probe(benchmark, each.fitted_probe, shape, source.read_values, memory)
            for each in settings
        ]
        return next((choice for choice in choices if choice.streams), choices[0])

    return choose


def bench_features(
    features: np.ndarray,
    labels: Sequence[str | int | Sequence[str]],
    *,
    ids: Sequence[str] | None = None,
    split: Sequence[str] | None = None,
    name: str = "features",
    num_splits: int = 3,
    seed: int = 0,
    memory: int | str | None = None,
    **options: Any,
) -> Record:
    """The record of a probe on features [N, D]; it is not written.

    labels [N] are one class each, or several in a list for multi-label. split [N] says "train",
    "val" or "test" of each row; without it num_splits random stratified splits are drawn, by the
    ids [N], or the rows' numbers. memory is what the process may take, features and all, in bytes
    or as "8G": probes that need more stream vectors from a scratch file. options are those of a
    probe: probe, solver, device. Raises DatasetError and OptionError.
    """
    budget = as_bytes(memory)
    try:
        array = np.asarray(features)
    except (TypeError, RuntimeError, ValueError) as error:  # as of tensors on a GPU, or in bfloat16
        raise OptionError(
            f"{name}: is no array of NumPy ({reason_of(error)}). Of a tensor pass"
            " features.detach().float().cpu().numpy()."
        ) from error
    source = array_source(name, array)
    rows = [str(number) for number in range(source.num_rows)]
    for what, values in (("labels", labels), ("ids", ids), ("parts of a split", split)):
        if values is not None and len(values) != len(rows):
            raise DatasetError(f"{name}: has {len(rows):,} vectors, and {len(values):,} {what}.")
    table = LabelTable(
        ids=rows if ids is None else [str(i) for i in ids],
        labels=[names_of(label) for label in labels],
        parts=None if split is None else [part_of(part) for part in split],
    )
    data = DataOptions(num_splits=num_splits, seed=seed)
    benchmark = labelled_benchmark(name_for(name, TAKEN), name, table, data)
    settings = benchmark.settings(**options)
    measurement = PrecomputedMeasurement(
        benchmark=benchmark,
        features=read_features(
            source,
            benchmark,
            table.ids,
            choose=_chooser(source, benchmark, [settings], budget),
            folder=folders().scratch,
        ),
        settings=settings,
        memory=budget,
    )
    record, _ = measurement.measure(FeatureSets(Path()), no_progress)
    return record


def _labelled(job: FeaturesJob) -> tuple[Benchmark, LabelTable] | None:
    """The benchmark that the file of labels makes, and its rows; None if there is no such file."""
    if job.labels is None:
        return None
    table = read_label_table(job.labels)
    return benchmark_of(job.labels, table, job.data), table
