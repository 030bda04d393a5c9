"""Checksums inside files: of plain JSON values, and of .safetensors files as a whole.

The digest of a .safetensors file lies in its metadata. It is that of the file with 64 zeros in the
digest's place, so it covers every bit. Files that others wrote have none.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

MAX_DEPTH = 50  # of lists and objects; what vggfeat writes has less than 10
SEAL = "sha256"  # the key that holds the digest of all else
BLANK = {SEAL: "0" * 64}  # what the metadata of a .safetensors file hold until it is sealed
OURS = "vggfeat"  # how our keys in a file's metadata begin
SEALED_VERSION = 2  # the schema version in a file's metadata that says that it holds its digest
_MAX_HEADER = 100_000_000  # bytes, as safetensors has it
_CHUNK = 2**20


def parse_json(text: str | bytes) -> Any:
    """What a text of JSON says. Raises ValueError if it is none, or is nested without measure.

    json.loads reads a nesting of a thousand, at which all that is done with it later fails.
    """
    try:
        values = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested without measure") from error
    level = [values]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return values
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def digest_of_json(values: Any) -> str:
    """The SHA-256 of plain JSON values in hexadecimal digits, whatever their order and spaces."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values and, last, the digest of all of them."""
    # Tuples are lists, and numbers that are keys are texts, in what is read.
    plain = json.loads(json.dumps({name: v for name, v in values.items() if name != SEAL}))
    return {**plain, SEAL: digest_of_json(plain)}


def is_sealed(values: Mapping[str, Any]) -> bool:
    """Whether values that were read carry a digest; those of earlier versions do not."""
    return SEAL in values


def is_sound(values: Mapping[str, Any]) -> bool:
    """Whether values that were read are those that were sealed; False without a digest."""
    return is_sealed(values) and sealed(values)[SEAL] == values[SEAL]


def is_damaged(values: Mapping[str, Any]) -> bool:
    """Whether values that were read carry a digest that is not theirs."""
    return is_sealed(values) and not is_sound(values)


def seal_file(file: BinaryIO) -> None:
    """Put the digest into a file, open for reading and writing, whose metadata hold BLANK."""
    header = _sorted(_header(file))
    place = _place(header, BLANK[SEAL])
    digest = _digest(file, header, place).encode()
    file.seek(8)
    file.write(header[:place] + digest + header[place + len(digest) :])


def _sorted(header: bytes) -> bytes:
    """The header with its metadata in the order of their names, which safetensors leaves open."""
    values = json.loads(header)
    values["__metadata__"] = dict(sorted(values["__metadata__"].items()))
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    return text.ljust(len(header)) if len(text) <= len(header) else header


def metadata_of(path: Path, about: str) -> dict[str, str]:
    """A file's metadata, once its digest is seen to be right, if it has one; empty without any.

    about is the key whose JSON holds the schema version. Read once while the file stays as it is.
    Raises ValueError if the digest is not the file's, or is missing where it must be, and OSError.
    """
    state = path.stat()
    metadata = dict(_metadata_of(path, state.st_ino, state.st_size, state.st_mtime_ns))
    if not any(key.startswith(OURS) for key in metadata):
        metadata.pop(SEAL, None)
    if SEAL not in metadata and _version(metadata.get(about)) == SEALED_VERSION:
        raise ValueError("it is not as it was written: its SHA-256 is missing")
    return metadata


@lru_cache(maxsize=32)
def _metadata_of(path: Path, *state: int) -> dict[str, str]:
    with path.open("rb") as file:
        header = _header(file)
        try:
            metadata = dict(parse_json(header).get("__metadata__") or {})
        except (ValueError, AttributeError, TypeError):
            return {}  # safetensors says what is wrong with it
        # Others may have a key of this name, too.
        if SEAL in metadata and any(key.startswith(OURS) for key in metadata):
            digest = str(metadata[SEAL])
            if digest != _digest(file, header, _place(header, digest)):
                raise ValueError("it is not as it was written: its SHA-256 is another")
    return metadata


def _version(text: str | None) -> int:
    try:
        return int(parse_json(text or "{}").get("schema_version", 0))
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
    blank = BLANK[SEAL].encode()
    total = hashlib.sha256(len(header).to_bytes(8, "little"))
    total.update(header[:place] + blank + header[place + len(blank) :])
    file.seek(8 + len(header))
    while content := file.read(_CHUNK):
        total.update(content)
    return total.hexdigest()
