"""What a job would do, before it does it: what is there, what is missing, how long it may take."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vggfeat.backbones import Network, load_network, split_fusion
from vggfeat.benchmarks import sweep
from vggfeat.benchmarks.bench import Job, Measurement, measurements
from vggfeat.benchmarks.catalogue import entry_of
from vggfeat.descriptors import Extraction, conditions, missing, seconds_per_megapixel
from vggfeat.errors import DownloadError, VggfeatError, in_one_line
from vggfeat.images import ASSUMED_ASPECT


@dataclass
class _Totals:
    """What the lines so far add up to. A descriptor that one of them extracts is there for all."""

    num_measurements: int = 0
    num_made: int = 0
    num_descriptors: int = 0
    num_bytes: int = 0
    seconds: float = 0.0
    planned: dict[tuple, set[str]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)  # net -> seconds a megapixel


def plan(job: Job, out: Path) -> Iterator[str]:
    """A line for each benchmark and each measurement, and one for all of them.

    Nothing is fetched and no record is made; an archive that is there is unpacked. Raises
    VggfeatError at mistyped names.
    """
    job.check()
    networks, absent = _networks(job)
    fusions = [[networks[part] for part in parts] for parts in _fusions(job, networks)]
    totals = _Totals()
    yield from (f"{net}: {reason}" for net, reason in absent.items())
    for name in dict.fromkeys(job.benchmarks):
        entry = entry_of(name)
        if lacking := entry.dataset.missing(job.folders):
            yield f"{name}: {entry.num_pictures:,} pictures, to be fetched: {_named(lacking)}"
            continue
        try:
            found = measurements(job, name, fusions, out, lambda *_: None)
        except (VggfeatError, OSError) as error:
            yield f"{name}: cannot be measured: {in_one_line(error)}"
            continue
        yield f"{name}: {entry.dataset.locate(job.folders)}"
        for measurement in found:
            what = f"{measurement.nets}{_varied(measurement, job)}"
            yield f"  {what}: {_line(measurement, job, totals)}"
    free = shutil.disk_usage(_existing(job.folders.cache)).free
    yield (
        f"In all: {totals.num_measurements} measurements, {totals.num_made} made already;"
        f" {totals.num_descriptors:,} descriptors to extract, {_size(totals.num_bytes)} of"
        f" {_size(free)} free, about {_duration(totals.seconds)}, and the classifiers on top."
    )


def _networks(job: Job) -> tuple[dict[str, Network], dict[str, str]]:
    """The nets by specification, and those whose weights are not there, with what is said."""
    loaded, absent = {}, {}
    specifications = sweep.nets_of(job.nets, job.sweep)
    for part in dict.fromkeys(part for net in specifications for part in split_fusion(net)):
        try:
            loaded[part] = load_network(part, weights_dir=job.folders.weights, offline=True)
        except DownloadError:
            absent[part] = "its weights are to be fetched first, so nothing is planned for it"
    return loaded, absent


def _fusions(job: Job, networks: Mapping[str, Network]) -> list[list[str]]:
    """The specifications all of whose nets are there."""
    parts = [split_fusion(net) for net in sweep.nets_of(job.nets, job.sweep)]
    return [fused for fused in parts if all(part in networks for part in fused)]


def _line(measurement: Measurement, job: Job, totals: _Totals) -> str:
    totals.num_measurements += 1
    if measurement.path.is_file():
        totals.num_made += 1
        return f"measured already, {measurement.path}"
    benchmark, options = measurement.benchmark, measurement.settings.extraction
    pictures = benchmark.needed
    num_new, num_bytes, seconds, files = 0, 0, 0.0, []
    for network in measurement.networks:
        planned = totals.planned.setdefault(
            _features(benchmark.feature_set, network, options), set()
        )
        path, lacking = missing(
            benchmark.feature_set, pictures, network, options, folder=job.folders.features
        )
        files.append(f"{path.name} {'is there' if path.is_file() else 'is missing'}")
        new = lacking - planned
        planned |= new
        num_new += len(new)
        num_bytes += len(new) * len(options.scales) * network.backbone.dim * _width(options)
        if new:
            seconds += len(new) * _seconds(network, options, totals)
    totals.num_descriptors += num_new
    totals.num_bytes += num_bytes
    totals.seconds += seconds
    if not num_new:
        return f"to measure, {len(pictures):,} pictures; no more descriptors to extract"
    return (
        f"to measure, {len(pictures):,} pictures; {num_new:,} descriptors to extract,"
        f" {_size(num_bytes)}, about {_duration(seconds)} ({', '.join(files)})"
    )


def _features(feature_set: str, network: Network, options: Extraction) -> tuple:
    """What tells feature files apart but their scales: the first to be planned has them all."""
    stated = vars(conditions(feature_set, network, options))
    return tuple(value for name, value in stated.items() if name != "scales")


def _seconds(network: Network, options: Extraction, totals: _Totals) -> float:
    """Seconds a picture will take, by a short timing of the net."""
    if network.label not in totals.rates:
        totals.rates[network.label] = seconds_per_megapixel(network, options)
    pixels = sum(scale * scale * ASSUMED_ASPECT for scale in options.scales)
    return totals.rates[network.label] * pixels / 1e6 * (2 if options.mirror else 1)


def _varied(measurement: Measurement, job: Job) -> str:
    """The settings by which a sweep's measurements differ."""
    if not job.sweep:
        return ""
    settings = measurement.settings
    scales = ",".join(map(str, settings.extraction.scales))
    mirror = "mirror" if settings.extraction.mirror else "no mirror"
    per_scale = ", L2 per scale" if settings.scale_l2 else ""
    return f" ({scales}, {settings.aggregate}, {mirror}{per_scale})"


def _named(parts: list) -> str:
    sources = [part[0] for part in parts]
    return ", ".join(s.name + (f" ({_size(s.size)})" if s.size else "") for s in sources)


def _width(options: Extraction) -> int:
    return {"float32": 4, "float16": 2}[options.dtype]


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:,.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
