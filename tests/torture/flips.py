"""One flipped bit in each kind of file.

The file is then read as the program reads it. What comes of it is one of: refused in one line;
warned of; read as it was, as the bit carries nothing; or a silent use, another content without a
word, of which there must be none.
"""

import logging
import random
import tarfile
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers.net_files import write_net
from helpers.records import make_record
from safetensors import SafetensorError
from torch import nn

from torture.commands import PRETRAIN
from vggfeat.backbones.convert import export_weights
from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.ilsvrc import predictions
from vggfeat.errors import VggfeatError
from vggfeat.features import store
from vggfeat.records import record as records
from vggfeat.records.scores import Scores, read_scores, write_scores
from vggfeat.report.training import read_training_records
from vggfeat.storage import archives, checksums

IDS = [f"{n:03d}" for n in range(40)]


@dataclass(frozen=True)
class Kind:
    """A kind of file: writes one into a folder, reads one and gives its content as plain values."""

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Any]


def _features(folder: Path) -> Path:
    conditions = store.Conditions(
        dataset="d", network="n", weights="w", layer="l", scales=(32, 64), mirror=True,
        mean=(1.0, 2.0, 3.0), std=(1.0,) * 3, decoder="Pillow", exif=False, precision="fp32",
        resize_filter="bilinear", dtype="float32",
    )  # fmt: skip
    vectors = np.random.default_rng(0).normal(size=(40, 2, 16)).astype(np.float32)
    sizes, lengths = dict.fromkeys(IDS, 9), [9] * 40
    with store.FeatureWriter(
        folder / "f.h5", conditions, dim=16, file_bytes=sizes, weights_name="w", versions={"v": "1"}
    ) as writer:
        writer.write(IDS, vectors, [(8, 6)] * 40, lengths)
    return folder / "f.h5"


def _read_features(path: Path) -> Any:
    facts = store.inspect(path)
    if facts.damaged or facts.num_done < len(IDS):  # named, and extracted again
        raise VggfeatError("damaged rows")
    sizes = store.read_sizes(path, IDS).tolist()
    return store.read(path, IDS, (32, 64)).tobytes(), sizes, facts.conditions, facts.weights_name


def _record(folder: Path) -> Path:
    return records.write(make_record(), folder)


def _scores(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    labels = np.where(draw.random((40, 3)) < 0.5, 1, -1)
    scores = Scores(ids=IDS, splits=np.zeros(40), labels=labels, scores=draw.normal(size=(40, 3)),
                    classes=("a", "b", "c"))  # fmt: skip
    (folder / "digest").write_text(write_scores(folder / "r.scores.h5", scores))
    return folder / "r.scores.h5"


def _read_scores(path: Path) -> Any:
    found = read_scores(path, (path.parent / "digest").read_text())
    return found.ids, found.classes, found.scores.tobytes(), found.labels.tobytes()


def _exported(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        export_weights(
            load_network(str(write_net(folder / "in.safetensors"))), folder / f"w{suffix}"
        )
        return folder / f"w{suffix}"

    return write


def _read_weights(path: Path) -> Any:
    _forget()
    network = load_network(str(path))
    tensors = {name: value.numpy().tobytes() for name, value in network.net().state_dict().items()}
    return tensors, network.classes, network.statistics, str(network.spec.architecture)


def _card(folder: Path) -> Path:
    return _exported(".pth")(folder).with_name("w.pth.card.json")


def _read_card(path: Path) -> Any:
    return _read_weights(path.with_name("w.pth"))


def _foreign(folder: Path) -> Path:
    path = write_net(folder / "w.safetensors")
    load_network(str(path))  # seen for the first time
    return path


def _predictions(folder: Path) -> Path:
    net = {"name": "n", "weights": "w", "train_scale": None, "scales": [32]}
    about = predictions.About(title="t", data="d", limited=False, classes=list("abcde"), ids=IDS,
                              skipped={}, view="dense", notes=[], nets=[net])  # fmt: skip
    posteriors = np.random.default_rng(0).random((40, 5)).astype(np.float32)
    predictions.write(folder / "p.safetensors",
                      predictions.Predictions(about, posteriors, np.arange(40) % 5))  # fmt: skip
    return folder / "p.safetensors"


def _read_predictions(path: Path) -> Any:
    _forget()
    found = predictions.read(path)
    return found.about, found.posteriors.tobytes(), found.labels.tobytes()


def _run(folder: Path) -> Path:
    """A finished run of training."""
    PRETRAIN.prepare(folder)
    status, errors = PRETRAIN.run(folder)
    assert status == 0, errors
    return folder / "runs"


def _checkpoint(folder: Path) -> Path:
    return sorted(_run(folder).glob("*/checkpoints/*.safetensors"))[-1]


def _read_checkpoint(path: Path) -> Any:
    from vggfeat.pretraining.checkpoints import _read

    _forget()
    try:
        about, tensors = _read(path)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise VggfeatError("refused, as `resume` does") from error
    return about, {name: value.numpy().tobytes() for name, value in tensors.items()}


def _training_record(folder: Path) -> Path:
    return _run(folder) / "vgg11-256.json"


def _colours(folder: Path) -> Path:
    return _run(folder) / "colours.json"


def _read_colours(path: Path) -> Any:
    from vggfeat.pretraining.runs_folder import read_json

    values = read_json(path)
    return {name: values.get(name) for name in ("data", "mean", "eigenvalues", "eigenvectors")}


def _tar(folder: Path) -> Path:
    (folder / "d" / "a").mkdir(parents=True)
    for name in IDS:
        (folder / "d" / "a" / name).write_bytes(name.encode() * 50)
    with tarfile.open(folder / "any.tar", "w") as tar:
        tar.add(folder / "d", "d")
    _unpacked(folder / "any.tar")  # seen for the first time
    return folder / "any.tar"


def _unpacked(path: Path) -> Any:
    with tempfile.TemporaryDirectory() as cache:
        root = archives.unpack([path], "d", Path(cache))
        files = [file for file in sorted(root.rglob("*")) if file.is_file()]
        return [(file.relative_to(root).as_posix(), file.read_bytes()) for file in files]


def _forget() -> None:
    """Times of files are too coarse to show that a file changed a moment ago."""
    checksums._metadata_of.cache_clear()


def _program(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8)).eval()
        path, example = folder / f"net{suffix}", torch.zeros(1, 3, 16, 16)
        with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
            if suffix == ".pt":
                torch.jit.save(torch.jit.trace(net, example), path)
            else:
                torch.export.save(torch.export.export(net, (example,)), path)
        return path

    return write


def _read_program(path: Path) -> Any:
    network = load_network(f"{path}:input_size=16,mean=0/0/0,std=1/1/1")  # nothing is assumed
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        return network.module(torch.linspace(0, 1, 768).reshape(1, 3, 16, 16)).numpy().tobytes()


KINDS = (
    Kind("feature file", _features, _read_features),
    Kind("record", _record, lambda path: records.read(path)),
    Kind("scores", _scores, _read_scores),
    Kind("weights, .safetensors", _exported(".safetensors"), _read_weights),
    Kind("weights, .pth", _exported(".pth"), _read_weights),
    Kind("card beside .pth", _card, _read_card),
    Kind("weights, .onnx", _exported(".onnx"), _read_weights),
    Kind("weights, .mat", _exported(".mat"), _read_weights),
    Kind("weights, .caffemodel", _exported(".caffemodel"), _read_weights),
    Kind("weights of others", _foreign, _read_weights),
    Kind("program, .pt", _program(".pt"), _read_program),
    Kind("program, .pt2", _program(".pt2"), _read_program),
    Kind("predictions", _predictions, _read_predictions),
    Kind("training checkpoint", _checkpoint, _read_checkpoint),
    Kind("training record", _training_record, lambda p: read_training_records(p.parent)),
    Kind("colours of a run", _colours, _read_colours),
    Kind("archive, .tar", _tar, _unpacked),
)


class _Warnings(logging.Handler):
    """Whether anything was warned of."""

    seen = False

    def emit(self, record: logging.LogRecord) -> None:
        """Note a warning."""
        self.seen = True


def torture(kind: Kind, num_flips: int, folder: Path, seed: int) -> Counter:
    """What became of each flip: refused, warned, as it was, silent; tracebacks by their kind."""
    draw, outcomes = random.Random(f"{kind.name} {seed}"), Counter()
    path = kind.write(folder)
    content, expected = path.read_bytes(), kind.read(path)
    warnings = _Warnings(logging.WARNING)
    logging.getLogger("vggfeat").addHandler(warnings)
    for _ in range(num_flips):
        bit = draw.randrange(8 * len(content))
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        warnings.seen = False
        try:
            same = kind.read(path) == expected
        except VggfeatError:
            outcomes["refused"] += 1
        except Exception as error:  # what a torture is for
            outcomes[f"traceback {type(error).__name__} at bit {bit}"] += 1
        else:
            outcomes["warned" if warnings.seen else "as it was" if same else "silent"] += 1
    logging.getLogger("vggfeat").removeHandler(warnings)
    return outcomes


def main(num_flips: int, seed: int = 0) -> int:
    """A line for each kind of file; the number of silent uses and tracebacks."""
    logging.getLogger("vggfeat").propagate = False
    wrong = 0
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            share = -(-num_flips // len(KINDS))
            found = torture(kind, share, Path(folder), seed)
        usual = ("refused", "warned", "as it was", "silent")
        counts = " ".join(f"{found[name]:5} {name}" for name in usual)
        others = {name: count for name, count in found.items() if name not in usual}
        wrong += found["silent"] + sum(others.values())
        print(
            f"{kind.name:<24} {share:5} flips {counts} {sum(others.values())} tracebacks",
            flush=True,
        )
        for name in list(others)[:3]:
            print(f"  {name}")
    return wrong
