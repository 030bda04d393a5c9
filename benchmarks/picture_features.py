"""What `vggfeat extract --images` does: descriptors of pictures that belong to no benchmark."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vggfeat.backbones.check import check_net
from vggfeat.backbones.load import load_fusions
from vggfeat.backbones.spec import Fusion
from vggfeat.errors import OptionError, StoreError
from vggfeat.features.conditions import check_scales
from vggfeat.features.exports import EXPORT_SUFFIXES, check_export, export_features
from vggfeat.features.extract import Extracted
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.layouts.unlabelled import UnlabelledPictures, read_pictures
from vggfeat.plurals import counted
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress
from vggfeat.storage import files
from vggfeat.storage.folders import Folders

log = logging.getLogger(__name__)

FEATURE_FILE = ".h5"
SCALES = (256,)  # shortest sides by default: one pass a picture


@dataclass(frozen=True, kw_only=True)
class PictureJob:
    """What the user asked for: the descriptors of pictures by each net.

    `to` is the file that they shall be in; without it they go into the cache.
    """

    images: Path  # a folder, or a list of pictures
    nets: Sequence[Fusion]
    folders: Folders
    options: Extraction
    to: Path | None = None
    offline: bool = False

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is fetched; OSError."""
        specs = [spec for fusion in self.nets for spec in fusion]
        for spec in specs:
            check_net(spec)
        if self.to is None:
            return
        if len(specs) != 1:
            raise OptionError(
                f"{self.to}: holds the descriptors of one net at one layer, and {len(specs)} are"
                " asked for. Give each its own command and file, or leave out --to."
            )
        if self.to.suffix.lower() != FEATURE_FILE:
            if self.to.suffix.lower() not in EXPORT_SUFFIXES:
                suffixes = ", ".join((FEATURE_FILE, *EXPORT_SUFFIXES))
                raise OptionError(
                    f"{self.to}: descriptors are written to {suffixes}, or to shards in a folder:"
                    f" --to {self.to}/, with a slash."
                )
            check_export(self.to)
        if self.to.is_dir():
            raise OptionError(f"{self.to}: is a folder. Name a file with --to.")
        files.check_writable(self.to.parent)


@dataclass(frozen=True, kw_only=True)
class Described:
    """The descriptors of pictures by one net: of how many pictures, and where they are."""

    net: str
    num_pictures: int  # with a descriptor
    extracted: Extracted
    paths: Sequence[Path]


def extract_pictures(
    job: PictureJob, progress: Progress, workers: Workers = ALONE
) -> Iterator[Described]:
    """Make the descriptors that are missing, one net after the other; nets may share passes.

    Of several workers all extract, and only the leading one yields. Raises VggfeatError, above all
    at pictures or nets that are not there, and OSError.
    """
    job.check()
    pictures = read_pictures(job.images)
    for note in pictures.notes:
        log.warning("%s: %s", job.images, note)
    with workers.leader_first("nets"):
        fusions = load_fusions(job.nets, weights_dir=job.folders.weights, offline=job.offline)
    networks = {net.identity: net for fused in fusions for net in fused}.values()
    for network in networks:
        check_scales(network, job.options)
    requests = [
        FeatureRequest(
            dataset=pictures.feature_set,
            pictures=pictures.files,
            network=network,
            options=job.options,
            may_change=True,
        )
        for network in networks
    ]
    to = job.to if job.to is not None and job.to.suffix.lower() == FEATURE_FILE else None
    folder = job.folders.features if to is None else None
    features = FeatureSets(folder, progress, workers, to=to)
    features.gather(requests)
    features.extract_together(requests)
    for request in requests if workers.leads else ():
        extracted = features.extract(request)
        paths = [extracted.path]
        if job.to is not None and to is None:
            ids = [i for i in pictures.ids if i not in extracted.skipped]
            paths = export_features(extracted.path, job.to, ids=ids, scales=job.options.scales)
        yield _described(request.network.label, pictures, extracted, paths)


def _described(
    net: str, pictures: UnlabelledPictures, extracted: Extracted, paths: Sequence[Path]
) -> Described:
    """Raises StoreError if none of the pictures could be read."""
    num_pictures = len(pictures.ids) - len(extracted.skipped)
    if not num_pictures:
        raise StoreError(
            f"{pictures.root}: none of its {counted(len(pictures.ids), 'picture')} could be read."
        )
    return Described(net=net, num_pictures=num_pictures, extracted=extracted, paths=paths)
