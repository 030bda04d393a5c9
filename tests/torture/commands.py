"""The commands that write files, each in a folder of its own, and what they leave behind.

What a command leaves is compared by digest, without what differs between two runs: when, how long,
on which machine, with which command.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from helpers.pictures import write_classes
from safetensors.numpy import load_file

NET = "vgg11:width=0.125,input_size=32@random:0"
STAGE = "width=0.0625 input_size=32 batch_size=8 epochs=4 init=glorot learning_rate=0.001 dropout=0"
CLASSES = ("accordion", "bee", "cat", "dog", "elk", "fox")
OF_ONE_RUN = (
    "created", "time", "seconds", "hardware", "versions", "git", "command", "sha256", "curve",
)  # fmt: skip
MACHINE = ("--device", "cpu", "--precision", "fp32")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "COLUMNS": "80"}


@dataclass(frozen=True)
class Command:
    """A command line of vggfeat, and how its folder is made ready for it."""

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]

    def start(self, folder: Path, **options) -> subprocess.Popen:
        """Begin it in this folder."""
        return subprocess.Popen(
            [sys.executable, "-m", "vggfeat", *self.arguments],
            cwd=folder,
            env={**os.environ, **ENVIRONMENT, "VGGFEAT_HOME": str(folder / "home")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, folder: Path, **options) -> tuple[int, str]:
        """Run it to its end; the exit status and what it said on stderr."""
        process = self.start(folder, **options)
        _, errors = process.communicate(timeout=300)
        return process.returncode, errors


def _archive(folder: Path) -> None:
    """A small Caltech-101, packed."""
    write_classes(folder / "101_ObjectCategories", {name: 60 for name in CLASSES[:4]})
    (folder / "data").mkdir()
    with tarfile.open(folder / "data" / "101_ObjectCategories.tar.gz", "w:gz") as tar:
        tar.add(folder / "101_ObjectCategories", "101_ObjectCategories")
    shutil.rmtree(folder / "101_ObjectCategories")


def _tars(folder: Path) -> None:
    """Small pictures in tars."""
    write_classes(folder / "pictures", {name: 30 for name in CLASSES})
    (folder / "data").mkdir()
    for name in CLASSES:
        with tarfile.open(folder / "data" / f"{name}.tar", "w") as tar:
            for path in sorted((folder / "pictures" / name).iterdir()):
                tar.add(path, f"{name}-{path.name}")


def _labelled(folder: Path) -> None:
    write_classes(folder / "pictures" / "train", dict.fromkeys(CLASSES, 12))
    write_classes(folder / "pictures" / "val", dict.fromkeys(CLASSES, 40))


def _trained(folder: Path) -> None:
    _labelled(folder)
    status, errors = PRETRAIN.run(folder)
    assert status == 0, errors


def _exported(folder: Path) -> None:
    export = Command("", ("weights", "export", NET.replace("0.125", "0.5"), "in.pth"), _nothing)
    status, errors = export.run(folder)
    assert status == 0, errors


def _nothing(folder: Path) -> None:
    pass


_WIDE = NET.replace("0.125", "0.5")
_DATA = ("--data-dir", "data", "--cache-dir", "cache")
_STAGE = tuple(word for pair in STAGE.split() for word in ("--set", pair))
PRETRAIN = Command(
    "pretrain",
    ("pretrain", "vgg11-256", "--data", "pictures", "--out", "runs", *_STAGE, *MACHINE),
    _labelled,
)
COMMANDS = (
    Command(
        "extract",
        ("extract", "--dataset", "caltech101", "--net", NET, "--scales", "64,96", *_DATA, *MACHINE),
        _archive,
    ),
    Command(
        "extract shards",
        ("extract", "--images", "data", "--net", NET, "--scales", "64,96", "--to", "shards/",
         "--compression", "gzip", *MACHINE),
        _tars,
    ),
    Command(
        "bench",
        ("bench", "caltech101", "--net", NET, "--scales", "64", "--splits", "2", *_DATA,
         "--out", "results", *MACHINE),
        _archive,
    ),
    PRETRAIN,
    Command(
        "evaluate",
        ("evaluate", "--net", "runs/vgg11-256.safetensors", "--data", "pictures", "--views",
         "dense", "--views", "crops", "--scales", "48", "--cache-dir", "cache", "--out", "results",
         "--save", "saved", *MACHINE),
        _trained,
    ),
    Command(
        "weights import", ("weights", "import", "in.pth", "--out", "out.safetensors"), _exported
    ),
    Command("weights export", ("weights", "export", _WIDE, "out.onnx"), _nothing),
)  # fmt: skip


def left_behind(folder: Path) -> dict[str, str]:
    """A digest of each file that the command wrote, without what is of one run."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_input = name.startswith(("data/", "pictures/"))
        is_apart = ".part" in name or name.endswith((".lock", ".jsonl"))
        if path.is_file() and not is_input and not is_apart:
            name = re.sub(r"unpacked/(\w+)-\w+/", r"unpacked/\1/", name)  # a digest of the archive
            digests[name] = hashlib.sha256(_content(path)).hexdigest()
    return digests


def unfinished(folder: Path) -> list[str]:
    """What was begun and not finished: a command that ends by itself must not leave any."""
    return [path.name for path in folder.rglob(".*.part*")]


def _content(path: Path) -> bytes:
    if path.name == "index.h5":
        with h5py.File(path) as file:
            return file["hashes"][()].tobytes() + file["rows"][()].tobytes()
    if path.suffix == ".h5" and not path.name.endswith(".scores.h5"):
        with h5py.File(path) as file:
            ids, done = file["ids"].asstr()[()].tolist(), file["done"][()]
            order = np.argsort(ids)
            assert done.all(), f"{path.name}: {int((~done).sum())} rows are not done"
            return json.dumps(sorted(ids)).encode() + file["descriptors"][()][order].tobytes()
    if path.parent.name in ("checkpoints", "saved"):  # whose metadata hold seconds and rates
        tensors = load_file(path)
        return b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))
    if path.suffix == ".json":
        values = json.loads(path.read_text())
        kept = {name: value for name, value in values.items() if name not in OF_ONE_RUN}
        for net in kept.get("nets", []):
            net.pop("images_per_s", None)
        return json.dumps(kept, sort_keys=True).encode()
    return path.read_bytes()


def tell(name: str, counts: str, faults: Sequence[str]) -> int:
    """Print what came of a command, and the first of its faults; how many there were."""
    print(f"{name:<16} {counts}", flush=True)
    for fault in faults[:5]:
        print(f"  {fault}")
    return len(faults)
