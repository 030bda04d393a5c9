"""Pictures part by part, of whatever the user names: `open_parts`.

FOLDER                        the .tar shards in it
train-{000000..000099}.tar    shards by braces, several groups if need be; or a glob, train-*.tar
LIST.txt                      a shard a line, or a picture a line
s3://..., gs://..., https://..., hf://...   shards elsewhere, with braces if need be
"""

import glob
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.braces import expanded, has_braces
from vggfeat.layouts.cut_pictures import CutPictures
from vggfeat.layouts.long_list import LongList
from vggfeat.layouts.own_pictures import entries_of
from vggfeat.layouts.picture_parts import PictureParts
from vggfeat.layouts.tar_shards import TarShards
from vggfeat.layouts.unlabelled import read_pictures
from vggfeat.storage.remote import listed
from vggfeat.storage.urls import is_url, shown, split

log = logging.getLogger(__name__)

ROWS = 10_000  # pictures of a part, where the source has none of its own
TAR = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
FIRST_BYTES = 2**16  # of a list, in which its first line ends


def open_parts(
    source: str, *, copies: Path, rows: int = ROWS, offline: bool = False
) -> PictureParts:
    """The pictures of a source in parts: a tar each, or `rows` pictures of a list or a folder.

    Remote tars are copied into the folder `copies` while they are open, unless offline. Raises
    DatasetError where there are none, naming what is missing, and DownloadError.
    """
    path = Path(source)
    if not names_tars(source) and _is_text_list(source):
        return LongList(path, rows)
    tars = _tars(source, offline)
    if tars is None:
        pictures = read_pictures(path)
        for note in pictures.notes:
            log.warning("%s: %s", path, note)
        return CutPictures(pictures, rows)
    _check_tars(tars, shown(source) if is_url(source) else source, offline)
    return TarShards(tars, copies)


def names_tars(source: str) -> bool:
    """Whether a source is of tars, which come in parts; the first of them is not looked into."""
    if is_url(source):
        return True
    if os.path.isdir(source):
        entries = entries_of(Path(source))
        pictures = any(e.is_dir() or e.name.lower().endswith(PICTURE_SUFFIXES) for e in entries)
        return not pictures and any(_is_tar(entry.name) for entry in entries)
    if _is_text_list(source):
        return _is_tar(_first_line(Path(source)))
    return _is_tar(source)


def _is_text_list(source: str) -> bool:
    return source.lower().endswith(".txt") and os.path.isfile(source)


def _is_tar(name: str) -> bool:
    name = split(name).path if is_url(name) else name
    return name.lower().endswith((TAR, *COMPRESSED))


def _tars(source: str, offline: bool) -> list[str] | None:
    """The tars of a source; None if it is of pictures. Raises DatasetError where there are none."""
    if is_url(source):
        return _of_url(source, offline)
    if os.path.exists(source) and not names_tars(source):
        return None
    if os.path.isdir(source):
        return [entry.path for entry in entries_of(Path(source)) if _is_tar(entry.name)]
    if os.path.isfile(source):
        return [source] if _is_tar(source) else _of_list(Path(source))
    if has_braces(source):
        return [tar for name in expanded(source) for tar in _called(name)]
    if glob.has_magic(source):
        return _called(source)
    raise DatasetError(f"{source}: no such folder, list or tar.")


def _called(name: str) -> list[str]:
    """The tars that a name with stars is of; any other name is of itself."""
    if not glob.has_magic(name) or os.path.exists(name):
        return [name]
    tars = sorted(found for found in glob.glob(name, recursive=True) if _is_tar(found))
    if not tars:
        raise DatasetError(f"{name}: no .tar that is called so.")
    return tars


def _of_url(source: str, offline: bool) -> list[str]:
    if "*" not in source or offline:
        return expanded(source)
    if split(source).scheme.lower() in ("http", "https"):
        raise DatasetError(
            f"{shown(source)}: a web server cannot be searched. Write train-{{000..099}}.tar."
        )
    tars = [url for url in listed(source) if _is_tar(url)]
    if not tars:
        raise DatasetError(f"{shown(source)}: no .tar that is called so.")
    return tars


def _of_list(path: Path) -> list[str]:
    """The tars that a list names; relative paths are as seen from its folder."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is no list in UTF-8. Save it as UTF-8.") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}).") from error
    lines = filter(None, (line.strip() for line in text.split("\n")))
    names = [name for line in lines for name in expanded(line)]
    return [name if is_url(name) else os.path.join(path.parent, name) for name in names]


def _first_line(path: Path) -> str:
    """The first line of a list that is not blank."""
    try:
        with path.open("rb") as file:
            text = file.read(FIRST_BYTES).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return next(filter(None, (line.strip() for line in text.split("\n"))), "")


def _check_tars(tars: Sequence[str], source: str, offline: bool) -> None:
    """Raise DatasetError at tars that are named twice, compressed, missing or out of reach."""
    seen = set()
    missing = []
    for tar in tars:
        named = shown(tar) if is_url(tar) else tar
        place = tar if is_url(tar) else os.path.normpath(tar)
        if place in seen:
            raise DatasetError(f"{source}: names {named} twice. Name it once.")
        seen.add(place)
        if named.lower().endswith(COMPRESSED):
            raise DatasetError(
                f"{named}: is compressed, and pictures are read where they lie in a tar. Unpack it"
                " to a plain .tar; pictures are compressed themselves."
            )
        if not named.lower().endswith(TAR):
            raise DatasetError(f"{named}: is no .tar, as the shards of {source} have to be.")
        if is_url(tar) and offline:
            raise DatasetError(f"{named}: is elsewhere, and nothing may be fetched (--offline).")
        if not is_url(tar) and not os.path.isfile(tar):
            missing.append(tar)
    if missing:
        more = f" and {len(missing) - 1:,} more of {len(tars):,}" if missing[1:] else ""
        raise DatasetError(f"{missing[0]}{more}: no such file, named by {source}.")
