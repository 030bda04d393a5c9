"""Files that carry no checksum: the digest seen first lies beside them, as FILE.sha256.

The format is that of sha256sum, whose `-c` reads it, so a digest that came with a file serves, too.
Where the folder cannot be written to, nothing is remembered.
"""

import logging
import re
from contextlib import suppress
from pathlib import Path

from vggfeat.storage.files import new_file

log = logging.getLogger(__name__)

LONGEST = 4096  # characters of such a file that are looked at


def digest_path(path: Path) -> Path:
    """Where the digest of a file lies."""
    return path.with_name(f"{path.name}.sha256")


def remember(path: Path, sha256: str) -> None:
    """Put the digest beside the file, instead of one that is there; not where nothing can be."""
    with suppress(OSError), new_file(digest_path(path)) as file:
        file.write(f"{sha256}  {path.name}\n".encode())


def first_seen(path: Path) -> str | None:
    """The digest that lies beside a file; None if there is none, or none of it."""
    try:
        if not digest_path(path).is_file():  # perhaps a pipe, which would never end
            return None
        with digest_path(path).open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(LONGEST)
    except OSError:
        return None
    alone = re.fullmatch(r"\s*([0-9a-fA-F]{64})\s*", text)
    name = rf"(?:[^\n]*/)?{re.escape(path.name)}"
    named = re.search(rf"^([0-9a-fA-F]{{64}})[ \t]+\*?{name}[ \t\r]*$", text, re.M)
    of_bsd = re.search(rf"^SHA256 \({name}\) = ([0-9a-fA-F]{{64}})[ \t\r]*$", text, re.M)
    found = alone or named or of_bsd
    if found is None:
        log.warning("%s: holds no SHA-256 of %s: it is not compared", digest_path(path), path.name)
    return found[1].lower() if found else None


def difference(path: Path, sha256: str) -> str | None:
    """In words, that a file has another digest than the one beside it; None if it has the same.

    Without one beside it, this one is remembered.
    """
    before = first_seen(path)
    if before is None:
        if not digest_path(path).exists():
            remember(path, sha256)
        return None
    if before == sha256:
        return None
    return (
        f"{path}: is not the file that was seen first: its SHA-256 is {sha256[:12]}..., and"
        f" {digest_path(path).name} has {before[:12]}.... Bring that file back; or remove"
        f" {digest_path(path).name} if you changed it"
    )


def warn_of_difference(path: Path, sha256: str) -> None:
    """Say it as a warning if a file is not the one that was seen first."""
    if told := difference(path, sha256):
        log.warning("%s", told)
