"""The kinds of weights files by their suffix: what a file says of itself, its tensors, writing one.

Tensors have the keys of the net's torch module, whatever the file calls them. A torch file and a
.caffemodel have no place for a card; it lies beside them as FILE.card.json, with the file's digest.
Nothing in a file is executed.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from vggfeat.errors import WeightsError
from vggfeat.storage.files import new_file, new_path, sha256_of
from vggfeat.weights import card, checkpoint, onnx
from vggfeat.weights.caffe import caffemodel
from vggfeat.weights.card import Card
from vggfeat.weights.matconvnet import network

TORCH = (".pth", ".pt")
SUFFIXES = (".safetensors", *TORCH, ".caffemodel", ".mat", ".onnx")
CARD_BESIDE = (*TORCH, ".caffemodel")


def check_kind(path: Path) -> None:
    """Raise WeightsError unless it is a file of a known kind."""
    if path.suffix not in SUFFIXES:
        raise WeightsError(
            f"{path}: unknown kind of weights file {path.suffix!r}. Known: {', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")


def read_card(path: Path) -> Card | None:
    """What a file says of itself: its card, or what follows from its format; None if nothing.

    Raises WeightsError if the file is missing or damaged, or is no net of the family in a format
    that holds nothing else.
    """
    check_kind(path)
    files = [path, card_path(path)] if path.suffix in CARD_BESIDE else [path]
    states = (file.stat() for file in files if file.is_file())
    return _read_card(path, tuple((state.st_size, state.st_mtime_ns) for state in states))


@lru_cache(maxsize=32)  # of the files as they are: some say who they are at their end
def _read_card(path: Path, states: tuple[tuple[int, int], ...]) -> Card | None:
    if path.suffix in CARD_BESIDE and card_path(path).is_file():
        return _card_beside(path)
    match path.suffix:
        case ".safetensors":
            return card.read_card(path)
        case ".caffemodel":
            return caffemodel.read_card(path)
        case ".mat":
            return network.read_card(path)
        case ".onnx":
            return onnx.read_card(path)
    return None


def read(path: Path) -> dict[str, Tensor]:
    """The named tensors of a weights file. Raises WeightsError."""
    check_kind(path)
    match path.suffix:
        case ".caffemodel":
            return caffemodel.read(path)
        case ".mat":
            return network.read(path)
        case ".onnx":
            return onnx.read(path)
    return checkpoint.read(path)


def write(path: Path, tensors: Mapping[str, Tensor], its_card: Card) -> None:
    """Write a weights file with its card, whole or not at all. ONNX needs the net: see onnx_file.

    Raises WeightsError if the format cannot hold this net.
    """
    match path.suffix:
        case ".safetensors":
            with new_path(path) as temporary:
                temporary.touch()
                mode = temporary.stat().st_mode  # as files have it here; save_file hides its own
                save_file(_apart(tensors), temporary, its_card.metadata())
                temporary.chmod(mode)
        case ".caffemodel":
            caffemodel.write(path, tensors, its_card)
        case ".mat":
            network.write(path, tensors, its_card)
        case _:
            with new_file(path) as file:
                torch.save(dict(tensors), file)
    if path.suffix in CARD_BESIDE:
        beside = its_card.to_json() | {"sha256": sha256_of(path)}
        with new_file(card_path(path)) as file:
            file.write(json.dumps(beside, indent=1).encode())


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors of which no two share memory, as .safetensors has it."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        found.setdefault(tensor.untyped_storage().data_ptr(), {})[key] = tensor.contiguous()
    return {
        key: tensor if len(sharing) == 1 else tensor.clone()
        for sharing in found.values()
        for key, tensor in sharing.items()
    }


def card_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.card.json")


def _card_beside(path: Path) -> Card:
    beside = card_path(path)
    try:
        values = json.loads(beside.read_text())
        sha256 = values.pop("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{beside}: cannot be understood ({error}).") from error
    if sha256 != sha256_of(path):
        raise WeightsError(
            f"{beside}: is not the card of {path.name} as it is now. Remove the card, or bring back"
            " its file."
        )
    return card.parsed(json.dumps(values), beside)
