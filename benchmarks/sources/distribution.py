"""Datasets that are distributed as archives: found on disk, fetched, unpacked into one folder."""

import itertools
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vggfeat.errors import DatasetError, DownloadError
from vggfeat.progress import Progress, in_megabytes, no_progress
from vggfeat.storage.archives import find_archives, unpack
from vggfeat.storage.download import download
from vggfeat.storage.folders import Folders
from vggfeat.storage.joined import join
from vggfeat.storage.sources import Source

MAX_WRAPPINGS = 4  # of folders that hold one folder each
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Archives, and the folder that they unpack to together.

    `folder` is the name of the dataset's folder, wherever it stands in an archive. `archives`
    lists for each archive the addresses that serve it; all archives are needed, one address of
    each is enough. `marker` names a folder inside the dataset's folder by which that is
    recognised; without one any folder of the name will do. `manual_archives` belong to the dataset
    and cannot be fetched. `evidence` maps archives to a file that only they hold. `parts` are files
    that show that a part of the dataset is in a folder; parts may lie in a folder each.
    """

    name: str
    folder: str
    archives: tuple[tuple[Source, ...], ...] = ()
    marker: str | None = None
    manual_archives: tuple[str, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    by_hand = ""  # as all of it can be fetched, or lies where the user says

    @property
    def is_served(self) -> bool:
        """Whether it can be fetched."""
        return bool(self.archives)

    @property
    def files(self) -> tuple[tuple[Source, ...], ...]:
        """All that can be fetched, each as its addresses."""
        return self.archives

    def is_here(self, folders: Folders) -> bool:
        """Whether its folder is there, or all archives."""
        return bool(self.locate(folders)) and not self.missing(folders)

    def locate(self, folders: Folders) -> Path | list[Path] | None:
        """The dataset's folder in the data folder, else its archives there, else None."""
        candidates = list(self._folders_in(folders))
        if candidates:
            return next(filter(self._is_whole, candidates), candidates[0])
        names = [[source.name for source in mirrors] for mirrors in self.archives]
        places = self._places(folders)
        paths = [path for place in places for path in find_archives(place, self.folder, names)]
        paths += [place / name for place in places for name in self.manual_archives]
        return [path for path in dict.fromkeys(paths) if path.is_file()] or None

    def unused(self, folders: Folders) -> list[Path]:
        """Archives beside the folder that is used instead of them and lacks what they hold."""
        root = self.locate(folders)
        if not isinstance(root, Path):
            return []
        names = [name for name, file in self.evidence.items() if not (root / file).exists()]
        paths = [place / name for place in self._places(folders) for name in names]
        return [path for path in paths if path.is_file()]

    def altered(self, folders: Folders) -> list[Path]:
        """Archives that have a distributed name and other content; reads them to the end."""
        located = self.locate(folders)
        archives = located if isinstance(located, list) else []
        named = [path for path in archives if path.name in self._sources]
        return [path for path in named if not self._sources[path.name].matches(path)]

    def missing(self, folders: Folders) -> list[tuple[Source, ...]]:
        """The archives that would have to be fetched, each as its addresses."""
        located = self.locate(folders)
        if isinstance(located, Path):
            return []
        names = {path.name for path in located or ()}
        if names - self._sources.keys() - set(self.manual_archives):
            return []  # archives under other names count as those that are not there by name
        return [
            mirrors for mirrors in self.archives if not names & {source.name for source in mirrors}
        ]

    def fetch(self, folders: Folders, *, offline: bool, progress: Progress) -> None:
        """Download the missing archives into the data folder. Raises DownloadError."""
        failures = []
        for mirrors in self.missing(folders):
            place = next((p for p in self._places(folders) if self._has_archive(p)), folders.data)
            try:
                download(mirrors, place, offline=offline, progress=in_megabytes(progress))
            except DownloadError as error:
                failures.append(str(error))
        if failures:
            raise DownloadError(" ".join(failures))

    def open(
        self,
        folders: Folders,
        *,
        offline: bool = False,
        progress: Progress = no_progress,
    ) -> Path:
        """The dataset's folder: as it lies on disk, unpacked into the cache, or fetched first.

        Raises DatasetError or DownloadError.
        """
        self.fetch(folders, offline=offline, progress=progress)
        located = self.locate(folders)
        if located is None:
            raise DatasetError(
                f"{folders.data}: holds no folder {self.folder} and no archive of it. Put either"
                " there, or name the folder that holds it with --data-dir."
            )
        if isinstance(located, Path):
            others = self._other_parts(located, folders)
            if others:
                _tell_once(" and ".join(map(str, [located, *others])) + " are used together")
                return join([located, *others], self.folder, folders.unpacked)
            for archive in self.unused(folders):
                _warn_once(f"{archive} is not used, as {located} is there. Unpack it into that.")
            return located
        root = unpack(located, self.folder, folders.unpacked, self._sources)
        while not self._is_whole(root) and (root / self.folder).is_dir():
            root = root / self.folder
        return root

    def _other_parts(self, root: Path, folders: Folders) -> list[Path]:
        """Folders of the dataset's name that hold the parts of it that this one lacks."""
        lacking = [part for part in self.parts if not (root / part).is_file()]
        places = list(self._folders_in(folders)) if lacking else []
        found = [next((p for p in places if (p / part).is_file()), None) for part in lacking]
        return list(dict.fromkeys(filter(None, found)))

    @property
    def _sources(self) -> dict[str, Source]:
        return {source.name: source for mirrors in self.archives for source in mirrors}

    def _places(self, folders: Folders) -> list[Path]:
        return [folders.data, folders.data / self.name]

    def _has_archive(self, place: Path) -> bool:
        return any((place / name).is_file() for name in self._sources)

    def _folders_in(self, folders: Folders) -> Iterator[Path]:
        """Folders of the dataset's name: the data folder itself, or up to three levels down.

        A folder that holds nothing but another is no level: some programs unpack an archive into a
        folder of its name. Not what this tool has unpacked, if the cache lies in the data folder.
        """
        data = folders.data
        if data.resolve().name == self.folder:
            yield data
        places = itertools.chain([data], *(sorted(data.glob(level)) for level in ("*", "*/*")))
        around = itertools.chain.from_iterable(map(_unwrapped, places))
        for path in dict.fromkeys(place / self.folder for place in around):
            hidden = any(name.startswith(".") for name in path.relative_to(data).parts)
            is_folder = os.path.isdir(path)  # False where it cannot be looked, as into lost+found
            if is_folder and not hidden and not path.is_relative_to(folders.unpacked):
                yield path

    def _is_whole(self, root: Path) -> bool:
        """Not an outer folder that only holds one of the same name again."""
        if self.marker is not None:
            return (root / self.marker).is_dir()
        return not (root / self.folder).is_dir()


def _unwrapped(place: Path) -> Iterator[Path]:
    """The place, and the folders in it that have nothing beside them."""
    yield place
    for _ in range(MAX_WRAPPINGS):
        try:
            with os.scandir(place) as entries:
                inside = list(itertools.islice(entries, 2))
        except OSError:  # a file, or nothing to be read
            return
        if len(inside) != 1 or not inside[0].is_dir():
            return
        place = Path(inside[0].path)
        yield place


@cache
def _tell_once(message: str) -> None:
    log.info(message)


@cache
def _warn_once(message: str) -> None:
    """Several benchmarks may be made of one distribution."""
    log.warning(message)
