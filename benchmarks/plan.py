"""What `bench --dry-run` says: what is there, what is missing, and how long it may take."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vggfeat.backbones.load import load_network, yet_to_be_fetched
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import TIMM_WEIGHTS, NetSpec
from vggfeat.benchmarks import sweep
from vggfeat.benchmarks.bench import Job, check_all_scales, each_once, extraction_of, measurements
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.datasets.registry import definition_of, names_of
from vggfeat.benchmarks.options import Settings, measurement_options
from vggfeat.benchmarks.sweep import settings_of
from vggfeat.benchmarks.transfer import TransferMeasurement
from vggfeat.costs.extraction_seconds import ExtractionSeconds
from vggfeat.costs.whose_speed import at_once, whose_speed
from vggfeat.costs.work import BYTES_OF, ROW_BYTES
from vggfeat.durations import in_words
from vggfeat.errors import DownloadError, VggfeatError, in_one_line
from vggfeat.features.extract import missing
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest
from vggfeat.images import Picture
from vggfeat.options import declarations
from vggfeat.plurals import counted
from vggfeat.progress import no_progress
from vggfeat.storage.folders import existing
from vggfeat.storage.sources import Source
from vggfeat.weights import released


class Plan:
    """What the lines so far add up to. A descriptor that one of them extracts is there for all.

    Raises VggfeatError at mistyped names, at options and scales that are not allowed, and at
    weights files that are not there.
    """

    def __init__(self, job: Job, out: Path, num_devices: int = 1):
        job.check()
        self.num_devices = num_devices
        self.device = job.settings.get("device", "auto")
        self.job, self.out = job, out
        self.num_impossible = 0  # benchmarks
        self.num_measurements = self.num_made = self.num_descriptors = self.num_bytes = 0
        self.seconds = 0.0
        self.planned: dict[tuple, set[str]] = {}  # feature file -> ids
        self.extraction = ExtractionSeconds()
        self.names: dict[Network, str] = {}
        self.fetched: set[Source] = set()
        self.absent: dict[str, int] = {}  # net whose weights are to be fetched -> bytes
        self.fusions = self._fusions()
        check_all_scales(job, job.benchmarks, self.fusions)

    def lines(self) -> Iterator[str]:
        """A line for each benchmark and each measurement, and one for all of them.

        Nothing is fetched and no record is made; an archive that is there is unpacked.
        """
        for name, num_bytes in self.absent.items():
            if self.job.offline:
                yield f"{name}: cannot be measured: weights not here, and --offline"
                continue
            self.num_bytes += num_bytes
            yield f"{name}: weights to be fetched, {_size(num_bytes)}"
        for name in names_of(self.job.benchmarks):
            definition = definition_of(name)
            lacking = definition.source.missing(self.job.folders)
            if lacking and self.job.offline:
                self.num_impossible += 1
                yield f"{name}: cannot be measured: not here, and --offline"
                continue
            if lacking:
                self._add_archives(lacking)
                unseen = self._unseen(name, definition)
                yield f"{name}: to be fetched, {_sources(lacking)}; {unseen}"
                continue
            try:
                planned = measurements(self.job, name, self.fusions, self.out, no_progress)
                lines = [f"  {self._name(m)}: {self._line(m)}" for m in planned]
            except (VggfeatError, OSError) as error:
                self.num_impossible += 1
                yield f"{name}: cannot be measured: {in_one_line(error)}"
                continue
            yield f"{name}: in {_place(definition.source.locate(self.job.folders))}"
            yield from lines
        free = shutil.disk_usage(existing(self.job.folders.cache)).free
        num = counted(self.num_measurements, "measurement")
        measured = ""
        if self.extraction.has_measured:
            remedy = ": see vggfeat plan"
            measured = whose_speed(self.device, self.num_devices, remedy=remedy)
        yield (
            f"In all: {num}, {self.num_made} made already;"
            f" {counted(self.num_descriptors, 'descriptor')} to extract, {_size(self.num_bytes)} of"
            f" {_size(free)} free, about {in_words(self.seconds)}{measured}, and the classifiers"
            " on top."
        )

    @property
    def impossible_nets(self) -> list[str]:
        """The nets whose weights are not here and cannot be fetched."""
        return list(self.absent) if self.job.offline else []

    def _fusions(self) -> list[list[Network]]:
        """The networks of each fusion. One whose weights are to be fetched is random here."""
        fusions = []
        for fusion in sweep.nets_of(self.job.nets, self.job.sweep):
            networks = []
            for spec in fusion:
                weights_dir = self.job.folders.weights
                try:
                    network = load_network(spec, weights_dir=weights_dir, offline=True)
                    self.names[network] = network.label
                except DownloadError:
                    network = yet_to_be_fetched(spec)
                    self.names[network] = network.label
                    self.absent[network.label] = _weights_bytes(spec, network)
                networks.append(network)
            fusions.append(networks)
        return each_once(fusions)

    def _name(self, measurement: TransferMeasurement) -> str:
        nets = "+".join(self.names[network] for network in measurement.networks)
        values, phrases = measurement.settings.values(), []
        if any(self.job.shots):
            phrases.append(f"shots {measurement.benchmark.protocol.get('shots', 'all')}")
        if self.job.sweep:
            phrases += [d.phrase(values[n]) for n, d in measurement_options().items() if d.sweep]
        if len(self.job.probes) > 1:
            phrases.append(values["probe"])
        words = ", ".join(filter(None, phrases))
        return f"{nets} ({words})" if words else nets

    def _line(self, measurement: TransferMeasurement) -> str:
        lacking = [net.label for net in measurement.networks if net.label in self.impossible_nets]
        if lacking and not measurement.existing():
            return f"cannot be measured: weights not here, and --offline: {', '.join(lacking)}"
        self.num_measurements += 1
        benchmark, options = measurement.benchmark, measurement.settings.extraction
        sends = benchmark.submission is not None and not benchmark.limited
        what, pictures = "to measure", benchmark.needed
        if measurement.existing():
            self.num_made += 1
            what = f"measured already, {measurement.path}"
            lacking = [f"{made} to be made" for made in _lacking(measurement, sends)]
            if not lacking:
                return what
            what = "; ".join([what, *lacking])
        counts, files = [], []
        for network in measurement.networks:
            path, lacking = missing(
                benchmark.feature_set, pictures, network, options, folder=self.job.folders.features
            )
            request = FeatureRequest(
                dataset=benchmark.feature_set, pictures=pictures, network=network, options=options
            )
            planned = self.planned.setdefault(request.source, set())
            counts.append(len(lacking - planned))
            planned |= lacking
            files.append(f"{path.name} {'is there' if path.is_file() else 'is missing'}")
        to_do = self._added(measurement.networks, [options] * len(counts), counts, pictures)
        files_are = f" ({', '.join(files)})" if any(counts) else ""
        return f"{what}, {counted(len(pictures), 'picture')}; {to_do}{files_are}"

    def _add_archives(self, parts: Sequence[Sequence[Source]]) -> None:
        """Archives take their size once more when unpacked; benchmarks may share them."""
        for source in (part[0] for part in parts):
            if source not in self.fetched:
                self.fetched.add(source)
                self.num_bytes += 2 * (source.size or 0)

    def _unseen(self, name: str, definition: DatasetDefinition) -> str:
        """What a benchmark whose pictures are not here yet will take, all of its pictures."""
        networks = list(dict.fromkeys(network for fused in self.fusions for network in fused))
        options = [extraction_of(self.job, name, [network]) for network in networks]
        values = {name: getattr(options[0], name) for name in declarations(Extraction)}
        variants = list(settings_of(Settings.of(values), self.job.sweep))
        num_probes = len(dict.fromkeys(self.job.probes))
        num_variants = len(variants) * num_probes * len(self.job.shots)
        self.num_measurements += len(self.fusions) * num_variants
        ids = {f"picture {n}" for n in range(definition.num_pictures)}
        ids |= {f"crop {n}" for n in range(definition.num_crops)}
        counts = []
        for network, of_network in zip(networks, options, strict=True):
            count = 0
            for mirror in dict.fromkeys(variant.extraction.mirror for variant in variants):
                request = FeatureRequest(
                    dataset=definition.feature_set,
                    pictures={},
                    network=network,
                    options=replace(of_network, mirror=mirror),
                )
                planned = self.planned.setdefault(request.source, set())
                count += len(ids - planned)
                planned |= ids
            counts.append(count)
        if not ids:
            return "how many pictures it has is known then"
        added = self._added(networks, options, counts)
        limited = " (all of them, --limit not counted)" if self.job.data.limit else ""
        return f"{definition.num_pictures:,} pictures{limited}; {added}"

    def _added(
        self,
        networks: Sequence[Network],
        options: Sequence[Extraction],
        counts: Sequence[int],
        pictures: Mapping[str, Picture] | None = None,
    ) -> str:
        """Add so many new descriptors of each net, of these pictures, to the sums, and say so."""
        num_bytes, seconds = 0, 0.0
        for network, of_network, count in zip(networks, options, counts, strict=True):
            if count:
                numbers = len(of_network.scales) * network.backbone.dim
                num_bytes += count * (numbers * BYTES_OF[of_network.dtype] + ROW_BYTES)
                alone = self.extraction.of(network, of_network, count, pictures)
                seconds += alone / at_once(self.device, self.num_devices)
        self.num_descriptors += sum(counts)
        self.num_bytes += num_bytes
        self.seconds += seconds
        if not any(counts):
            return "no more descriptors to extract"
        return (
            f"{counted(sum(counts), 'descriptor')} to extract, {_size(num_bytes)},"
            f" about {in_words(seconds)}"
        )


def _lacking(measurement: TransferMeasurement, sends: bool) -> list[str]:
    """What belongs beside a record that is there, and is not."""
    lacking = []
    if sends and not measurement.archive_path.is_file():
        lacking.append("the server's archive")
    if measurement.saves_probe and not measurement.probe_path.is_file():
        lacking.append("the saved probe")
    return lacking


def _weights_bytes(spec: NetSpec, network: Network) -> int:
    """Size of the file that is to be fetched; where nobody states it, 4 bytes a parameter."""
    if spec.weights_or_default != TIMM_WEIGHTS:
        return round(released.released(spec.name, spec.weights_or_default).megabytes * 1e6)
    return sum(4 * parameter.numel() for parameter in network.net().parameters())


def _sources(parts: list) -> str:
    sources = [part[0] for part in parts]
    return ", ".join(s.name + (f" ({_size(s.size)})" if s.size else "") for s in sources)


def _place(location: Path | list[Path]) -> str:
    return str(location) if isinstance(location, Path) else ", ".join(map(str, location))


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:,.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:,.1f} MB"
