"""What is printed while a command runs: without control characters, and in the terminal's letters.

Names of files, cards and records of other people are printed, and a terminal obeys what they hold:
it clears lines, turns text around, changes its title.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from vggfeat.errors import printable


class SafeStream:
    """A text stream that prints control characters as \\x1b and the like, but lines and tabs.

    Letters that the stream cannot encode are printed so, too. It has no `buffer`, past which
    nothing is checked.
    """

    def __init__(self, stream: TextIO):
        self.unsafe = stream

    def write(self, text: str) -> int:
        """Write text. Raises TypeError if it is none, as other streams do."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self.write_unchecked(printable(text))
        return len(text)

    def write_unchecked(self, text: str) -> None:
        """Write text that may hold escape sequences of ours; what is not ours is printable."""
        try:
            self.unsafe.write(text)
        except UnicodeEncodeError as error:
            known = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            self.unsafe.write(known)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.unsafe, name)


@contextmanager
def safe_streams() -> Iterator[None]:
    """In the block, stdout and stderr are safe ones."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(SafeStream, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unsafe_stderr() -> TextIO:
    """The stderr on which displays of progress move the cursor."""
    return getattr(sys.stderr, "unsafe", sys.stderr)
