"""Addresses that serve a file, with the digest that the file must have."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Source:
    """An address that serves a file, how that file's digest starts, and its length if known.

    Raises ValueError if the address is not one of the web, names no file, or the digest is none.
    """

    url: str
    algorithm: Literal["md5", "sha1", "sha256"]
    digest: str
    size: int | None = None  # bytes

    def __post_init__(self):
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"{self.url!r}: an address starts with http:// or https://")
        if self.name in ("", ".", ".."):
            raise ValueError(f"{self.url!r}: an address ends with the name of a file")
        if not re.fullmatch("[0-9a-f]+", self.digest):
            raise ValueError(f"{self.digest!r}: a digest has the digits 0 to 9 and a to f")

    @property
    def name(self) -> str:
        """What the file is called here."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]

    def matches(self, path: Path) -> bool:
        """Whether a file is this one, to the last byte. Raises OSError."""
        if self.size is not None and path.stat().st_size != self.size:
            return False
        return self.digest_of(path).startswith(self.digest)

    def digest_of(self, path: Path) -> str:
        """A file's digest by the source's algorithm. Raises OSError."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest()

    def part(self, folder: Path) -> Path:
        """Where its bytes gather. The same for every mirror of the file."""
        return folder / f".{self.name}.{self.digest[:8]}.part"
