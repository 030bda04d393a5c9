"""Every dataset that a loader of torchvision's reads: the same root, however its parts came."""

import gzip
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from vggfeat.benchmarks.datasets.registry import distributions
from vggfeat.benchmarks.sources.loader_root import LoaderRoot
from vggfeat.storage.folders import Folders

SOURCES = {
    name: source for name, source in distributions().items() if isinstance(source, LoaderRoot)
}


def written(part):
    """The files of a part by their paths in it: "" is the part itself, where that is a file."""
    if "." in part.name and not part.marker:
        return {"": part.path.encode()}
    names = [name for name in (part.marker, "aa/more.txt") if name]
    is_folder = not PurePosixPath(part.marker).suffix
    return {f"/{n}/1.ppm" if is_folder and n == part.marker else f"/{n}": n.encode() for n in names}


def as_distributed(source):
    """Each file as downloaded with the parts it holds; below "" what nobody distributes."""
    files = {}
    for part in source.parts:
        files.setdefault(next(iter(part.files), ""), []).append(part)
    return files


def pack(path, parts):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        f"{part.in_archive}{name}".removeprefix("./"): data
        for part in parts
        for name, data in written(part).items()
    }
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    elif path.name.endswith((".tar", ".tgz", ".tar.gz")):
        with tarfile.open(path, "w:gz") as archive:
            for name, data in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        (data,) = content.values()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def unpack(folder, parts, layout):
    for part in parts:
        path = part.path
        if layout == "by hand":  # as the archive has it, which the user unpacks into a folder
            path = "unpacked" if part.in_archive == "." else part.in_archive
        for name, data in written(part).items():
            target = Path(f"{folder / path}{name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def files_below(root):
    return {
        Path(at, name).relative_to(root).as_posix(): Path(at, name).read_bytes()
        for at, _, names in os.walk(root, followlinks=True)
        for name in names
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SOURCES)
def test_the_root_is_the_same_however_its_parts_came(name, seed, tmp_path):
    """Each of the files packed, by hand or as torchvision has it, in a folder that is drawn."""
    source, draw = SOURCES[name], random.Random(f"{name} {seed}")
    data = tmp_path / "data"
    data.mkdir()
    for file, parts in as_distributed(source).items():
        layout = draw.choice(["packed", "by hand", "torchvision's"][not file :])
        below = data / draw.choice(["", name] if layout == "packed" else ["", name, "mine"])
        if layout == "packed":
            pack(below / file, parts)
        else:
            unpack(below, parts, layout)
    before = sorted(data.rglob("*"))
    found = files_below(source.open(Folders(data, tmp_path / "cache"), offline=True))
    expected = {
        f"{part.path}{name}": content
        for part in source.parts
        for name, content in written(part).items()
    }
    assert expected.items() <= found.items()
    assert sorted(data.rglob("*")) == before
