"""Writing files that appear under their name whole and on disk, or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """A `with` block to write `target` in; a crash or an error inside leaves the old file alone."""
    with new_path(target) as temporary, temporary.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def new_path(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its name when the block ends well.

    For writers that open files themselves, as HDF5 does; they flush to disk on their own.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
