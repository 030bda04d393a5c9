"""Datasets that a library's loader reads: a root folder as it expects one, of whatever is there."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from vggfeat.benchmarks.sources.loader_parts import PACKED_SUFFIXES, Part, Search
from vggfeat.errors import DatasetError, DownloadError
from vggfeat.plurals import counted
from vggfeat.progress import Progress, in_megabytes, no_progress
from vggfeat.storage.archives import unpack_parts
from vggfeat.storage.download import download
from vggfeat.storage.folders import Folders
from vggfeat.storage.joined import arrange
from vggfeat.storage.sources import Source

__all__ = ["LoaderRoot", "Part"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoaderRoot:
    """The root folder of a dataset that a loader of torchvision's reads, and its parts.

    Where all parts lie as the loader expects them, that folder is used. Otherwise a folder of links
    is made in the cache: to parts that were unpacked by hand into whichever folder, up to two
    levels down, and to what is unpacked into the cache from archives. What is missing is fetched.
    `by_hand` says how to get a dataset that cannot be fetched, in a sentence. Raises ValueError if
    one part is inside another.
    """

    name: str
    parts: tuple[Part, ...]
    by_hand: str = ""

    def __post_init__(self):
        paths = [PurePosixPath(part.path) for part in self.parts]
        for one, other in itertools.permutations(paths, 2):
            if one.is_relative_to(other):
                raise ValueError(f"{self.name}: the part {one} lies inside of the part {other}")

    @property
    def is_served(self) -> bool:
        """Whether all of it can be fetched."""
        return all(part.mirrors for part in self.parts)

    @property
    def files(self) -> tuple[tuple[Source, ...], ...]:
        """All that can be fetched, each as its addresses."""
        return tuple(dict.fromkeys(part.mirrors for part in self.parts if part.mirrors))

    def is_here(self, folders: Folders) -> bool:
        """Whether all parts are there, unpacked or packed."""
        return not self._search(folders).absent

    def locate(self, folders: Folders) -> Path | list[Path] | None:
        """The root where all parts are as the loader expects them, else what is there, or None."""
        search = self._search(folders)
        return search.root or search.paths or None

    def missing(self, folders: Folders) -> list[tuple[Source, ...]]:
        """What has to be fetched first, each as its addresses; nothing where that is not enough."""
        mirrors = dict.fromkeys(part.mirrors for part in self._search(folders).absent)
        return list(mirrors) if all(mirrors) else []

    def altered(self, folders: Folders) -> list[Path]:
        """Files as downloaded that have other content than distributed; reads them to the end."""
        search = self._search(folders)
        paths = [] if search.root else search.paths
        return [path for path in paths if not self._is_as_distributed(path)]

    def fetch(self, folders: Folders, *, offline: bool, progress: Progress) -> None:
        """Download what is missing into the data folder. Raises DatasetError or DownloadError."""
        unserved = [part for part in self._search(folders).absent if not part.mirrors]
        if unserved:
            raise DatasetError(self._how_to_get(unserved, folders))
        missing, place, failures = self.missing(folders), folders.data / self.name, []
        if missing and offline:
            raise DownloadError(
                f"{place} lacks {counted(len(missing), 'file')}, and nothing may be fetched"
                f" (--offline or --dry-run). Put there by hand: {'; '.join(map(_any_of, missing))}."
            )
        for mirrors in missing:
            try:
                download(mirrors, place, progress=in_megabytes(progress))
            except DownloadError as error:
                failures.append(str(error))
        if failures:
            raise DownloadError(" ".join(failures))

    def open(
        self, folders: Folders, *, offline: bool = False, progress: Progress = no_progress
    ) -> Path:
        """A root that the loader takes. Raises DatasetError or DownloadError."""
        self.fetch(folders, offline=offline, progress=progress)
        search = self._search(folders)
        if search.root:
            return search.root
        places, packed = dict(search.unpacked), {}
        for part, path in search.files.items():
            if path.name.endswith(PACKED_SUFFIXES):
                packed.setdefault(path, []).append(part)
            else:
                places[part] = path
        for path in places.values():
            if not self._is_as_distributed(path):
                _warn_of_another(path, self._sources[path.name])
        for archive, parts in packed.items():
            wanted = {part.path: part.in_archive for part in parts}
            source = self._sources.get(archive.name)
            root = unpack_parts(archive, wanted, folders.unpacked, source)
            places |= {part: _inside(root, part, archive) for part in parts}
            if places == {part: root / part.path for part in self.parts}:
                return root
        links = {part.path: path for part, path in places.items()}
        return arrange(links, self.name, folders.unpacked)

    def _search(self, folders: Folders) -> Search:
        return Search(self.name, self.parts, folders)

    @property
    def _sources(self) -> dict[str, Source]:
        return {source.name: source for part in self.parts for source in part.mirrors}

    def _is_as_distributed(self, path: Path) -> bool:
        source = self._sources.get(path.name) if path.is_file() else None
        return source is None or source.matches(path)

    def _how_to_get(self, parts: Sequence[Part], folders: Folders) -> str:
        """What to do about parts that cannot be fetched."""
        paths = ", ".join(
            part.path + (f" (with {part.marker} in it)" if part.marker else "") for part in parts
        )
        names = dict.fromkeys(name for part in parts for name in part.archives)
        archives = f", or {', '.join(names)} into {folders.data / self.name}" if names else ""
        how = f" {self.by_hand}" if self.by_hand else ""
        it, path = ("it", "this path") if len(parts) == 1 else ("them", "these paths")
        return (
            f"{folders.data}: holds no {paths} of {self.name}, which cannot be fetched.{how} Put"
            f" {it} there under {path}{archives}."
        )


def _any_of(mirrors: Sequence[Source]) -> str:
    files = dict.fromkeys(f"{each.name} ({each.algorithm} {each.digest})" for each in mirrors)
    return " or ".join(files)


def _inside(root: Path, part: Part, archive: Path) -> Path:
    path = part.at(root / part.path)
    if path is None:
        what = "/".join(filter(None, (part.inside or part.name, part.marker))).removeprefix("./")
        raise DatasetError(f"{archive}: holds no {what}. Fetch it again.")
    return path


@cache
def _warn_of_another(path: Path, source: Source) -> None:
    log.warning(
        "%s: is not the file that is distributed, whose %s is another. If that is news to you,"
        " fetch it again", path, source.algorithm,
    )  # fmt: skip
