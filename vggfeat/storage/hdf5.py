"""HDF5 files that others made: opened only after another process came to an end with them."""

import atexit
import logging
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import h5py

log = logging.getLogger(__name__)

LOOK = Path(__file__).with_name("hdf5_look.py")
CPU_SECONDS = 3.0  # for one file; a sound one of a million rows takes a third of a second
# Signals that say nothing of the file; Windows has only some.
ENDED_BY_OTHERS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGKILL", "SIGHUP")
    if hasattr(signal, name)
)
MAX_GROWTH = 1032  # of bytes by deflate, the one compression that is written


class Damaged(OSError):
    """A file that HDF5 does not come to an end with, or does not survive."""


def open_file(path: Path, mode: str = "r") -> h5py.File:
    """The file, without HDF5's own lock. Raises OSError, also where HDF5 would never end.

    A damaged file can hold HDF5 in a loop, or end the process. So another process looks at it
    first, once for each size and time of the file; it takes milliseconds.
    """
    status = path.stat()
    key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _seen:
        try:
            _looker.look(path)
        except Damaged as error:
            _seen[key] = str(error)
        else:
            _seen[key] = ""
    if _seen[key]:
        raise Damaged(_seen[key])
    return h5py.File(path, mode, locking=False)


def check_parts(file: h5py.File, names: Sequence[str]) -> None:
    """Raise ValueError unless those of the datasets that are there lie in this file, and fit in it.

    HDF5 follows links and reads other files without a word, and allocates what a shape claims.
    """
    file_bytes = os.stat(file.filename).st_size
    for name in names:
        link = file.get(name, getlink=True)
        if link is None:
            continue
        if not isinstance(link, h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
            raise ValueError(f"{name} is a link to elsewhere or no array")
        part = file[name]
        if part.is_virtual or part.external:
            raise ValueError(f"{name} lies in another file")
        growth = MAX_GROWTH if part.compression else 1
        chunk = math.prod(part.chunks or ()) * part.dtype.itemsize  # unpacked as a whole
        if max(part.nbytes, chunk) > growth * file_bytes:
            raise ValueError(f"{name} has the shape {part.shape}, too large for the file")


def arrays_at_root(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The arrays that lie in the file itself and in none of its groups, by name; links are not."""
    names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    return {name: file[name] for name in names if isinstance(file[name], h5py.Dataset)}


def has_texts(array: h5py.Dataset) -> bool:
    """Whether the values of an array are texts."""
    return h5py.check_string_dtype(array.dtype) is not None


class _Looker:
    """The other process, begun when it is first needed, and anew where a file ended it."""

    def __init__(self):
        self._process: subprocess.Popen | None = None
        self._owner = 0  # the process that began it, as a fork has its parent's pipes
        self._lock = threading.Lock()

    def look(self, path: Path) -> None:
        """Raise OSError if HDF5 does not come to an end with the file."""
        with self._lock:
            if (self._process is None or self._owner != os.getpid()) and not self._begin():
                return
            try:
                self._process.stdin.write(os.fsencode(path.absolute()).hex() + "\n")
                self._process.stdin.flush()
                if answer := self._process.stdout.readline():
                    if answer != "seen\n":
                        raise Damaged(f"damaged: it is {answer.strip()} to be read")
                    return
            except BrokenPipeError:
                pass  # it ended
            except OSError:
                raise
            except BaseException:  # Ctrl-C: its answer must not be taken for another file's
                self._process.kill()
                self.end()
                raise
            code = self.end()
        if -code in ENDED_BY_OTHERS:
            raise OSError(f"the process that looks at HDF5 files first was ended by signal {-code}")
        looped = -code == getattr(signal, "SIGPROF", None)
        raise Damaged("damaged: HDF5 " + ("does not come to an end" if looped else "breaks down"))

    def end(self) -> int:
        """End the process, if there is one, and return its exit status."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return 0
        try:
            process.stdin.close()
        except OSError:
            pass
        process.stdout.close()
        return process.wait()

    def _begin(self) -> bool:
        self._owner = os.getpid()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(LOOK), str(CPU_SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "OPENBLAS_NUM_THREADS": "1",  # numpy's threads reserve memory
                },
            )
            if self._process.stdout.readline() == "ready\n":
                return True
            self.end()
        except OSError:
            pass
        log.warning("no process could be started that looks at HDF5 files before they are opened")
        return False


_looker = _Looker()
_seen: dict[tuple[str, int, int, int], str] = {}  # what is wrong with a file's state, or nothing
atexit.register(_looker.end)
