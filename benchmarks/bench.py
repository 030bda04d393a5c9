"""What `vggfeat bench` and `vggfeat extract` do: every benchmark with every net, one by one."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vggfeat import records
from vggfeat.backbones import Network, load_network, parse, split_fusion
from vggfeat.benchmarks import sweep
from vggfeat.benchmarks.catalogue import entry_of, load_benchmark
from vggfeat.benchmarks.protocol import Benchmark, DataOptions, Settings, choose_settings
from vggfeat.descriptors import Extracted, Progress, check_scales, extract
from vggfeat.errors import VggfeatError, in_one_line
from vggfeat.files import new_file
from vggfeat.folders import Folders
from vggfeat.records import Record

log = logging.getLogger(__name__)

NUM_NOTES_TOLD = 3
PUBLISHED = Path(__file__).with_name("published.csv")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for. Settings not given are the benchmark's published ones."""

    benchmarks: Sequence[str]
    nets: Sequence[str]  # specifications, `+` fuses
    folders: Folders
    data: DataOptions = field(default_factory=DataOptions)
    offline: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)  # for choose_settings
    sweep: Sequence[str] = ()  # axes, see sweep.AXES
    command: str = ""

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is fetched."""
        for name in self.benchmarks:
            entry_of(name)
        for specification in self.nets:
            for part in split_fusion(specification):
                parse(part)
        sweep.check_axes(self.sweep)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One record that is to be made, or is there."""

    benchmark: Benchmark
    networks: Sequence[Network]
    settings: Settings
    out: Path

    @property
    def nets(self) -> str:
        return "+".join(network.label for network in self.networks)

    @property
    def path(self) -> Path:
        """Where its record lies or will lie."""
        net = "+".join(network.name for network in self.networks)
        key = self.benchmark.key(self.networks, self.settings)
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
    for name in dict.fromkeys(job.benchmarks):
        records.prepare(out, name)
    fusions = load_networks(job)
    ready = []
    for name in dict.fromkeys(job.benchmarks):
        try:
            ready += measurements(job, name, fusions, out, progress)
        except (VggfeatError, OSError) as error:
            yield Failure(name, in_one_line(error))
    for measurement in ready:
        try:
            yield _measured(measurement, job, progress)
            _submit(measurement, job, progress)
        except (VggfeatError, OSError) as error:
            yield Failure(f"{measurement.benchmark.name}, {measurement.nets}", in_one_line(error))


def measurements(
    job: Job, name: str, fusions: Sequence[Sequence[Network]], out: Path, progress: Progress
) -> list[Measurement]:
    """Every measurement on one benchmark. Raises what loading it raises, or OptionError."""
    benchmark = load_benchmark(
        name, options=job.data, places=job.folders, offline=job.offline, progress=progress
    )
    _tell_notes(benchmark)
    chosen = choose_settings(benchmark, **job.settings)
    for networks in fusions:
        for network in networks:
            check_scales(network, chosen.extraction)
    return [
        Measurement(benchmark=benchmark, networks=networks, settings=settings, out=out)
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
        settings = choose_settings(benchmark, **job.settings)
        for network in {(net.name, net.weights_identity): net for net in networks}.values():
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
                ),
            )


def load_networks(job: Job) -> list[list[Network]]:
    """The nets of each specification, each net loaded once."""
    parts = [split_fusion(net) for net in sweep.nets_of(job.nets, job.sweep)]
    loaded = {
        part: load_network(part, weights_dir=job.folders.weights, offline=job.offline)
        for part in dict.fromkeys(part for fused in parts for part in fused)
    }
    return [[loaded[part] for part in fused] for fused in parts]


def _measured(measurement: Measurement, job: Job, progress: Progress) -> Record:
    """The record, from disk if it was made before."""
    path, settings = measurement.path, measurement.settings
    record = records.read(path) if path.is_file() else None
    if record and (not record.skipped or settings.extraction.on_error == "skip"):
        log.info("measured already: %s (move it away to measure again)", path)
        return record
    record = measurement.benchmark.run(
        measurement.networks,
        settings,
        features_dir=job.folders.features,
        command=job.command,
        progress=progress,
    )
    log.info("wrote %s", records.write(record, measurement.out))
    return record


def _submit(measurement: Measurement, job: Job, progress: Progress) -> None:
    """Write what the evaluation server is sent, beside the record; a part of a set is not sent."""
    benchmark = measurement.benchmark
    if benchmark.submission is None or benchmark.limited:
        return
    path = measurement.path.with_suffix(".server.tar.gz")
    if path.is_file():
        log.info("made already: %s", path)
        return
    archive = benchmark.submit(
        measurement.networks,
        measurement.settings,
        features_dir=job.folders.features,
        progress=progress,
    )
    with new_file(path) as file:
        file.write(archive)
    log.info("wrote %s, for the evaluation server", path)


def _tell_notes(benchmark: Benchmark) -> None:
    for note in benchmark.notes[:NUM_NOTES_TOLD]:
        log.warning("%s: %s", benchmark.name, note)
    if len(benchmark.notes) > NUM_NOTES_TOLD:
        more = len(benchmark.notes) - NUM_NOTES_TOLD
        log.warning("%s: and %d more such notes, all in the record", benchmark.name, more)
