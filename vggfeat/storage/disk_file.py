"""A file whose writer, HDF5 or torch, does not survive a full disk: the first error is kept.

HDF5 writes again what it could not write: when the file is closed, when its objects are freed and
when the process ends, which then crashes. torch's writer makes a RuntimeError of any error. Below
them lies such a file, which tells them that all is well, and us what really happened.
"""

import io
import os
from pathlib import Path


class DiskFile(io.FileIO):
    """An unbuffered file whose `write` never fails; the end of its `with` block does.

    After the first error nothing is written any more. mode is that of `open` without "b". Errors
    name `named`, or else the path.
    """

    def __init__(self, path: Path, mode: str, named: Path | None = None):
        super().__init__(path, mode)
        self._named = named or path
        self._failure: OSError | KeyboardInterrupt | None = None

    def write(self, data) -> int:
        """Write all bytes, or none from the first error on; the number of bytes in any case."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self._failure is None:
                rest = rest[super().write(rest) :]  # a disk may take a part, and then no more
        except (OSError, KeyboardInterrupt) as error:  # h5py makes other errors of an interrupt
            self._keep(error)
        return size

    def readinto(self, buffer) -> int:
        """Fill the whole buffer; zeros stand for what lies beyond the end, or was not written.

        h5py would hand over what was in the buffer's memory, which HDF5 takes for addresses.
        """
        view = memoryview(buffer).cast("B")
        num_read = super().readinto(view) or 0
        view[num_read:] = bytes(len(view) - num_read)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the file's length, unless there was an error before."""
        try:
            if self._failure is None:
                return super().truncate(size)
        except OSError as error:
            self._keep(error)
        return size or 0

    def sync(self) -> None:
        """Bring to disk what was written. Raises OSError if that is not all."""
        try:
            if self._failure is None:
                os.fsync(self.fileno())
        except OSError as error:
            self._keep(error)
        self.check()

    def check(self) -> None:
        """Raise the error of the disk, if there was one, as an OSError that names the file, or the
        interrupt that came while something was written."""
        if self._failure is not None:
            raise self._failure

    def __exit__(self, kind, error, traceback) -> None:
        self.close()
        self.check()  # whatever the writer made of it

    def _keep(self, error: OSError | KeyboardInterrupt) -> None:
        if isinstance(error, OSError):
            error = OSError(error.errno, error.strerror, str(self._named))
        self._failure = error.with_traceback(None)  # which would keep views of memory of HDF5's
