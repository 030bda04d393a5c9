"""One folder of links to the files of several, for a dataset that lies in parts."""

import filecmp
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.storage.files import new_folder
from vggfeat.storage.locks import exclusive


def join(parts: Sequence[Path], name: str, cache: Path) -> Path:
    """A folder `name` under `cache` that links to all files of the parts, whole or not at all.

    Made again when files come or go. Raises DatasetError if two parts have different files under
    one path, and OSError.
    """
    total, folders = hashlib.sha256(), [part.resolve() for part in parts]
    for folder in folders:
        for path, _, _ in os.walk(folder):
            total.update(f"{path}\0{os.stat(path).st_mtime_ns}\n".encode(errors="surrogateescape"))
    target = cache / f"{name}-joined-{total.hexdigest()[:12]}"
    if not target.is_dir():
        with exclusive(target):
            if not target.is_dir():
                with new_folder(target) as temporary:
                    for folder in folders:
                        _link(folder, temporary / name)
    return target / name


def arrange(parts: Mapping[str, Path], name: str, cache: Path) -> Path:
    """A folder under `cache` with a link to each part at its path, whole or not at all.

    Raises OSError.
    """
    places = {path: part.resolve() for path, part in parts.items()}
    text = "".join(f"{path}\0{place}\n" for path, place in sorted(places.items()))
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
    target = cache / f"{name}-joined-{digest[:12]}"
    if not target.is_dir():
        with exclusive(target):
            if not target.is_dir():
                with new_folder(target) as temporary:
                    for path, place in places.items():
                        link = temporary / path
                        link.parent.mkdir(parents=True, exist_ok=True)
                        link.symlink_to(place)
    return target


def _link(folder: Path, target: Path) -> None:
    for path in _files(folder):
        link = target / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(path)
        elif not filecmp.cmp(link, path, shallow=False):
            raise DatasetError(
                f"{link.resolve()} and {path}: two parts of a dataset have different files under"
                " one name. Move the folder away that does not belong to it."
            )


def _files(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        yield from (Path(path, name) for name in sorted(names))
