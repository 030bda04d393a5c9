"""Vectors of examples in a scratch file, read block by block: `VectorFile`, `VectorFileWriter`.

The file holds the rows one after the other, as float32 of this machine, and nothing else. Rows are
read into two buffers that are used in turn, one by a thread while the other is computed on. A
memory map would count as memory of the process for as long as the system keeps its pages; pages
that the system keeps of files which are read do not.

Shapes: n examples, d dimensions, m rows of a block.
"""

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType

import numpy as np

from vggfeat.errors import StoreError
from vggfeat.prefetch import prefetch
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.storage.files import full_disk_names
from vggfeat.storage.locks import exclusive

DTYPE = np.dtype(np.float32)


class VectorFile(VectorBlocks):
    """The vectors [n, dim] in a file of a `VectorFileWriter`, which other processes may open, too.

    Raises StoreError if the file does not hold whole rows, as a damaged one does not.
    """

    def __init__(self, path: Path, dim: int):
        self.path, self.folder = path, path.parent
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()
        self.held = ExitStack()  # the lock of the file's name, by which `cache clear` knows its use
        size, row = os.fstat(self._file.fileno()).st_size, dim * DTYPE.itemsize
        if size % row:
            self._file.close()
            raise StoreError(f"{path}: holds {size:,} bytes, which are no rows of {row:,}.")
        self.shape = size // row, dim
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        count, dim = self.shape
        rows = max(1, min(rows, count))
        buffers = [np.empty((rows, dim), DTYPE) for _ in range(2)]

        def read(number: int) -> tuple[slice, np.ndarray]:
            block = slice(number * rows, min((number + 1) * rows, count))
            vectors = buffers[number % 2][: block.stop - block.start]
            self._read(block.start, vectors)
            return block, vectors

        # One block is read while the one before is in use: the third has the first one's buffer.
        with closing(prefetch(read, range(-(-count // rows)), num_threads=1, depth=1)) as blocks:
            yield from blocks

    def held_bytes(self, rows: int) -> int:
        return 2 * min(rows, self.shape[0]) * self.shape[1] * DTYPE.itemsize

    def remove_name(self) -> None:
        """Remove the file from its folder; where the system allows, it can be read until `close`.

        A process that is killed then leaves nothing behind.
        """
        if os.name == "posix":
            self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """Close the file, which the process that made it removes."""
        self._file.close()

    def close(self) -> None:
        """Close the file and remove it."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self.held.close()

    def __enter__(self) -> "VectorFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, row: int, vectors: np.ndarray) -> None:
        """Fill `vectors` [m, d] with the rows from this one on."""
        rest = memoryview(vectors).cast("B")
        with self._lock:
            self._file.seek(row * vectors.shape[1] * DTYPE.itemsize)
            while len(rest):
                count = self._file.readinto(rest)
                if not count:
                    raise StoreError(f"{self.path}: shorter than it was; is somebody writing it?")
                rest = rest[count:]


class VectorFileWriter:
    """Writes vectors of `dim` values to a new file in a folder, block by block.

        with VectorFileWriter(folder, dim) as writer:
            for block in blocks:
                writer.append(block)
            vectors = writer.finish()

    Without `finish`, the file is removed when the `with` block ends. A disk that is full raises
    OSError with the file's name.
    """

    def __init__(self, folder: Path, dim: int):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f".vectors-{uuid.uuid4().hex[:8]}.float32"
        self.dim, self.num_rows = dim, 0
        self._finished = False

    def __enter__(self) -> "VectorFileWriter":
        with ExitStack() as held:
            held.enter_context(exclusive(self.path))
            self._file = self.path.open("xb", buffering=0)
            self._held = held.pop_all()
        return self

    def append(self, vectors: np.ndarray) -> None:
        """Write vectors [m, dim] of any kind of floats after those before."""
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(f"Vectors are of shape {vectors.shape}, not [m, {self.dim}].")
        rest = memoryview(np.ascontiguousarray(vectors, DTYPE).reshape(-1).view(np.uint8))
        with full_disk_names(self.path):
            while len(rest):
                rest = rest[self._file.write(rest) :]
        self.num_rows += len(vectors)

    def finish(self, *, shared: bool = False) -> VectorFile:
        """The file with all that was written; whoever takes it closes it, which removes it.

        It loses its name at once, so that nothing stays if the process is killed, unless it is
        shared: then other processes can open it, until `remove_name`.
        """
        self._file.close()  # before it is opened anew: some disks report a lack of room only now
        vectors = VectorFile(self.path, self.dim)
        self._finished = True
        if shared:
            vectors.held = self._held.pop_all()
        else:
            vectors.remove_name()
        return vectors

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self._finished:
            self.path.unlink(missing_ok=True)
        self._held.close()
