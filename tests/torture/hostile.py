"""Files that were made to do harm.

Each is given to a command in a process with bounded memory. It must end within ten seconds with one
line, or do its work without what the file wanted; and nothing may lie outside its folder after it.
"""

import os
import pickle
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from helpers.pictures import write_classes, write_picture

from torture.commands import ENVIRONMENT, NET
from vggfeat.benchmarks.protocols.voc_action_protocol import ACTIONS

MAX_SECONDS, MAX_BYTES = 20, 6 * 2**30  # with all libraries, of which torch reserves some GiB


@dataclass(frozen=True)
class Attack:
    """A hostile file: how it is written into a folder, and the command that meets it."""

    name: str
    write: Callable[[Path], None]
    arguments: tuple[str, ...]


class _Code:
    """What runs a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ../harmed",)


def _pickled(folder: Path) -> None:
    (folder / "w.pth").write_bytes(pickle.dumps({"state_dict": _Code()}))


def _pickled_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "w.pth", "w") as archive:
        archive.writestr("w/data.pkl", pickle.dumps(_Code(), protocol=2))
        archive.writestr("w/version", "3")


def _leaving(folder: Path) -> None:
    with tarfile.open(folder / "101_ObjectCategories.tar", "w") as tar:
        for name in ("101_ObjectCategories/../../harmed", "/tmp/101_ObjectCategories/harmed"):
            tar.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("101_ObjectCategories/a")
        link.type, link.linkname = tarfile.SYMTYPE, ".."
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("101_ObjectCategories/a/harmed"))


def _zip_bomb(folder: Path) -> None:
    with zipfile.ZipFile(folder / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", b"\0" * 2**28)


def _elsewhere(folder: Path) -> None:
    with h5py.File(folder / "f.h5", "w") as file:
        file.attrs["schema_version"] = 1
        file["descriptors"] = h5py.ExternalLink("/etc/passwd", "/")


def _huge(folder: Path) -> None:
    with h5py.File(folder / "f.h5", "w") as file:
        file.attrs["schema_version"] = 1
        file.create_dataset("descriptors", (2**40, 1, 1), "float32", chunks=(1, 1, 1))
        file.create_dataset("ids", (2**40,), "int8", chunks=(1,))


def _picture_bomb(folder: Path) -> None:
    """A sound PNG of 60,000 x 60,000 pixels in a few megabytes."""
    write_classes(folder / "101_ObjectCategories", {"a": 2, "b": 2})
    header = np.array([60000, 60000], ">u4").tobytes() + bytes([8, 0, 0, 0, 0])
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 2**26)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in parts
    )
    (folder / "101_ObjectCategories" / "a" / "bomb.png").write_bytes(content)


def _ghostscript(folder: Path) -> None:
    write_classes(folder / "101_ObjectCategories", {"a": 2, "b": 2})
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(../harmed) (w) file\n"
    (folder / "101_ObjectCategories" / "a" / "x.jpg").write_bytes(text)


def _entities(folder: Path) -> None:
    """XML whose entities multiply, as a VOC annotation."""
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE a [<!ENTITY e0 "ha">{lines}]><annotation><size>&e11;</size></annotation>'
    root = folder / "VOCdevkit" / "VOC2012"
    for name in ("Annotations", "JPEGImages", "ImageSets/Action", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    (root / "Annotations" / "1.xml").write_text(text)
    write_picture(root / "JPEGImages" / "1.jpg")
    for part in ("train", "val", "trainval", "test"):
        (root / "ImageSets" / "Action" / f"{part}.txt").write_text("1 1\n")
        for action in ACTIONS:
            (root / "ImageSets" / "Action" / f"{action}_{part}.txt").write_text("1 1 1\n")


def _terminal(folder: Path) -> None:
    (folder / "\x1b[2J\x1b]0;harmed\x07.pth").write_bytes(b"no weights")


_EXTRACT = ("extract", "--dataset", "caltech101", "--net", NET, "--data-dir", ".", "--scales", "32",
            "--cache-dir", "cache", "--on-error", "skip", "--device", "cpu")  # fmt: skip
ATTACKS = (
    Attack("a pickle that runs a command", _pickled, ("doctor", "--weights", "vgg11@w.pth")),
    Attack("the same in torch's zip", _pickled_zip, ("doctor", "--weights", "vgg11@w.pth")),
    Attack("a zip that unpacks to 256 MiB", _zip_bomb, ("doctor", "--weights", "vgg11@w.pth")),
    Attack("an archive that leaves its folder", _leaving,
           ("bench", "caltech101", "--net", NET, "--data-dir", ".", "--offline")),
    Attack("HDF5 with a link to another file", _elsewhere, ("inspect", "f.h5")),
    Attack("HDF5 with 2^40 rows", _huge, ("inspect", "f.h5")),
    Attack("a picture of 3.6 thousand million pixels", _picture_bomb, _EXTRACT),
    Attack("PostScript named as a picture", _ghostscript, _EXTRACT),
    Attack("XML whose entities multiply", _entities,
           ("bench", "voc2012_actions_box", "--net", NET, "--data-dir", ".", "--offline")),
    Attack("a name that a terminal obeys", _terminal,
           ("doctor", "--weights", "vgg11@\x1b[2J\x1b]0;harmed\x07.pth")),
)  # fmt: skip


def faults(attack: Attack) -> Iterator[str]:
    """What the attack achieved, in words; what the command said of it goes to stderr."""
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "inside"
        folder.mkdir()
        attack.write(folder)
        began = time.monotonic()
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "vggfeat", *attack.arguments],
                cwd=folder,
                env={**os.environ, **ENVIRONMENT, "VGGFEAT_HOME": str(folder / "home")},
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES)),
                capture_output=True,
                timeout=2 * MAX_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            yield "no end"
            return
        said = ended.stdout + ended.stderr
        last = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        print(f"  {last.replace(str(folder), '')[:300]}", file=sys.stderr)
        if ended.returncode not in (0, 1):
            yield f"exit status {ended.returncode}"
        if b"Traceback" in said or b"This is a bug" in said:
            yield f"a traceback: {said.decode(errors='replace').strip().splitlines()[-1][:200]}"
        if time.monotonic() - began > MAX_SECONDS:
            yield f"{time.monotonic() - began:.0f} s"
        if b"\x1b" in said or b"\x07" in said:
            yield "control characters reached the terminal"
        if [path.name for path in Path(outer).iterdir()] != ["inside"]:
            yield "it left its folder"
        if Path("/tmp/101_ObjectCategories").exists():
            yield "it wrote to an absolute path"


def main() -> int:
    """A line for each attack; how many achieved anything."""
    total = 0
    for attack in ATTACKS:
        found = list(faults(attack))
        print(f"{attack.name:<42} {'; '.join(found) or 'held'}", flush=True)
        total += bool(found)
    return total
