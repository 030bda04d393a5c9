"""The folders and files that a loader reads, and where on disk they are: whole, apart or packed."""

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from vggfeat.storage.archives import ARCHIVE_SUFFIXES, EVERYTHING
from vggfeat.storage.folders import Folders
from vggfeat.storage.sources import Source

MAX_WRAPPINGS = 4  # of a folder in folders of its own name, as some programs unpack archives
MAX_ENTRIES = 2_000  # of a folder that is searched: one of more is a folder of pictures
PACKED_SUFFIXES = (*ARCHIVE_SUFFIXES, ".gz")
NO_CONTENT = (*PACKED_SUFFIXES, ".sha256")  # what lies in a folder that archives were put into
AS_INSIDE = -1  # instead of how many names of a part's path are left out


@dataclass(frozen=True)
class Part:
    """A folder or file that a loader reads, at `path` below the loader's root.

    `mirrors` are the addresses that serve it, each enough; none if it cannot be fetched. What they
    serve is the file itself, that file compressed by gzip, or an archive, in which the part is the
    folder or file `inside`, at any depth: by default what is called like the last name of `path`,
    "." for all of the archive. Several parts may come from one archive. `marker` is the path of a
    file in the folder by which that is recognised where its name says little. `archives` are names
    of files that hold the part and cannot be fetched.
    """

    path: str
    mirrors: tuple[Source, ...] = ()
    inside: str | None = None
    marker: str = ""
    archives: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the part is called on disk."""
        return PurePosixPath(self.path).name

    @property
    def in_archive(self) -> str:
        """The folder or file of an archive that is the part."""
        return self.inside or self.name

    @property
    def files(self) -> list[str]:
        """Names of files that hold it."""
        return [*(source.name for source in self.mirrors), *self.archives]

    @cached_property
    def tails(self) -> dict[int, str]:
        """Its paths where it was unpacked by hand, by how many of the first names they leave out.

        AS_INSIDE: as in the archive.
        """
        names = PurePosixPath(self.path).parts
        tails = {n: "/".join(names[n:]) for n in range(len(names))}
        if self.in_archive not in (*tails.values(), EVERYTHING):
            tails[AS_INSIDE] = self.in_archive
        return tails

    def at(self, path: Path) -> Path | None:
        """The part where it should be, or in a folder of its own name there; None if it is not."""
        for _ in range(MAX_WRAPPINGS):
            if self._is(path):
                return path
            path = path / path.name
        return None

    def _is(self, path: Path) -> bool:
        """Not where it cannot be looked at, as into lost+found."""
        if self.marker:
            return os.path.exists(path / self.marker)
        if not os.path.isdir(path):
            return os.path.isfile(path)
        if os.path.isdir(path / path.name) or not os.access(path, os.R_OK):
            return False
        with os.scandir(path) as entries:
            return any(
                not e.name.startswith(".") and not e.name.endswith(NO_CONTENT) for e in entries
            )


@dataclass(frozen=True)
class Search:
    """Which parts of a dataset are in the data folder, or up to two levels down in it."""

    name: str
    parts: tuple[Part, ...]
    folders: Folders

    @cached_property
    def root(self) -> Path | None:
        """The folder in which all parts are as the loader expects them."""
        data = self.folders.data.absolute()
        above = all(part.path.startswith(f"{data.name}/") for part in self.parts)
        for place in (*([data.parent] if above else []), *self._places):
            if all(self._at(part, place, part.path) == place / part.path for part in self.parts):
                return place
        return None

    @cached_property
    def unpacked(self) -> dict[Part, Path]:
        """The parts that are there as they are, each where it was found first."""
        found = {part: next(self._unpacked_in(part), None) for part in self.parts}
        return {part: path for part, path in found.items() if path}

    @cached_property
    def files(self) -> dict[Part, Path]:
        """For the other parts, the files that hold them."""
        files = {
            part: [path for place in self._own_places for name in part.files
                   if os.path.isfile(path := place / name)]
            for part in self.parts
            if part not in self.unpacked
        }  # fmt: skip
        return {part: paths[0] for part, paths in files.items() if paths}

    @property
    def paths(self) -> list[Path]:
        """All that was found."""
        return list(dict.fromkeys((*self.unpacked.values(), *self.files.values())))

    @property
    def absent(self) -> list[Part]:
        """The parts that are not there."""
        if self.root:
            return []
        return [part for part in self.parts if part not in (self.unpacked | self.files)]

    def _unpacked_in(self, part: Part) -> Iterator[Path]:
        for left_out, tail in part.tails.items():
            for place in self._places:
                path = self._at(part, place, tail)
                if path and (
                    part.marker
                    or (path.is_file() and self._has_siblings(part, place, left_out))
                    or self._is_ours(place, left_out, tail)
                ):
                    yield path
        data = self.folders.data.absolute()
        if data.name == part.name and part.at(data) and (part.marker or self._has_name(part.name)):
            yield data
        if part.marker and part.in_archive == EVERYTHING:
            yield from (place for place in self._places if part.at(place) == place)

    def _has_siblings(self, part: Part, place: Path, left_out: int) -> bool:
        """Whether all that comes with a file in one archive lies beside it.

        Alone a file called class_names.txt may be anybody's.
        """
        siblings = (p for p in self.parts if p.files == part.files and left_out in p.tails)
        return all(self._at(sibling, place, sibling.tails[left_out]) for sibling in siblings)

    def _is_ours(self, place: Path, left_out: int, tail: str) -> bool:
        """Whether a folder is of this dataset, though its name says as little as "images" does.

        Its name, or that of the folder around it, is the dataset's, or all parts are there.
        """
        if _plain(place.absolute().name) in self._names or self._has_name(tail):
            return True
        beside = [part for part in self.parts if left_out in part.tails]
        return all(self._at(part, place, part.tails[left_out]) for part in beside)

    def _has_name(self, path: str) -> bool:
        return any(name in _plain(path) for name in self._names)

    @cached_property
    def _names(self) -> set[str]:
        """The dataset's own, and those of the folders that the loader expects."""
        first = (PurePosixPath(part.path).parts for part in self.parts)
        own = {_plain(names[0]) for names in first if len(names) > 1}
        return {_plain(self.name), *own}

    @cached_property
    def _own_places(self) -> list[Path]:
        """The data folder, and the folders that are called like the dataset."""
        data, *others = self._places
        return [data, *(place for place in others if _plain(place.name) in self._names)]

    def _at(self, part: Part, place: Path, tail: str) -> Path | None:
        """A part in a place, unless that is known to hold nothing of its name."""
        names = self._listed.get(place)
        if names is not None and PurePosixPath(tail).parts[0] not in names:
            return None
        return part.at(place / tail)

    @property
    def _places(self) -> Iterable[Path]:
        return self._listed

    @cached_property
    def _listed(self) -> dict[Path, frozenset[str] | None]:
        """The data folder, that of the dataset's name, and others, up to two levels down.

        Each with the names in it. Not what this tool has unpacked, if the cache lies in the data
        folder.
        """
        data = self.folders.data
        names, first = _listing(data, None)
        listed, second = {data: names}, []
        own = data / self.name
        for place in sorted(first, key=lambda place: place != own):
            listed[place], inside = _listing(place, MAX_ENTRIES)
            second += inside
        listed |= {place: _listing(place, MAX_ENTRIES)[0] for place in second}
        unpacked = self.folders.unpacked
        return {
            p: names for p, names in listed.items() if p == data or not p.is_relative_to(unpacked)
        }


def _plain(name: str) -> str:
    """Flowers-102 as flowers102."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _listing(folder: Path, most: int | None) -> tuple[frozenset[str] | None, list[Path]]:
    """The names in a folder, None where there are so many, and the folders in it."""
    try:
        with os.scandir(folder) as found:
            entries = list(itertools.islice(found, most))
            inside = [Path(e.path) for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError:
        return frozenset(), []
    names = frozenset(entry.name for entry in entries)
    return (names if most is None or len(entries) < most else None), sorted(inside)
