"""What `vggfeat bench` does: every benchmark with every net, a record for each at once."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vggfeat import records
from vggfeat.backbones import Network, load_network, parse, split_fusion
from vggfeat.benchmarks import caltech, embedded
from vggfeat.benchmarks.protocol import Benchmark, DataOptions, Settings, choose_settings
from vggfeat.descriptors import Extracted, Progress, check_scales, extract, num_missing
from vggfeat.errors import UnknownNameError
from vggfeat.folders import Folders
from vggfeat.records import Record

log = logging.getLogger(__name__)

NUM_NOTES_TOLD = 3
PUBLISHED = Path(__file__).with_name("published.csv")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A benchmark by name: how to load it, where its data is, whether the paper has numbers."""

    title: str
    about: str
    load: Callable[..., Benchmark]
    locate: Callable[[Folders], Path | None]
    in_paper: bool


BENCHMARKS: Mapping[str, Entry] = {
    "caltech101": Entry(
        title=caltech.CALTECH101.title,
        about="9,144 pictures, 102 classes with the background",
        load=caltech.caltech101,
        locate=caltech.locate_caltech101,
        in_paper=True,
    ),
    "digits": Entry(
        title=embedded.DIGITS.title,
        about="1,797 scans, 10 classes; embedded, for trying things out",
        load=embedded.digits,
        locate=embedded.locate_digits,
        in_paper=False,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for. None means the benchmark's published setting."""

    benchmarks: Sequence[str]
    nets: Sequence[str]  # specifications, `+` fuses
    folders: Folders
    splits: DataOptions = field(default_factory=DataOptions)
    offline: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)  # for choose_settings
    command: str = ""


def bench(job: Job, out: Path, progress: Progress) -> Iterator[Record]:
    """Measure every net on every benchmark, yielding each record once it is on disk.

    A measurement whose record is in `out` already is not repeated.
    """
    for benchmark, settings, networks, path in _measurements(job, out, prepare=True):
        record = records.read(path) if path.is_file() else None
        if record and (not record.skipped or settings.extraction.on_error == "skip"):
            log.info("measured already: %s (move it away to measure again)", path)
            yield record
            continue
        record = benchmark.run(
            networks,
            settings,
            features_dir=job.folders.features,
            command=job.command,
            progress=progress,
        )
        log.info("wrote %s", records.write(record, out))
        yield record


def plan(job: Job, out: Path) -> Iterator[str]:
    """A line for each measurement: whether it was made, and what it would have to extract."""
    for benchmark, settings, networks, path in _measurements(job, out, prepare=False):
        name = f"{benchmark.name}, {'+'.join(network.label for network in networks)}"
        if path.is_file():
            yield f"{name}: measured already, {path}"
            continue
        total = len(benchmark.used)
        missing = [
            num_missing(
                benchmark.name,
                benchmark.used,
                network,
                settings.extraction,
                folder=job.folders.features,
            )
            for network in networks
        ]
        counts = ", ".join(f"{count:,} of {total:,}" for count in missing)
        yield f"{name}: to measure; descriptors to extract: {counts}"


def _measurements(
    job: Job, out: Path, *, prepare: bool
) -> Iterator[tuple[Benchmark, Settings, list[Network], Path]]:
    """Every benchmark with every net, and where its record lies or will lie.

    What cannot end well is found before the first is yielded.
    """
    _check_names(job)
    benchmarks = _load_benchmarks(job)
    fusions = _load_networks(job)
    chosen = [choose_settings(benchmark, **job.settings) for benchmark in benchmarks]
    for benchmark, settings in zip(benchmarks, chosen, strict=True):
        if prepare:
            records.prepare(out, benchmark.name)
        for network in (network for networks in fusions for network in networks):
            check_scales(network, settings.extraction)
    for benchmark, settings in zip(benchmarks, chosen, strict=True):
        _tell_notes(benchmark)
        for networks in fusions:
            net = "+".join(network.name for network in networks)
            key = benchmark.key(networks, settings)
            yield benchmark, settings, networks, records.path_of(out, benchmark.name, net, key)


def extract_all(job: Job, progress: Progress) -> Iterator[tuple[str, str, Extracted]]:
    """The descriptors of every picture of each benchmark, used in a split or not."""
    _check_names(job)
    benchmarks = _load_benchmarks(job)
    networks = [network for fused in _load_networks(job) for network in fused]
    for benchmark in benchmarks:
        settings = choose_settings(benchmark, **job.settings)
        for network in {(net.name, net.weights_identity): net for net in networks}.values():
            yield (
                benchmark.name,
                network.label,
                extract(
                    benchmark.name,
                    benchmark.pictures,
                    network,
                    settings.extraction,
                    folder=job.folders.features,
                    progress=progress,
                ),
            )


def _check_names(job: Job) -> None:
    """Whatever is mistyped is found before anything is fetched."""
    for name in job.benchmarks:
        if name not in BENCHMARKS:
            raise UnknownNameError("benchmark", name, BENCHMARKS)
    for specification in job.nets:
        for part in split_fusion(specification):
            parse(part)


def _load_networks(job: Job) -> list[list[Network]]:
    """The nets of each specification, each net loaded once."""
    parts = [split_fusion(specification) for specification in job.nets]
    loaded = {
        part: load_network(part, weights_dir=job.folders.weights, offline=job.offline)
        for part in dict.fromkeys(part for fused in parts for part in fused)
    }
    return [[loaded[part] for part in fused] for fused in parts]


def _load_benchmarks(job: Job) -> list[Benchmark]:
    return [
        BENCHMARKS[name].load(job.folders, job.splits, offline=job.offline)
        for name in dict.fromkeys(job.benchmarks)
    ]


def _tell_notes(benchmark: Benchmark) -> None:
    for note in benchmark.notes[:NUM_NOTES_TOLD]:
        log.warning("%s: %s", benchmark.name, note)
    if len(benchmark.notes) > NUM_NOTES_TOLD:
        more = len(benchmark.notes) - NUM_NOTES_TOLD
        log.warning("%s: and %d more such notes, all in the record", benchmark.name, more)
