"""What `vggfeat bench` and `vggfeat extract` do: every benchmark with every net, one by one."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from vggfeat import devices
from vggfeat.backbones.check import check_net
from vggfeat.backbones.given_names import Names
from vggfeat.backbones.load import load_fusions
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import NetSpec
from vggfeat.benchmarks import runner, sweep
from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.registry import definition_of, load_benchmark, names_of
from vggfeat.benchmarks.given_names import identity_of, names_of_networks
from vggfeat.benchmarks.known_counts import counts
from vggfeat.benchmarks.runner import Failure, failure
from vggfeat.benchmarks.scales import scales_for
from vggfeat.benchmarks.shots import few_shots
from vggfeat.benchmarks.transfer import TransferMeasurement
from vggfeat.features.conditions import check_scales
from vggfeat.features.extract import Extracted
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.layouts.options import DataOptions
from vggfeat.options import declarations
from vggfeat.plurals import counted
from vggfeat.probes.registry import DEFAULT_PROBE, load_probe
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.storage.folders import Folders

log = logging.getLogger(__name__)

NUM_NOTES_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for. Settings not given are the benchmark's published ones."""

    benchmarks: Sequence[str]
    nets: Sequence[tuple[NetSpec | Network, ...]]  # nets that are used together
    folders: Folders
    data: DataOptions = field(default_factory=DataOptions)
    offline: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)  # for Benchmark.settings
    probes: Sequence[str] = (DEFAULT_PROBE,)
    shots: Sequence[int | None] = (None,)  # training pictures a class; None: all
    sweep: Sequence[str] = ()  # axes, see sweep.AXES
    saves_probes: bool = False
    memory: int | None = None  # bytes that the process may take; None: what is free
    workers: Workers = ALONE  # who share the classes of probes whose vectors stream from disk
    command: str = ""
    names: Names = field(default_factory=dict)  # that the user gave nets

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is fetched."""
        for name in self.benchmarks:
            definition_of(name)
        for spec in (spec for fusion in self.nets for spec in fusion):
            check_net(spec)
        for probe in self.probes:
            load_probe(probe)
        for shots in self.shots:
            replace(self.data, shots=shots)
        sweep.check_axes(self.sweep)
        devices.resolved(self.settings.get("device") or "auto")


def bench(
    job: Job, out: Path, progress: Progress, workers: Workers = ALONE
) -> Iterator[Record | Failure]:
    """Measure every net on every benchmark, yielding each record once it is on disk.

    A measurement whose record is in `out` already is not repeated. One that fails is yielded as a
    Failure and does not stop the others. Of several workers all extract, and the leading one
    measures; the others yield nothing. Raises VggfeatError where nothing can be measured: at
    mistyped names, at weights that are missing, at an `out` that cannot be written.
    """
    job.check()
    names = names_of(job.benchmarks)
    for name in names if workers.leads else ():
        records.prepare(out, name)
    with workers.leader_first("nets"):
        loaded = _all_networks(job)
    given = names_of_networks(job.names, sweep.nets_of(job.nets, job.sweep), loaded, out)
    fusions = each_once(loaded)
    check_all_scales(job, names, fusions)
    # What is here is looked at first, so that a damaged dataset is known before hours of work; what
    # has to be fetched is fetched when its turn comes, so that the work need not wait for it.
    away = [name for name in names if definition_of(name).source.missing(job.folders)]
    away = _as_the_leader_says(workers, "to be fetched", away)
    shared = replace(job, workers=workers)
    load = partial(_loaded_by_all, workers, shared, fusions=fusions, out=out, progress=progress)
    here = [item for name in names if name not in away for item in load(name)]
    if workers.leads:
        _log_plan(here, away)
    features = FeatureSets(job.folders.features, progress, workers)
    yield from runner.run(here, features, progress, given)
    unfetched: dict[str, str] = {}  # source -> the benchmark that could not have it
    for name in away:
        source = definition_of(name).source
        is_hopeless = source.name in unfetched and source.missing(job.folders)
        if _as_the_leader_says(workers, f"without {name}", bool(is_hopeless)):
            if workers.leads:
                see = f"see {unfetched[source.name]}"
                yield Failure(name, f"its dataset could not be fetched, {see}.")
            continue
        items = load(name)
        if any(isinstance(item, Failure) for item in items):
            unfetched[source.name] = name
        # Anew, as what was gathered for earlier ones is done.
        features = FeatureSets(job.folders.features, progress, workers)
        yield from runner.run(items, features, progress, given)


def measurements(
    job: Job, name: str, fusions: Sequence[Sequence[Network]], out: Path, progress: Progress
) -> list[TransferMeasurement]:
    """Every measurement on one benchmark. Raises what loading it raises."""
    base = _load(job, name, progress)
    benchmarks = [few_shots(base, replace(job.data, shots=shots)) for shots in job.shots]
    _log_few(benchmarks)
    return [
        TransferMeasurement(
            benchmark=benchmark,
            networks=networks,
            settings=settings.changed({"probe": probe}),
            out=out,
            command=job.command,
            saves_probe=job.saves_probes,
            memory=job.memory,
            scratch=job.folders.scratch,
            workers=job.workers,
        )
        for networks in fusions
        for settings in sweep.settings_of(base.settings(networks, **job.settings), job.sweep)
        for probe in dict.fromkeys(job.probes)
        for benchmark in benchmarks
    ]


def extract_all(
    job: Job, progress: Progress, workers: Workers = ALONE
) -> Iterator[tuple[str, str, Extracted]]:
    """The descriptors of every picture of each benchmark, used in a split or not.

    Of several workers all extract, and only the leading one yields.
    """
    job.check()
    with workers.leader_first("nets"):
        networks = {net.identity: net for fused in load_networks(job) for net in fused}.values()
    for name in names_of(job.benchmarks):
        with workers.leader_first(f"pictures of {name}"):
            benchmark = _load(job, name, progress)
        requests = [
            FeatureRequest(
                dataset=benchmark.feature_set,
                pictures=benchmark.pictures,
                network=network,
                options=benchmark.settings([network], **job.settings).extraction,
            )
            for network in networks
        ]
        # Anew for each benchmark: what was gathered for others is done.
        features = FeatureSets(job.folders.features, progress, workers)
        features.gather(requests)
        features.extract_together(requests)
        for request in requests if workers.leads else ():
            yield benchmark.name, request.network.label, features.extract(request)


def load_networks(job: Job) -> list[list[Network]]:
    """The networks of each fusion, each net loaded once, the same nets measured once."""
    return each_once(_all_networks(job))


def _all_networks(job: Job) -> list[list[Network]]:
    """The networks of each fusion that the job names or sweeps, in their order."""
    fusions = sweep.nets_of(job.nets, job.sweep)
    return load_fusions(fusions, weights_dir=job.folders.weights, offline=job.offline)


def each_once(fusions: Sequence[list[Network]]) -> list[list[Network]]:
    """The same nets, however they are written, are the same measurement."""
    return list({identity_of(fusion): fusion for fusion in fusions}.values())


def check_all_scales(job: Job, names: Sequence[str], fusions: Sequence[Sequence[Network]]) -> None:
    """Raise OptionError if a net's descriptors cannot be computed at a scale of a benchmark."""
    for name in names:
        for networks in fusions:
            extraction = extraction_of(job, name, networks)
            for network in networks:
                check_scales(network, extraction)


def extraction_of(job: Job, name: str, networks: Sequence[Network]) -> Extraction:
    """How pictures of a benchmark will be described by nets that are used together.

    Known before it is loaded. Raises OptionError.
    """
    stated = {option: job.settings.get(option) for option in declarations(Extraction)}
    chosen = {option: value for option, value in stated.items() if value is not None}
    if "scales" not in chosen:
        chosen["scales"] = scales_for(definition_of(name).scales, networks)
    return Extraction(**chosen)


def _load(job: Job, name: str, progress: Progress) -> Benchmark:
    benchmark = load_benchmark(
        name, options=job.data, places=job.folders, offline=job.offline, progress=progress
    )
    _log_notes(benchmark)
    return benchmark


def _loaded(
    job: Job, name: str, fusions: Sequence[Sequence[Network]], out: Path, progress: Progress
) -> Sequence[TransferMeasurement | Failure]:
    """The measurements on a benchmark, or the failure to load it."""
    try:
        return measurements(job, name, fusions, out, progress)
    except Exception as error:
        return [failure(name, error)]


def _loaded_by_all(
    workers: Workers,
    job: Job,
    name: str,
    *,
    fusions: Sequence[Sequence[Network]],
    out: Path,
    progress: Progress,
) -> Sequence[TransferMeasurement | Failure]:
    """The same in each process, once the leading one has it; nothing where that failed there.

    Raises what `measurements` raises in the others.
    """
    said = workers.numbered(f"loaded {name}")
    if workers.leads:
        items = _loaded(job, name, fusions, out, progress)
        workers.announce(said, not any(isinstance(item, Failure) for item in items))
        return items
    # What fails here alone, as where a machine lacks the data, is no failure of the benchmark.
    return measurements(job, name, fusions, out, progress) if workers.wait_for(said) else []


def _as_the_leader_says(workers: Workers, name: str, value: Any) -> Any:
    """The leading process's value, in all of them."""
    said = workers.numbered(name)
    if not workers.leads:
        return workers.wait_for(said)
    workers.announce(said, value)
    return value


def _log_plan(items: Sequence[TransferMeasurement | Failure], away: Sequence[str]) -> None:
    ready = [item for item in items if isinstance(item, TransferMeasurement)]
    num_made = sum(measurement.path.is_file() for measurement in ready)
    later = f"; to be fetched: {', '.join(away)}" if away else ""
    of_all = "" if num_made == len(ready) else f"{num_made} of them "
    made = f", {of_all}made already" if num_made else ""
    log.info("%s%s%s", counted(len(ready), "measurement"), made, later)


def _log_few(benchmarks: Sequence[Benchmark]) -> None:
    """Say of draws of few pictures what their notes have beside those of all pictures."""
    for benchmark in benchmarks:
        for note in benchmark.notes[len(benchmark.base.notes) :] if benchmark.base else ():
            log.warning("%s: %s", benchmark.name, note)


def _log_notes(benchmark: Benchmark) -> None:
    totals = [count for count in counts(benchmark) if count.class_name is None]
    short = [
        f"set {total.set} has {total.actual:,} of its {total.expected:,} examples"
        for total in totals
        if total.actual != total.expected
    ]
    if short and not benchmark.limited:
        more = "(`vggfeat datasets verify` prints more)"
        log.warning("%s: %s %s", benchmark.name, ", ".join(short), more)
    for remark in benchmark.remarks:
        log.info("%s: %s", benchmark.name, remark)
    for note in benchmark.notes[:NUM_NOTES_SHOWN]:
        log.warning("%s: %s", benchmark.name, note)
    if len(benchmark.notes) > NUM_NOTES_SHOWN:
        more = len(benchmark.notes) - NUM_NOTES_SHOWN
        log.warning(
            "%s: and %s, all in the record", benchmark.name, counted(more, "more such note")
        )
