"""Weights in torch's own files, .pth and .pt: read with `weights_only=True`, with no fallback."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vggfeat.errors import WeightsError
from vggfeat.storage.files import new_file
from vggfeat.weights.checkpoint import Card, named_tensors

SUFFIXES = (".pth", ".pt")
WRAPPERS = ("state_dict", "model")


def read(path: Path) -> dict[str, Tensor]:
    """The named tensors of a torch file, bare or as {"state_dict": ...} or {"model": ...}.

    Raises WeightsError if the file is missing, damaged, of another kind, or holds more than
    tensors.
    """
    values = _load(path)
    wrapped = (values[key] for key in WRAPPERS if isinstance(values.get(key), Mapping))
    return named_tensors(next(wrapped, values), path)


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write tensors, whole or not at all; there is no place for the card."""
    with new_file(path) as file:
        torch.save(dict(tensors), file)


def _load(path: Path) -> dict:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")
    if _is_packed(path):  # torch.save packs nothing, and a small file could become a large one
        raise WeightsError(f"{path}: refused: it is compressed. Write it again with torch.save.")
    try:
        with warnings.catch_warnings():  # torch's remarks on odd files, which end in an error here
            warnings.simplefilter("ignore")
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: it holds more than tensors, or is no torch file. Nothing in it was"
            " run. Save the state_dict alone, or convert it to .safetensors."
        ) from error
    except Exception as error:  # damaged files make torch's readers raise almost anything
        raise WeightsError(
            f"{path}: not a whole torch file of tensors ({type(error).__name__})."
        ) from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: holds a {type(values).__name__}, not named tensors.")
    return values


def _is_packed(path: Path) -> bool:
    """Whether it is an archive of which something is compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
    except Exception:  # the oldest torch files, and damaged ones, which raise almost anything
        return False
