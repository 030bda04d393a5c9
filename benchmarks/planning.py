"""What a job would do, before it does it: what is there, what is missing, how long it may take."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vggfeat.backbones import Network, load_network, split_fusion
from vggfeat.benchmarks import sweep
from vggfeat.benchmarks.bench import Job, Measurement, measurements
from vggfeat.benchmarks.catalogue import Entry, entry_of
from vggfeat.descriptors import Extraction, conditions, missing, seconds_per_megapixel
from vggfeat.errors import DownloadError, VggfeatError, in_one_line
from vggfeat.images import ASSUMED_ASPECT

BYTES_OF = {"float32": 4, "float16": 2}


def plan(job: Job, out: Path) -> Iterator[str]:
    """A line for each benchmark and each measurement, and one for all of them.

    Nothing is fetched and no record is made; an archive that is there is unpacked. Raises
    VggfeatError at mistyped names and at weights files that are not there.
    """
    job.check()
    return _Plan(job, out).lines()


class _Plan:
    """What the lines so far add up to. A descriptor that one of them extracts is there for all."""

    def __init__(self, job: Job, out: Path):
        self.job, self.out = job, out
        self.num_measurements = self.num_made = self.num_descriptors = self.num_bytes = 0
        self.seconds = 0.0
        self.planned: dict[tuple, set[str]] = {}  # feature file -> ids
        self.rates: dict[Network, float] = {}  # seconds a megapixel
        self.names: dict[Network, str] = {}
        self.fusions = self._fusions()

    def lines(self) -> Iterator[str]:
        for name in dict.fromkeys(self.job.benchmarks):
            entry = entry_of(name)
            if lacking := entry.dataset.missing(self.job.folders):
                yield f"{name}: to be fetched, {_sources(lacking)}; {self._unseen(entry)}"
                continue
            try:
                found = measurements(self.job, name, self.fusions, self.out, lambda *_: None)
            except (VggfeatError, OSError) as error:
                yield f"{name}: cannot be measured: {in_one_line(error)}"
                continue
            yield f"{name}: in {_place(entry.dataset.locate(self.job.folders))}"
            for measurement in found:
                yield f"  {self._name(measurement)}: {self._line(measurement)}"
        free = shutil.disk_usage(_existing(self.job.folders.cache)).free
        yield (
            f"In all: {self.num_measurements} measurements, {self.num_made} made already;"
            f" {self.num_descriptors:,} descriptors to extract, {_size(self.num_bytes)} of"
            f" {_size(free)} free, about {_duration(self.seconds)}, and the classifiers on top."
        )

    def _fusions(self) -> list[list[Network]]:
        """The nets of each specification. One whose weights are to be fetched is random here."""
        fusions = []
        for specification in sweep.nets_of(self.job.nets, self.job.sweep):
            networks = []
            for part in split_fusion(specification):
                weights_dir = self.job.folders.weights
                try:
                    network = load_network(part, weights_dir=weights_dir, offline=True)
                    self.names[network] = network.label
                except DownloadError:
                    network = load_network(f"{part.partition('@')[0]}@random:0")
                    # No feature file and no record will be found for such weights.
                    network = replace(network, weights_sha256="to be fetched")
                    self.names[network] = f"{network.name}@torchvision (to be fetched)"
                networks.append(network)
            fusions.append(networks)
        return fusions

    def _name(self, measurement: Measurement) -> str:
        nets = "+".join(self.names[network] for network in measurement.networks)
        if not self.job.sweep:
            return nets
        settings = measurement.settings
        scales = ",".join(map(str, settings.extraction.scales))
        mirror = "mirror" if settings.extraction.mirror else "no mirror"
        per_scale = ", L2 per scale" if settings.scale_l2 else ""
        return f"{nets} ({scales}, {settings.aggregate}, {mirror}{per_scale})"

    def _line(self, measurement: Measurement) -> str:
        self.num_measurements += 1
        if measurement.path.is_file():
            self.num_made += 1
            return f"measured already, {measurement.path}"
        benchmark, options = measurement.benchmark, measurement.settings.extraction
        pictures = benchmark.needed
        counts, files = [], []
        for network in measurement.networks:
            path, lacking = missing(
                benchmark.feature_set, pictures, network, options, folder=self.job.folders.features
            )
            planned = self.planned.setdefault(_file(benchmark.feature_set, network, options), set())
            counts.append(len(lacking - planned))
            planned |= lacking
            files.append(f"{path.name} {'is there' if path.is_file() else 'is missing'}")
        to_do = self._added(measurement.networks, options, counts)
        files_are = f" ({', '.join(files)})" if any(counts) else ""
        return f"to measure, {len(pictures):,} pictures; {to_do}{files_are}"

    def _unseen(self, entry: Entry) -> str:
        """What a benchmark whose pictures are not here yet will take."""
        if not self.fusions:
            return ""
        given = self.job.settings
        options = Extraction(
            scales=given.get("scales") or entry.scales,
            mirror=given.get("mirror") is not False,
            precision=given.get("precision", "auto"),
            device=given.get("device", "auto"),
            dtype=given.get("dtype", "float32"),
        )
        networks = list(dict.fromkeys(network for fused in self.fusions for network in fused))
        self.num_measurements += len(self.fusions)
        counts = []
        for network in networks:
            ids = set(map(str, range(entry.num_pictures)))
            planned = self.planned.setdefault(_file(entry.dataset.name, network, options), set())
            counts.append(len(ids - planned))
            planned |= ids
        return f"{entry.num_pictures:,} pictures; {self._added(networks, options, counts)}"

    def _added(
        self, networks: Sequence[Network], options: Extraction, counts: Sequence[int]
    ) -> str:
        """Add so many new descriptors of each net to the sums, and say so."""
        num_bytes, seconds = 0, 0.0
        for network, count in zip(networks, counts, strict=True):
            if count:
                num_bytes += count * len(options.scales) * network.backbone.dim
                seconds += count * self._seconds(network, options)
        num_bytes *= BYTES_OF[options.dtype]
        self.num_descriptors += sum(counts)
        self.num_bytes += num_bytes
        self.seconds += seconds
        if not any(counts):
            return "no more descriptors to extract"
        return (
            f"{sum(counts):,} descriptors to extract, {_size(num_bytes)}, about"
            f" {_duration(seconds)}"
        )

    def _seconds(self, network: Network, options: Extraction) -> float:
        """Seconds a picture will take, by a short timing of the net."""
        if network not in self.rates:
            self.rates[network] = seconds_per_megapixel(network, options)
        pixels = sum(scale * scale * ASSUMED_ASPECT for scale in options.scales)
        return self.rates[network] * pixels / 1e6 * (2 if options.mirror else 1)


def _file(feature_set: str, network: Network, options: Extraction) -> tuple:
    """What tells feature files apart but their scales: the first to be planned has them all."""
    stated = vars(conditions(feature_set, network, options))
    return tuple(value for name, value in stated.items() if name != "scales")


def _sources(parts: list) -> str:
    sources = [part[0] for part in parts]
    return ", ".join(s.name + (f" ({_size(s.size)})" if s.size else "") for s in sources)


def _place(found: Path | list[Path]) -> str:
    return str(found) if isinstance(found, Path) else ", ".join(map(str, found))


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:,.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
