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

    Raises ValueError if the address is not HTTP's or names no file, or the digest is not
    hexadecimal.
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
        """The file's name on disk: the last part of the address's path."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]

    def matches(self, path: Path) -> bool:
        """Whether a file has the length and the digest of this source. Raises OSError."""
        if self.size is not None and path.stat().st_size != self.size:
            return False
        return self.digest_of(path).startswith(self.digest)

    def digest_of(self, path: Path) -> str:
        """A file's digest by the source's algorithm, in hexadecimal digits. Raises OSError."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest()

    def partial_path(self, folder: Path) -> Path:
        """The partial file in `folder`, the same for every mirror of the file."""
        return folder / f".{self.name}.{self.digest[:8]}.part"
