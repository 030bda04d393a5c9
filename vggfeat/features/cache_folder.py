"""What the cache folder holds, by kind: size, age and use of each entry; and how it is removed.

Only what vggfeat made or fetched is an entry, by the names that it gives: data folders, and files
that the user put there, are not, whatever folder is taken for the cache. Nothing is followed out of
it: of a link the link goes.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vggfeat.errors import StoreError
from vggfeat.storage.folders import Folders
from vggfeat.storage.locks import if_free

# What is removed with an entry: what lies beside it under its name. Lock files of features stay.
BESIDE = (".sha256", ".card.json")
# Folders of unpacked archives and of links end with a digest, generated ones with a version.
UNPACKED = re.compile(
    r"(.+?)-(?:joined-)?[0-9a-f]{12}|(?P<made>digits|drawings|synthetic_[a-z]+)-\d+"
)
FEATURES = re.compile(r".+-[0-9a-f]{12}\.h5")  # with the digest of the conditions
PARTS = re.compile(r"(.+-[0-9a-f]{12}\.h5)\.parts")
SCRATCH = re.compile(r"(\.vectors-[0-9a-f]{8}\.float32)(?:-fits-\w+)?")
FACTS = re.compile(r"\w+-[0-9a-f]{32}\.json")
OF_HUGGINGFACE = re.compile(r"models--.+|\.locks|CACHEDIR\.TAG|version\.txt")
DEMO, DEMO_RUNS = "demo", re.compile(r"demo_runs-\w+")
OF_RECORDS = (".json", ".h5", ".csv", ".part")
PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")  # what a process that was killed had begun


@dataclass(frozen=True)
class Entry:
    """A file or folder of the cache that can be made or fetched again."""

    kind: str  # one of KINDS
    path: Path
    bytes: int  # of what lies in it; a link has none
    modified: float  # seconds since 1970, of the newest file in it
    what: str  # what it holds and what uses it

    def age_days(self) -> float:
        """Days since something in it was written last."""
        return max(0.0, time.time() - self.modified) / 86400


def entries(places: Folders, kinds: tuple[str, ...] = ()) -> Iterator[Entry]:
    """The entries of these kinds, of all by default, in the order of KINDS and of names."""
    for kind in kinds or KINDS:
        folder, find = KINDS[kind]
        root = places.cache / folder
        if not _is_inside(root, places.cache) or not root.is_dir():
            continue
        for path, what in find(root):
            if not os.path.lexists(path):
                continue
            if places.data.resolve().is_relative_to(path.resolve()):
                continue  # the user's data lie in it
            size, modified = measured(path)
            yield Entry(kind, path, size, modified, what)


def led_out(places: Folders) -> list[Path]:
    """Folders of the cache that are links to elsewhere, whose content is left alone."""
    roots = dict.fromkeys(places.cache / folder for folder, _ in KINDS.values())
    return [root for root in roots if not _is_inside(root, places.cache)]


def _is_inside(path: Path, cache: Path) -> bool:
    """Whether a folder of the cache really lies in it, whatever links lead there."""
    return path.resolve().is_relative_to(cache.resolve())


def _features(folder: Path) -> Iterator[tuple[Path, str]]:
    from vggfeat.features import store

    for path in sorted(folder.iterdir()):
        if part := PART.fullmatch(path.name):
            yield path, f"begun and not finished: {part[1]}"
        if parts := PARTS.fullmatch(path.name):
            yield path, f"parts that several processes extracted, not merged yet: {parts[1]}"
        if not FEATURES.fullmatch(path.name):
            continue  # lies here by the user's wish
        if path.is_symlink():
            yield path, "a link"
            continue
        try:
            conditions, ids, _ = store.contents(path)
        except StoreError:
            yield path, "cannot be read as a feature file"
            continue
        scales = ", ".join(map(str, conditions.scales))
        used = f"{conditions.dataset}, {conditions.network}, {conditions.layer} at {scales}"
        yield path, f"{used}; {len(ids):,} pictures"


def _weights(folder: Path) -> Iterator[tuple[Path, str]]:
    from vggfeat.weights.released import everything

    nets: dict[str, list[str]] = {}
    for entry in everything():
        for source in entry.sources:
            nets.setdefault(source.name, []).append(entry.label)
    for path in sorted(folder.iterdir()):
        begun = next((name for name in nets if path.name.startswith(f".{name}.")), None)
        if path.name in nets:
            yield path, ", ".join(dict.fromkeys(nets[path.name]))
        elif path.name == "timm" and _holds_only(path, OF_HUGGINGFACE):
            yield path, "nets of timm"
        elif begun and path.suffix != ".lock":
            yield path, f"begun and not finished: {begun}"


def _unpacked(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir()):
        if part := PART.fullmatch(path.name):
            yield path, f"begun and not finished: {part[1]}"
        elif not path.is_dir() or not (name := UNPACKED.fullmatch(path.name)):
            continue
        elif "-joined-" in path.name:
            yield path, f"links to the parts of {name[1]}"
        else:
            yield path, f"pictures of {name[1] or name['made']}"


def _copies(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir()):
        if part := PART.fullmatch(path.name):
            yield path, f"copy of a remote {part[1]}"


def _scratch(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir()):
        if SCRATCH.fullmatch(path.name):
            yield path, "vectors of a probe, while it is fitted"


def _libraries(folder: Path) -> Iterator[tuple[Path, str]]:
    if _holds_only(folder, FACTS):
        yield folder, "what timm and torchvision say of their nets"


def _demo(folder: Path) -> Iterator[tuple[Path, str]]:
    runs = [path for path in sorted(folder.iterdir()) if DEMO_RUNS.fullmatch(path.name)]
    files = (folder / DEMO).rglob("*")
    if runs and all(path.is_dir() or path.suffix in OF_RECORDS for path in files):
        yield folder / DEMO, "records of `vggfeat demo`"
    yield from ((path, "nets of `vggfeat demo`") for path in runs)


def _holds_only(folder: Path, names: re.Pattern) -> bool:
    """Whether a folder holds something, and nothing but what has such names."""
    held = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return bool(held) and all(names.fullmatch(name) or PART.fullmatch(name) for name in held)


# Kind -> the folder below the cache, and what finds the entries in it.
KINDS: dict[str, tuple[str, Callable[[Path], Iterator[tuple[Path, str]]]]] = {
    "features": ("features", _features),
    "weights": ("weights", _weights),
    "unpacked": ("unpacked", _unpacked),
    "copies": ("copies", _copies),
    "scratch": ("scratch", _scratch),
    "libraries": ("libraries", _libraries),
    "demo": ("", _demo),
}


def measured(path: Path) -> tuple[int, float]:
    """The bytes in a file or folder, links unfollowed, and when the newest file was written."""
    state = path.lstat()
    if path.is_symlink() or not path.is_dir():
        return (0 if path.is_symlink() else state.st_size), state.st_mtime
    total, newest = 0, state.st_mtime
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                state = os.lstat(os.path.join(folder, name))
            except OSError:  # gone meanwhile
                continue
            total += state.st_size
            newest = max(newest, state.st_mtime)
    return total, newest


def remove(entry: Entry, places: Folders) -> bool:
    """Remove an entry with what belongs to it, unless another process is at work on it.

    Raises OSError.
    """
    if not _is_inside(entry.path.parent, places.cache):
        return False  # a link was put there meanwhile
    if entry.kind == "features" and PARTS.fullmatch(entry.path.name):
        from vggfeat.features import part_files

        return part_files.remove_all(entry.path)
    own_lock = entry.path.with_name(f"{entry.path.name}.lock")
    target = entry.path
    if entry.kind == "scratch":  # what a fit leaves beside its vectors goes by their lock
        target = target.with_name(SCRATCH.fullmatch(target.name)[1])
    with if_free(target, own_lock if entry.kind == "features" else None) as free:
        if not free:
            return False
        if entry.path.is_symlink() or not entry.path.is_dir():
            entry.path.unlink(missing_ok=True)
        else:
            shutil.rmtree(entry.path)
        for suffix in BESIDE:
            entry.path.with_name(entry.path.name + suffix).unlink(missing_ok=True)
    return True
