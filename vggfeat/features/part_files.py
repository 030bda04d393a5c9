"""Parts of a feature file: small feature files beside it, each written by one process alone.

Several processes extract into `FILE.h5.parts/PART-TOKEN.h5`, of which no two write to the same.
Whoever completes FILE.h5 next merges what lies there (merging.py), also of processes that were
killed, and removes it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from vggfeat.errors import StoreError
from vggfeat.features import store
from vggfeat.storage.locks import if_free

ABANDONED_S = 3600.0  # without a change, though what is done is committed every second
SUFFIX = ".parts"  # of the folder, behind the name of the feature file


def folder_of(path: Path) -> Path:
    """The folder with the parts of a feature file."""
    return path.with_name(f"{path.name}{SUFFIX}")


def part_path(path: Path, part: int, token: str) -> Path:
    """Where the process with this token writes a part of a feature file."""
    return folder_of(path) / f"{part:06d}-{token}.h5"


def paths(path: Path, part: int | None = None) -> list[Path]:
    """The parts that lie there of a feature file; those with this number."""
    number = "*" if part is None else f"{part:06d}"
    return sorted(folder_of(path).glob(f"{number}-*.h5"))


def versions(path: Path) -> list[dict[str, str]]:
    """The library versions that wrote to the parts of a feature file, as far as they are sound."""
    found = []
    for part in paths(path):
        with suppress(StoreError):
            found += store.versions(part)
    return found


def clear(path: Path) -> None:
    """Remove parts that the feature file holds all of, as slow processes leave them behind."""
    if not folder_of(path).is_dir():
        return
    with if_free(path, path.with_name(f"{path.name}.lock")) as free, suppress(StoreError):
        if free:
            done = store.known_digests(path)[1].keys()
            remove_held(path, lambda ids: done >= set(ids))


def remove_all(folder: Path) -> bool:
    """Remove a folder of parts with all that nobody is writing to; whether nothing is left."""
    for part in sorted(folder.glob("*.h5")):
        remove(part)
    for name in _begun(folder):
        remove(folder / name)
    with suppress(OSError):  # what is not empty
        folder.rmdir()
    return not folder.exists()


def remove_held(path: Path, holds: Callable[[list[str]], bool]) -> None:
    """Remove the parts whose pictures the feature file holds, and the folder if it is empty then.

    Those stay that another process is writing to, and those of another job, which asks for other
    pictures of the same dataset or under other conditions.
    """
    folder = folder_of(path)
    if not folder.is_dir():
        return
    for part in paths(path):
        with suppress(StoreError):  # what cannot be read is of no use
            if not holds(store.sound_rows(part).ids):
                continue
        remove(part)
    for name in _begun(folder):
        remove(folder / name)
    with suppress(OSError):  # what is not empty
        folder.rmdir()


def _begun(folder: Path) -> Iterator[str]:
    """Names of parts that a killed process had not made yet, or left a lock of."""
    names = {path.name for path in folder.glob("*")}
    for name in sorted(names):
        if name.endswith(".h5.lock") and name.removesuffix(".lock") not in names:
            yield name.removesuffix(".lock")


def remove(part: Path) -> None:
    """Remove a part, with what a killed process left beside it, unless it is being written."""
    lock = part.with_name(f"{part.name}.lock")
    with suppress(FileNotFoundError), if_free(part, lock) as free:  # another job removes it, too
        # Where there are no locks, a file stands for one, which nobody removes after a kill.
        if free or time.time() - part.stat().st_mtime > ABANDONED_S:
            part.unlink(missing_ok=True)
            for begun in part.parent.glob(f".{part.name}.*.part"):
                begun.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
