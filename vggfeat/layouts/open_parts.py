"""Pictures part by part, of whatever the user names: `open_parts`.

FOLDER                        the .tar shards in it
train-{000000..000099}.tar    shards by braces, several groups if need be; or a glob, train-*.tar
LIST.txt                      a shard a line, or a picture a line
s3://..., gs://..., https://..., hf://...   shards elsewhere, with braces if need be
"""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.braces import expanded, has_braces
from vggfeat.layouts.long_list import LongList
from vggfeat.layouts.own_pictures import entries_of
from vggfeat.layouts.picture_parts import PictureParts
from vggfeat.layouts.tar_shards import TarShards

ROWS = 10_000  # pictures of a part, where the source has none of its own
TAR = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
FIRST_BYTES = 2**16  # of a list, in which its first line ends


def open_parts(source: str, *, rows: int = ROWS) -> PictureParts:
    """The pictures of a source in parts: a tar each, or `rows` lines of a list of pictures.

    Raises DatasetError where there are none, naming what is missing.
    """
    path = Path(source)
    if path.is_file() and path.name.lower().endswith(".txt") and not names_tars(source):
        return LongList(path, rows)
    tars = _tars(source)
    if tars is None:
        raise DatasetError(
            f"{source}: no .tar shards, and no text list (.txt) with a path a line. Write the paths"
            " of pictures into such a list, or pack them into tars."
        )
    _check_tars(tars, source)
    return TarShards(tars)


def names_tars(source: str) -> bool:
    """Whether a source is of tars, which come in parts; the first of them is not looked into."""
    path = Path(source)
    if path.is_dir():
        names = [entry.name.lower() for entry in entries_of(path)]
        return any(n.endswith(TAR) for n in names) and not any(
            n.endswith(PICTURE_SUFFIXES) for n in names
        )
    if path.is_file() and path.name.lower().endswith(".txt"):
        return _is_tar(_first_line(path))
    return _is_tar(source)


def _is_tar(name: str) -> bool:
    return name.lower().endswith((TAR, *COMPRESSED))


def _tars(source: str) -> list[str] | None:
    """The tars of a source that is one of tars."""
    path = Path(source)
    if path.is_dir():
        tars = [e.path for e in entries_of(path) if _is_tar(e.name) and not e.is_dir()]
        return tars or None
    if path.is_file():
        if path.name.lower().endswith(".txt"):
            return _of_list(path)
        return [source] if _is_tar(source) else None
    if has_braces(source):
        return expanded(source)
    if glob.has_magic(source):
        tars = sorted(name for name in glob.glob(source, recursive=True) if _is_tar(name))
        if not tars:
            raise DatasetError(f"{source}: no .tar that is called so.")
        return tars
    raise DatasetError(f"{source}: no such folder, tar or list.")


def _of_list(path: Path) -> list[str]:
    """The tars that a list names; relative paths are as seen from its folder."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is no list in UTF-8. Save it as UTF-8.") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}).") from error
    lines = filter(None, (line.strip() for line in text.split("\n")))
    return [os.path.join(path.parent, name) for line in lines for name in expanded(line)]


def _first_line(path: Path) -> str:
    """The first line of a list that is not blank."""
    try:
        with path.open("rb") as file:
            text = file.read(FIRST_BYTES).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return next(filter(None, (line.strip() for line in text.split("\n"))), "")


def _check_tars(tars: Sequence[str], source: str) -> None:
    """Raise DatasetError at tars that are named twice, compressed or missing."""
    seen = set()
    missing = []
    for tar in tars:
        if tar in seen:
            raise DatasetError(f"{source}: names {tar} twice. Name it once.")
        seen.add(tar)
        if tar.lower().endswith(COMPRESSED):
            raise DatasetError(
                f"{tar}: is compressed, and pictures are read where they lie in a tar. Unpack it to"
                " a plain .tar; pictures are compressed themselves."
            )
        if not tar.lower().endswith(TAR):
            raise DatasetError(f"{tar}: is no .tar, as the other shards of {source} are.")
        if not os.path.isfile(tar):
            missing.append(tar)
    if missing:
        more = f" and {len(missing) - 1:,} more of {len(tars):,}" if missing[1:] else ""
        raise DatasetError(f"{missing[0]}{more}: no such file, named by {source}.")
