"""Checksums inside .safetensors files: the SHA-256 of a whole file, in its own metadata.

The digest is that of the file with 64 zeros in the digest's place, so it covers every bit. Files
that others wrote have none.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

KEY = "sha256"
BLANK = {KEY: "0" * 64}  # what the metadata hold until a file is sealed
SEALED = 2  # the schema version in a file's metadata that says that it holds its digest
_MAX_HEADER = 100_000_000  # bytes, as safetensors has it
_CHUNK = 2**20


def seal(file: BinaryIO) -> None:
    """Put the digest into a file, open for reading and writing, whose metadata hold BLANK."""
    header = _header(file)
    place = _place(header, BLANK[KEY])
    digest = _digest(file, header, place)
    file.seek(8 + place)
    file.write(digest.encode())


def metadata_of(path: Path, about: str) -> dict[str, str]:
    """A file's metadata, once its digest is seen to be right, if it has one; empty without any.

    about is the key whose JSON holds the schema version. Read once while the file stays as it is.
    Raises ValueError if the digest is not the file's, or is missing where it must be, and OSError.
    """
    state = path.stat()
    return dict(_metadata_of(path, about, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=32)
def _metadata_of(path: Path, about: str, *state: int) -> dict[str, str]:
    with path.open("rb") as file:
        header = _header(file)
        try:
            metadata = dict(json.loads(header).get("__metadata__") or {})
        except (ValueError, AttributeError, TypeError, RecursionError):
            return {}  # safetensors says what is wrong with it
        if KEY in metadata:
            digest = str(metadata[KEY])
            if digest != _digest(file, header, _place(header, digest)):
                raise ValueError("it is not as it was written: its SHA-256 is another")
        elif _version(metadata.get(about)) == SEALED:
            raise ValueError("it is not as it was written: its SHA-256 is missing")
    return metadata


def _version(text: str | None) -> int:
    try:
        return int(json.loads(text or "{}").get("schema_version", 0))
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return 0


def _header(file: BinaryIO) -> bytes:
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    return file.read(length) if length <= _MAX_HEADER else b""


def _place(header: bytes, digest: str) -> int:
    """Where the digest stands in the header. Raises ValueError if that cannot be said."""
    if header.count(digest.encode()) != 1:
        raise ValueError("the place of its SHA-256 cannot be found")
    return header.index(digest.encode())


def _digest(file: BinaryIO, header: bytes, place: int) -> str:
    blank = BLANK[KEY].encode()
    total = hashlib.sha256(len(header).to_bytes(8, "little"))
    total.update(header[:place] + blank + header[place + len(blank) :])
    file.seek(8 + len(header))
    while content := file.read(_CHUNK):
        total.update(content)
    return total.hexdigest()
