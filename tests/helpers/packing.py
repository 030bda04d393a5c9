"""Folders and files packed as datasets are distributed."""

import gzip
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path


def pack(archive: Path, folder: Path, names: Sequence[str]) -> Path:
    """An archive of these files and folders below a folder, by its suffix; .gz is of one file."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w") as file:
            for path in _paths(folder, names):
                file.write(path, path.relative_to(folder))
    elif archive.name.endswith(".tar"):
        with tarfile.open(archive, "w") as file:
            for path in _paths(folder, names):
                file.add(path, path.relative_to(folder), recursive=False)
    elif archive.name.endswith((".tgz", ".tar.gz")):
        with tarfile.open(archive, "w:gz") as file:
            for path in _paths(folder, names):
                file.add(path, path.relative_to(folder), recursive=False)
    else:
        (name,) = names
        archive.write_bytes(gzip.compress((folder / name).read_bytes()))
    return archive


def _paths(folder: Path, names: Sequence[str]) -> list[Path]:
    inside = [path for name in names for path in (folder / name, *(folder / name).rglob("*"))]
    return sorted(inside)
