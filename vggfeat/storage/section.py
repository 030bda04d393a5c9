"""A section of a file as a file of its own: `Section`."""

import io
from pathlib import Path


class Section(io.RawIOBase):
    """The `size` bytes of a file from `offset` on, to be read. Raises OSError."""

    def __init__(self, path: Path, offset: int, size: int):
        self._file = path.open("rb", buffering=0)
        self._offset, self._size = offset, size
        self.seek(0)

    def readable(self) -> bool:
        """Sections can be read."""
        return True

    def seekable(self) -> bool:
        """Sections can be read from anywhere."""
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the section, and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        return self._file.seek(self._offset + max(0, base + position)) - self._offset

    def tell(self) -> int:
        """The place in the section."""
        return self._file.tell() - self._offset

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read bytes, none beyond the section's end. Raises OSError where the file ends earlier."""
        left = max(0, min(len(buffer), self._size - self.tell()))
        with memoryview(buffer) as view:
            num_read = self._file.readinto(view[:left])
        if left and not num_read:
            raise OSError(f"the file ends before byte {self._offset + self._size:,}")
        return num_read

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()
