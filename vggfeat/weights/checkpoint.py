"""Weights files (.safetensors, .pth, .pt) -> tensors -> a net, refusing what does not fit.

Nothing in a file is executed: safetensors hold no code, torch files are read with
`weights_only=True` and there is no fallback.
"""

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vggfeat.errors import WeightsError

WRAPPERS = ("state_dict", "model")
PARALLEL = "module."


def read(path: Path) -> dict[str, Tensor]:
    """The named tensors of a weights file.

    A torch file may wrap them as {"state_dict": ...} or {"model": ...}, and a net that was trained
    in parallel puts `module.` before every key. Raises WeightsError if the file is missing,
    damaged, of another kind, or holds more than tensors.
    """
    if path.suffix == ".safetensors":
        tensors = _read_safetensors(path)
    else:
        tensors = _read_torch(path)
    wrapped = (tensors[key] for key in WRAPPERS if isinstance(tensors.get(key), Mapping))
    tensors = next(wrapped, tensors)
    strangers = [key for key, value in tensors.items() if not _is_plain(value)]
    if strangers or not tensors:
        what = f"{strangers[0]!r} is no plain tensor" if strangers else "it is empty"
        raise WeightsError(f"{path}: not a table of named tensors ({what}).")
    in_parallel = all(str(key).startswith(PARALLEL) for key in tensors)
    return {key.removeprefix(PARALLEL) if in_parallel else key: t for key, t in tensors.items()}


def load(
    net: nn.Module,
    tensors: Mapping[str, Tensor],
    path: Path,
    *,
    needs: Callable[[str], bool] = lambda key: True,
) -> None:
    """Put the tensors into the net; every key and shape must fit, every value be finite.

    Floating-point weights become float32. `needs` tells the keys whose values matter: others may
    be what they want. The counts of batches that old files lack matter to nobody. Raises
    WeightsError naming the key, both shapes and the file.
    """
    wanted = net.state_dict()
    counts = {key: torch.zeros_like(wanted[key], device="cpu") for key in wanted if _is_count(key)}
    tensors = counts | dict(tensors)
    problems = [f"key {key!r} is missing" for key in wanted if key not in tensors]
    problems += [f"key {key!r} is not part of the net" for key in tensors if key not in wanted]
    problems += [
        f"{key!r} has shape {_shape(tensors[key])}, the net needs {_shape(wanted[key])}"
        for key in wanted
        if key in tensors and tensors[key].shape != wanted[key].shape
    ]
    if not problems:
        problems += [
            f"{key!r} holds values that are not finite (a part this file does not have?)"
            for key in wanted
            if needs(key) and not _is_finite(tensors[key])
        ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WeightsError(f"{path}: does not fit the net: {problems[0]}{more}.")
    typed = {key: tensors[key].to(wanted[key].dtype) for key in wanted}
    net.load_state_dict(typed, assign=True)


def _is_finite(tensor: Tensor) -> bool:
    """By its extremes: `tensor.isfinite()` takes as much memory again as the tensor."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return bool(torch.stack(tensor.float().aminmax()).isfinite().all())


def _is_count(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _read_safetensors(path: Path) -> dict:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a whole .safetensors file ({error}).") from error


def _read_torch(path: Path) -> dict:
    if _is_packed(path):  # torch.save packs nothing, and a small file could become a large one
        raise WeightsError(f"{path}: refused: it is compressed. Write it again with torch.save.")
    try:
        with warnings.catch_warnings():  # torch's remarks on odd files, which end in an error here
            warnings.simplefilter("ignore")
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: it holds more than tensors, or is no torch file. Nothing in it was"
            " run. Save the state_dict alone, or convert it to .safetensors."
        ) from error
    except Exception as error:  # damaged files make torch's readers raise almost anything
        raise WeightsError(
            f"{path}: not a whole torch file of tensors ({type(error).__name__})."
        ) from error
    if not isinstance(tensors, dict):
        raise WeightsError(f"{path}: holds a {type(tensors).__name__}, not named tensors.")
    return tensors


def _is_packed(path: Path) -> bool:
    """Whether it is an archive of which something is compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile):  # the oldest torch files, and damaged ones
        return False


def _is_plain(value: object) -> bool:
    """Whether it is a tensor of real numbers that lie in memory, each of them."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex())
        and value.nbytes <= value.untyped_storage().nbytes()  # not one number that stands for many
    )


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"
