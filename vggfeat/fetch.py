"""Downloads that are verified before they count, and archives unpacked into their folder only."""

import hashlib
import http.client
import itertools
import logging
import lzma
import shutil
import tarfile
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from vggfeat.errors import DatasetError, DownloadError
from vggfeat.files import new_file, new_folder

log = logging.getLogger(__name__)

TIMEOUT_S = 30  # without a byte from the server
CHUNK = 2**20
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
# A folder is looked for among so many entries of a compressed archive, as listing all of another
# dataset's can take minutes.
NUM_ENTRIES_LOOKED_AT = 20_000
# What reading a damaged archive raises.
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    LookupError, RuntimeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """An address that serves a file, and how that file's digest starts."""

    url: str
    algorithm: Literal["md5", "sha1", "sha256"]
    digest: str

    @property
    def name(self) -> str:
        """What the file is called here."""
        return self.url.rsplit("/", 1)[1]


def download(sources: Sequence[Source], folder: Path, *, offline: bool = False) -> Path:
    """The path in `folder` of the first source's file that is there or can be fetched whole.

    A file that is there is taken as it is: it was verified before it got its name, or was put
    there by hand. Raises DownloadError.
    """
    for source in sources:
        if (folder / source.name).is_file():
            return folder / source.name
    by_hand = " or ".join(f"{s.name} ({s.algorithm} {s.digest})" for s in sources)
    if offline:
        raise DownloadError(
            f"{folder} lacks the file, and nothing may be fetched (--offline or --dry-run)."
            f" Put there by hand: {by_hand}."
        )
    reasons = []
    for source in sources:
        log.info("fetching %s", source.url)
        try:
            return _fetch(source, folder / source.name)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{source.url}: {error}")
    raise DownloadError(
        f"Nothing could be fetched ({'; '.join(reasons)})."
        f" Try again, or put into {folder} by hand: {by_hand}."
    )


def _fetch(source: Source, target: Path) -> Path:
    """Stream one address to disk; the file gets its name only once length and digest fit."""
    digest, size = hashlib.new(source.algorithm), 0
    with (
        urllib.request.urlopen(source.url, timeout=TIMEOUT_S) as response,
        new_file(target) as file,
    ):
        promised = response.headers.get("Content-Length")
        while chunk := response.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        if promised is not None and size != int(promised):
            raise ValueError(f"the connection ended after {size:,} of {int(promised):,} bytes")
        if not digest.hexdigest().startswith(source.digest):
            raise ValueError(
                f"wrong content: {source.algorithm} {digest.hexdigest()}, not {source.digest}"
            )
    return target


def find_archive(folder: Path, content: str, names: tuple[str, ...]) -> Path | None:
    """The archive in `folder` that holds a folder called `content`.

    Archives called one of `names` are taken at their word; any other is opened and looked into.
    """
    if not folder.is_dir():
        return None
    files = sorted(p for p in folder.iterdir() if p.name.endswith(ARCHIVE_SUFFIXES) and p.is_file())
    for archive in files:
        if archive.name in names:
            return archive
    for archive in files:
        if _holds(archive, content):
            return archive
    return None


def unpack(archive: Path, content: str, cache: Path) -> Path:
    """The folder `content` of an archive, unpacked under `cache`; a second call finds it there.

    A zip may hold a tar that holds the folder, as CaltechDATA's does. Only regular files below
    `content` are written, so that nothing can land outside. Raises DatasetError.
    """
    status = archive.stat()
    key = f"{archive.resolve()}:{status.st_size}:{status.st_mtime_ns}"
    target = cache / f"{content}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if not target.is_dir():
        log.info("unpacking %s", archive)
        with new_folder(target) as temporary:
            _unpack_into(temporary, archive, content)
    return target / content


def _unpack_into(folder: Path, archive: Path, content: str) -> None:
    num_files = 0
    try:
        for inner_path, stream in _entries(archive):
            parts = PurePosixPath(inner_path).parts
            if content not in parts or ".." in parts:
                continue
            target = folder.joinpath(*parts[parts.index(content) :])
            if not target.resolve().is_relative_to(folder.resolve()):
                raise DatasetError(f"{archive}: entry {inner_path!r} would leave its folder.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(stream, file)
            num_files += 1
    except DAMAGED as error:
        if getattr(error, "errno", None):  # the disk, not the archive
            raise
        raise DatasetError(
            f"{archive}: damaged or cut short ({error}). Fetch it again, or unpack it by hand."
        ) from error
    if not num_files:
        raise DatasetError(f"{archive}: holds no folder {content!r}.")


def _entries(archive: Path) -> Iterator[tuple[str, BinaryIO]]:
    """(path, content) of every regular file of a tar or zip, looking into a tar inside a zip."""
    if not archive.name.endswith(".zip"):
        with tarfile.open(archive) as tar:
            yield from _tar_entries(tar)
        return
    with zipfile.ZipFile(archive) as outer:
        for info in outer.infolist():
            path = PurePosixPath(info.filename)
            if info.is_dir() or path.name.startswith("._"):  # macOS puts such shadows into zips
                continue
            with outer.open(info) as stream:
                if path.name.endswith((".tar", ".tar.gz", ".tgz")):
                    with tarfile.open(fileobj=stream) as tar:
                        yield from _tar_entries(tar)
                else:
                    yield info.filename, stream


def _tar_entries(tar: tarfile.TarFile) -> Iterator[tuple[str, BinaryIO]]:
    for member in tar:
        if member.isreg() or member.islnk():
            yield member.name, tar.extractfile(member)
    # tarfile takes a file that is cut between two entries for whole; a whole one ends with zeros.
    tar.fileobj.seek(tar.offset)
    if len(tar.fileobj.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
        raise EOFError("it ends without an end mark")
    while tar.fileobj.read(CHUNK):  # gzip compares its checksum at the very end
        pass


def _holds(archive: Path, content: str) -> bool:
    limit = None if archive.suffix == ".tar" else NUM_ENTRIES_LOOKED_AT
    try:
        for path, _ in itertools.islice(_entries(archive), limit):
            if content in PurePosixPath(path).parts:
                return True
    except DAMAGED as error:
        log.warning("%s: not a readable archive (%s), passed over", archive, error)
    return False
