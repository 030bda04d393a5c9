"""What `vggfeat bench` and `vggfeat extract` do: every benchmark with every net, one by one."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from vggfeat.backbones.load import check_net, load_network
from vggfeat.backbones.network import Network, sharing_forward
from vggfeat.backbones.spec import split_fusion
from vggfeat.benchmarks import sweep
from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.registry import entry_of, load_benchmark
from vggfeat.benchmarks.known_counts import counts
from vggfeat.benchmarks.options import DataOptions, Settings
from vggfeat.errors import VggfeatError, in_one_line
from vggfeat.features.extract import Extracted, check_scales, extract
from vggfeat.features.options import Extraction
from vggfeat.features.pipeline import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.storage.files import new_file
from vggfeat.storage.folders import Folders

log = logging.getLogger(__name__)

NUM_NOTES_TOLD = 3
OF_EXTRACTION = {field.name for field in fields(Extraction)}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for. Settings not given are the benchmark's published ones."""

    benchmarks: Sequence[str]
    nets: Sequence[str]  # specifications, `+` fuses
    folders: Folders
    data: DataOptions = field(default_factory=DataOptions)
    offline: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)  # for Benchmark.settings
    sweep: Sequence[str] = ()  # axes, see sweep.AXES
    command: str = ""

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is fetched."""
        for name in self.benchmarks:
            entry_of(name)
        for specification in self.nets:
            check_net(specification)
        sweep.check_axes(self.sweep)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One record that is to be made, or is there."""

    benchmark: Benchmark
    networks: Sequence[Network]
    settings: Settings
    out: Path
    shared_with: Sequence[Network] = ()  # all networks of the job: some may share a pass

    @property
    def nets(self) -> str:
        return "+".join(network.label for network in self.networks)

    @cached_property
    def path(self) -> Path:
        """Where its record lies or will lie."""
        return self._path_of(self.benchmark.key(self.networks, self.settings))

    @cached_property
    def archive_path(self) -> Path:
        """Where the archive for the evaluation server lies or will lie."""
        key = self.benchmark.submission_key(self.networks, self.settings)
        return self._path_of(key).with_suffix(".server.tar.gz")

    def _path_of(self, key: str) -> Path:
        net = "+".join(network.name for network in self.networks)
        return records.path_of(self.out, self.benchmark.name, net, key)


@dataclass(frozen=True)
class Failure:
    """A benchmark or a measurement that could not be made, and why in one line."""

    what: str
    reason: str


def bench(job: Job, out: Path, progress: Progress) -> Iterator[Record | Failure]:
    """Measure every net on every benchmark, yielding each record once it is on disk.

    A measurement whose record is in `out` already is not repeated. One that fails is yielded as a
    Failure and does not stop the others. Raises VggfeatError where nothing can be measured: at
    mistyped names, at weights that are missing, at an `out` that cannot be written.
    """
    job.check()
    names = list(dict.fromkeys(job.benchmarks))
    for name in names:
        records.prepare(out, name)
    fusions = load_networks(job)
    for name in names:
        for network in (network for networks in fusions for network in networks):
            check_scales(network, extraction_of(job, name))
    # What is here is looked at first, so that a damaged dataset is known before hours of work; what
    # has to be fetched is fetched when its turn comes, so that the work need not wait for it.
    away = [name for name in names if entry_of(name).dataset.missing(job.folders)]
    here = {name: _loaded(job, name, fusions, out, progress) for name in names if name not in away}
    _tell_plan([item for items in here.values() for item in items], away)
    for items in here.values():
        for item in items:
            yield from _outcomes(item, job, progress)
    unfetched: dict[str, str] = {}  # dataset -> the benchmark that could not have it
    for name in away:
        dataset = entry_of(name).dataset
        if dataset.name in unfetched and dataset.missing(job.folders):
            yield Failure(name, f"its dataset could not be fetched, see {unfetched[dataset.name]}.")
            continue
        for item in _loaded(job, name, fusions, out, progress):
            if isinstance(item, Failure):
                unfetched[dataset.name] = name
            yield from _outcomes(item, job, progress)


def measurements(
    job: Job, name: str, fusions: Sequence[Sequence[Network]], out: Path, progress: Progress
) -> list[Measurement]:
    """Every measurement on one benchmark. Raises what loading it raises."""
    benchmark = load_benchmark(
        name, options=job.data, places=job.folders, offline=job.offline, progress=progress
    )
    _tell_notes(benchmark)
    chosen = benchmark.settings(**job.settings)
    everyone = [network for networks in fusions for network in networks]
    return [
        Measurement(
            benchmark=benchmark, networks=networks, settings=settings, out=out, shared_with=everyone
        )
        for networks in fusions
        for settings in sweep.settings_of(chosen, job.sweep)
    ]


def extract_all(job: Job, progress: Progress) -> Iterator[tuple[str, str, Extracted]]:
    """The descriptors of every picture of each benchmark, used in a split or not."""
    job.check()
    networks = [network for fused in load_networks(job) for network in fused]
    for name in dict.fromkeys(job.benchmarks):
        benchmark = load_benchmark(
            name, options=job.data, places=job.folders, offline=job.offline, progress=progress
        )
        _tell_notes(benchmark)
        settings = benchmark.settings(**job.settings)
        once = {net.identity: net for net in networks}.values()
        for network in once:
            yield (
                benchmark.name,
                network.label,
                extract(
                    benchmark.feature_set,
                    benchmark.pictures,
                    network,
                    settings.extraction,
                    folder=job.folders.features,
                    progress=progress,
                    shared_with=sharing_forward(network, [*once]),
                ),
            )


def load_networks(job: Job) -> list[list[Network]]:
    """The nets of each specification, each net loaded once, the same nets measured once."""
    parts = [split_fusion(net) for net in sweep.nets_of(job.nets, job.sweep)]
    loaded = {
        part: load_network(part, weights_dir=job.folders.weights, offline=job.offline)
        for part in dict.fromkeys(part for fused in parts for part in fused)
    }
    return each_once([[loaded[part] for part in fused] for fused in parts])


def each_once(fusions: Sequence[list[Network]]) -> list[list[Network]]:
    """The same nets, however they are written, are the same measurement."""
    return list({tuple(n.identity for n in f): f for f in fusions}.values())


def extraction_of(job: Job, name: str) -> Extraction:
    """How pictures of a benchmark will be described, before it is loaded. Raises OptionError."""
    given = {field: job.settings[field] for field in OF_EXTRACTION & job.settings.keys()}
    chosen = {field: value for field, value in given.items() if value is not None}
    return Extraction(**({"scales": entry_of(name).protocol.scales} | chosen))


def made(measurement: Measurement) -> Record | None:
    """The record, if it is there and as complete as is asked for now. Raises RecordError."""
    may_skip = measurement.settings.extraction.on_error == "skip"
    return records.made(measurement.path, may_skip=may_skip)


def _loaded(
    job: Job, name: str, fusions: Sequence[Sequence[Network]], out: Path, progress: Progress
) -> Sequence[Measurement | Failure]:
    """The measurements on a benchmark, or the failure to load it."""
    try:
        return measurements(job, name, fusions, out, progress)
    except Exception as error:
        return [_failure(name, error)]


def _tell_plan(items: Sequence[Measurement | Failure], away: Sequence[str]) -> None:
    ready = [item for item in items if isinstance(item, Measurement)]
    num_made = sum(measurement.path.is_file() for measurement in ready)
    later = f"; to be fetched: {', '.join(away)}" if away else ""
    log.info("%d measurements, %d of them made already%s", len(ready), num_made, later)


def _outcomes(
    item: Measurement | Failure, job: Job, progress: Progress
) -> Iterator[Record | Failure]:
    """The record, once it is on disk; a failure if that or the server's archive fails."""
    if isinstance(item, Failure):
        yield item
        return
    what = f"{item.benchmark.name}, {item.nets}"
    try:
        record = _measured(item, job, progress)
    except Exception as error:
        yield _failure(what, error)
        return
    yield record
    try:
        _submit(item, job, progress)
    except Exception as error:
        yield _failure(f"{what}, the server's archive", error)


def _failure(what: str, error: Exception) -> Failure:
    """Whatever it is must not cost the other benchmarks their numbers."""
    if isinstance(error, VggfeatError | OSError):
        return Failure(what, in_one_line(error))
    if isinstance(error, MemoryError):
        return Failure(what, "not enough memory. Use fewer scales or --aggregate average.")
    log.debug("unexpected error", exc_info=error)
    return Failure(what, f"unexpected {type(error).__name__}: {error}. This is a bug; report it.")


def _measured(measurement: Measurement, job: Job, progress: Progress) -> Record:
    """The record, from disk if it was made before."""
    if record := made(measurement):
        log.info("measured already: %s (move it away to measure again)", measurement.path)
        return record
    record = measurement.benchmark.run(
        measurement.networks,
        measurement.settings,
        features_dir=job.folders.features,
        shared_with=measurement.shared_with,
        command=job.command,
        progress=progress,
    )
    log.info("wrote %s", records.write(record, measurement.out))
    if record.timing:
        log.info("timing: %s", record.timing)
    for note in record.notes:
        if note not in measurement.benchmark.notes:  # which were told when it was loaded
            log.warning("%s: %s", record.benchmark, note)
    return record


def _submit(measurement: Measurement, job: Job, progress: Progress) -> None:
    """Write what the evaluation server is sent, beside the record; a part of a set is not sent."""
    benchmark = measurement.benchmark
    if benchmark.submission is None or benchmark.limited:
        return
    path = measurement.archive_path
    there = [path] if path.is_file() else []
    if measurement.settings.extraction.on_error == "skip":
        there += path.parent.glob(f"without-*-{path.name}")
    if there:
        log.info("made already: %s", there[0])
        return
    archive, num_unscored = benchmark.submit(
        measurement.networks,
        measurement.settings,
        features_dir=job.folders.features,
        progress=progress,
    )
    if num_unscored:
        path = path.with_name(f"without-{num_unscored}-{path.name}")  # not taken for the whole one
        log.warning("%s: %d examples of the test set have no score", path, num_unscored)
    with new_file(path) as file:
        file.write(archive)
    log.info("wrote %s, for the evaluation server", path)


def _tell_notes(benchmark: Benchmark) -> None:
    total = next((count for count in counts(benchmark) if not count.name), None)
    if total and total.found != total.known and not benchmark.limited:
        log.warning(
            "%s: set %s has %s of its %s examples (`vggfeat datasets verify` tells more)",
            benchmark.name, total.set, f"{total.found:,}", f"{total.known:,}",
        )  # fmt: skip
    for note in benchmark.notes[:NUM_NOTES_TOLD]:
        log.warning("%s: %s", benchmark.name, note)
    if len(benchmark.notes) > NUM_NOTES_TOLD:
        more = len(benchmark.notes) - NUM_NOTES_TOLD
        log.warning("%s: and %d more such notes, all in the record", benchmark.name, more)
