"""Find a dataset's tar and zip archives, and unpack folders of them, whole or not at all."""

import errno
import gzip
import hashlib
import itertools
import logging
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import BinaryIO

from vggfeat.errors import DatasetError
from vggfeat.plurals import counted
from vggfeat.storage.files import new_folder, remove_parts, sha256_of
from vggfeat.storage.locks import exclusive
from vggfeat.storage.seen import warn_of_difference
from vggfeat.storage.sources import Source

log = logging.getLogger(__name__)

CHUNK = 2**20
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
# Entries of a compressed archive that are searched for a folder, as listing all entries of another
# dataset's archive can take minutes.
NUM_ENTRIES_SEARCHED = 20_000
NUM_NAMED = 3  # links that a warning names
# What reading a damaged archive raises.
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    LookupError, RuntimeError, ValueError,
)  # fmt: skip

# Of errors with a number, those that what an archive states leads to: places and names that no file
# has. None are without a number.
OF_THE_ARCHIVE = (None, errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ, errno.EOVERFLOW)

EVERYTHING = "."  # as the part of an archive that is wanted
Names = tuple[str, ...]  # the parts of a path


def find_archives(folder: Path, content: str, names: Sequence[Sequence[str]]) -> list[Path]:
    """The archives in `folder` that together hold a folder called `content`; [] if none does.

    names holds, for each archive that a dataset is distributed as, the file names it may have.
    An archive with such a name is returned unopened, the first name before the others. Unless
    every archive is there by name, those with other names are opened and searched.
    """
    if not folder.is_dir():
        return []
    files = sorted(p for p in folder.iterdir() if p.name.endswith(ARCHIVE_SUFFIXES) and p.is_file())
    by_name = {path.name: path for path in files}
    present = [[by_name[name] for name in choices if name in by_name] for choices in names]
    named = [archives[0] for archives in present if archives]
    if names and len(named) == len(names):
        return named
    all_names = {name for choices in names for name in choices}
    return named + [
        archive
        for archive in files
        if archive.name not in all_names
        and _holds(archive, content, archive.stat().st_size, archive.stat().st_mtime_ns)
    ]


def unpack(
    archives: Sequence[Path],
    content: str,
    cache: Path,
    sources: Mapping[str, Source] = MappingProxyType({}),
) -> Path:
    """Unpack the folder `content` of the archives together under `cache`, and return its path.

    sources maps names of archives to what is known of them: another digest is a warning, as a .tar
    has no checksums of its own.
    A folder that was unpacked from the same archives before is returned as it is. A zip may hold a
    tar that holds the folder, as CaltechDATA's does. Only regular files below `content` are
    written, so that nothing can land outside; symbolic links are left out with a warning. Of two
    processes the second waits for the first. Raises ValueError without archives, DatasetError,
    also if two archives hold different files under one path, and OSError for errors of the disk.
    """
    if not archives:
        raise ValueError("unpack needs at least one archive")

    def placed(names: Names) -> Names | None:
        return names[names.index(content) :] if content in names[:-1] else None

    def write(folder: Path) -> None:
        written: dict[Path, Path] = {}
        for archive in archives:
            _check_digest(archive, sources.get(archive.name))
            log.info("unpacking %s", archive)
            if not _unpack_into(folder, archive, placed, written):
                raise DatasetError(f"{archive}: holds no folder {content!r}.")

    target = cache / f"{content}-{_digest(map(_identity, archives))}"
    _make_once(target, write)
    return target / content


def unpack_parts(
    archive: Path, parts: Mapping[str, str], cache: Path, source: Source | None = None
) -> Path:
    """Unpack folders and files of an archive under `cache`, and return the folder they are in.

    parts maps the path that each gets there to the folder or file within the archive that it is,
    found at any depth: the first that is called so; or to EVERYTHING, without a folder that holds
    all of it. A file that is compressed by gzip is an archive of that file. Otherwise as `unpack`.
    """
    wanted = {path: PurePosixPath(inside).parts for path, inside in parts.items()}
    found: dict[str, Names] = {}  # what stands before each part in the archive

    def placed(names: Names) -> Names | None:
        for path, inside in wanted.items():
            start = _index_of(inside, names)
            if start is not None and found.setdefault(path, names[:start]) == names[:start]:
                return (*PurePosixPath(path).parts, *names[start + len(inside) :])
        return None

    def write(folder: Path) -> None:
        _check_digest(archive, source)
        log.info("unpacking %s", archive)
        _unpack_into(folder, archive, placed, {})
        for path, inside in parts.items():
            if path not in found:
                what = f"no {inside!r}" if inside != EVERYTHING else "no file"
                raise DatasetError(f"{archive}: holds {what}.")
            if inside == EVERYTHING:
                _lift(folder / path)

    identity = [_identity(archive), *(f"{path}={inside}" for path, inside in parts.items())]
    target = cache / f"{archive.name.partition('.')[0]}-{_digest(identity)}"
    _make_once(target, write)
    return target


def _index_of(inside: Names, names: Names) -> int | None:
    """Where the parts of one path begin in another, first."""
    starts = range(len(names) - len(inside) + 1)
    return next((n for n in starts if names[n : n + len(inside)] == inside), None)


def _lift(folder: Path) -> None:
    """Put the content of the only folder in a folder into its place; hidden files do not count."""
    while len(inside := [p for p in folder.iterdir() if not p.name.startswith(".")]) == 1:
        if not inside[0].is_dir():
            return
        aside = inside[0].rename(folder.with_name(f".{folder.name}.aside"))
        shutil.rmtree(folder)
        aside.rename(folder)


def _identity(archive: Path) -> str:
    status = archive.stat()
    return f"{archive.resolve()}:{status.st_size}:{status.st_mtime_ns}"


def _digest(texts: Iterable[str]) -> str:
    text = "\n".join(sorted(texts))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


def _make_once(target: Path, write: Callable[[Path], None]) -> None:
    """Make a folder that `write` fills, unless it is there; of two processes one makes it."""
    if target.is_dir():
        return
    with exclusive(target):
        if not target.is_dir():
            remove_parts(target)
            with new_folder(target) as temporary:
                write(temporary)


def _check_digest(archive: Path, source: Source | None) -> None:
    """Warn of an archive that is not the distributed one, or the one that was seen first."""
    if source is None:
        if archive.suffix == ".tar":  # the others notice damage themselves
            warn_of_difference(archive, sha256_of(archive))
    elif not source.matches(archive):
        log.warning(
            "%s: is not the archive that is distributed, whose %s is another. If that is news to"
            " you, fetch it again", archive, source.algorithm,
        )  # fmt: skip


def _unpack_into(
    folder: Path,
    archive: Path,
    placed: Callable[[Names], Names | None],
    written: dict[Path, Path],
) -> int:
    """Write the files of one archive for which `placed` has a path below folder; how many.

    `written` maps each file to the archive it came from.
    """
    num_files, links = 0, []
    try:
        for inner_path, stream in _entries(archive):
            parts = PurePosixPath(inner_path).parts
            place = None if ".." in parts else placed(parts)
            if place is None:
                continue
            if stream is None:
                links.append(inner_path)
                continue
            target = folder.joinpath(*place)
            if not target.resolve().is_relative_to(folder.resolve()):
                raise DatasetError(f"{archive}: entry {inner_path!r} would leave its folder.")
            _write(target, stream, archive, written, inner_path)
            num_files += 1
    except DAMAGED as error:
        if getattr(error, "errno", None) not in OF_THE_ARCHIVE:  # the disk's
            raise
        raise DatasetError(
            f"{archive}: damaged or cut short ({error}). Fetch it again, or unpack it by hand."
        ) from error
    if links:
        named = ", ".join(links[:NUM_NAMED]) + (", ..." if len(links) > NUM_NAMED else "")
        left_out = counted(len(links), "link is", "links are")
        log.warning("%s: %s left out: %s", archive, left_out, named)
    return num_files


def _write(
    target: Path, stream: BinaryIO, archive: Path, written: dict[Path, Path], inner_path: str
) -> None:
    """Write a file, unless another archive has written the same. Raises DatasetError, OSError."""
    earlier = written.setdefault(target, archive)
    if earlier != archive:
        if not _equal(target, stream):
            raise DatasetError(
                f"{archive} and {earlier} hold different files called {inner_path!r}."
                " Keep the archive that belongs to the dataset, and move the other away."
            )
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(stream, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DatasetError(
            f"{archive}: {inner_path!r} is a file in one place and a folder in another."
            " Fetch it again, or unpack it by hand."
        ) from error


def _equal(path: Path, stream: BinaryIO) -> bool:
    with path.open("rb") as file:
        while True:
            written, entry = file.read(CHUNK), stream.read(CHUNK)
            if written != entry:
                return False
            if not written:
                return True


def _entries(archive: Path) -> Iterator[tuple[str, BinaryIO | None]]:
    """(path, content) of every file of a tar or zip, looking into a tar inside a zip.

    The content of a link that is not to a file of the archive is None. A file that is compressed by
    gzip has that file.
    """
    if archive.name.endswith(".gz") and not archive.name.endswith(".tar.gz"):
        with gzip.open(archive) as stream:
            yield archive.name.removesuffix(".gz"), stream
        return
    if not archive.name.endswith(".zip"):
        with tarfile.open(archive) as tar:
            yield from _tar_entries(tar)
        return
    with zipfile.ZipFile(archive) as outer:
        for info in outer.infolist():
            path = PurePosixPath(info.filename)
            if info.is_dir() or path.name.startswith("._"):  # macOS puts such shadows into zips
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                yield info.filename, None
                continue
            with outer.open(info) as stream:
                if path.name.endswith((".tar", ".tar.gz", ".tgz")):
                    with tarfile.open(fileobj=stream) as tar:
                        yield from _tar_entries(tar)
                else:
                    yield info.filename, stream


def _tar_entries(tar: tarfile.TarFile) -> Iterator[tuple[str, BinaryIO | None]]:
    for member in tar:
        if member.issym():
            yield member.name, None
        elif member.isreg() or member.islnk():
            yield member.name, tar.extractfile(member)  # None for a hard link to no file
    # tarfile accepts a file that is cut between two entries; a whole one ends with zeros.
    tar.fileobj.seek(tar.offset)
    if len(tar.fileobj.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
        raise EOFError("it ends without an end mark")
    while tar.fileobj.read(CHUNK):  # gzip compares its checksum at the very end
        pass


@lru_cache
def _holds(archive: Path, content: str, size: int, mtime_ns: int) -> bool:
    """Whether an archive holds such a folder; searched once for each size and time of it."""
    limit = None if archive.suffix == ".tar" else NUM_ENTRIES_SEARCHED
    try:
        for path, stream in itertools.islice(_entries(archive), limit):
            if stream is not None and content in PurePosixPath(path).parts[:-1]:
                return True
    except DAMAGED as error:
        log.warning("%s: not a readable archive (%s), passed over", archive, error)
    return False
