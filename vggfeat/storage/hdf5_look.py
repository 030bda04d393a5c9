"""A process of its own that looks at HDF5 files, as HDF5 does not end at some damaged ones.

For each path, a line of hexadecimal digits on stdin, it does once whatever a reader may do with the
file's structure, and answers with a line on stdout. It imports nothing of vggfeat, so that it
starts in a tenth of a second. vggfeat/storage/hdf5.py starts it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import h5py

try:
    import resource
except ImportError:  # Windows
    resource = None

MAX_BYTES, MAX_TEXT_BYTES = 2**30, 2**33  # of this process, and more for the texts of large files


class TooLarge(Exception):
    """More memory is asked for than a sound file needs."""


def look(path: bytes) -> None:
    """Visit all groups, attributes, layouts and indices of chunks, and read what has no fixed size.

    Arrays of numbers are left out: nothing but their index can be circular.
    """
    file_bytes = os.path.getsize(path)
    if resource:
        limit = MAX_BYTES + min(4 * file_bytes, MAX_TEXT_BYTES)  # texts of a few letters grow
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    seen: set[int] = set()
    with _passing_over(), h5py.File(path, "r", locking=False) as file:
        todo = [file]
        while todo:
            item = todo.pop()
            with _passing_over():
                address = h5py.h5o.get_info(item.id).addr
                if address not in seen:
                    seen.add(address)
                    todo += _members(item)
                    _attributes(item)
                    _index_and_texts(item, file_bytes)


def _members(item: h5py.Dataset | h5py.Group) -> list[h5py.Dataset | h5py.Group]:
    members = []
    for name in item if isinstance(item, h5py.Group) else ():
        with _passing_over():
            if isinstance(item.get(name, getlink=True), h5py.HardLink):
                members.append(item[name])
    return members


def _attributes(item: h5py.Dataset | h5py.Group) -> None:
    for name in item.attrs:
        with _passing_over():
            item.attrs[name]


def _index_and_texts(item: h5py.Dataset | h5py.Group, file_bytes: int) -> None:
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        return
    if item.chunks:
        with _passing_over():
            item.id.get_num_chunks()
    # Not more than can be in the file.
    if item.dtype.hasobject and item.size * item.dtype.itemsize <= file_bytes:
        item[()]


@contextmanager
def _passing_over() -> Iterator[None]:
    """An error of a part: whoever reads this part reports it, unless it takes too much memory."""
    try:
        yield
    except TooLarge:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or "alloc" in str(error):
            raise TooLarge from error


def _answer(path: bytes) -> str:
    try:
        look(path)
    except TooLarge:
        return "too large"
    except Exception:
        pass  # as above
    return "seen"


def main(cpu_seconds: float) -> None:
    """Answer until stdin ends. cpu_seconds is what a file may take; disks may be slow."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends stdin
    print("ready", flush=True)
    for line in sys.stdin:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # ends this process
        answer = _answer(bytes.fromhex(line))
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(answer, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
