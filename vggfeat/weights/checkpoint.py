"""vggfeat's own weights files, .safetensors with a card, and how tensors go into a net.

The card says which net the weights belong to and how they were made. It lies in the file's
metadata, as JSON under one key, so the file alone is enough to build its net and to prepare
pictures for it. Nothing in a file is executed.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vggfeat.errors import WeightsError
from vggfeat.storage import checksums
from vggfeat.storage.checksums import digest_of_json
from vggfeat.storage.files import new_path

SUFFIX = ".safetensors"
SCHEMA_VERSION = 1
SEALED_VERSION = 2  # of cards in files that hold their own digest, see storage.checksums
KEY = "vggfeat"
ASSUMED = "assumed"  # what a card says of input statistics that nobody states
IDENTITY = f"{KEY}.identity"  # metadata: the digest of what decides what the net answers
PARALLEL = "module."  # before every key of a net that was trained in parallel


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a weights file says of itself.

    mean and std are what the net's input is normalised with, per channel R, G, B on pixels 0 to
    255. training holds plain JSON values: recipe, data, accuracy, versions.
    """

    net: str  # as `--net` names it, without weights
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    training: dict[str, Any]

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe it was trained by; empty if the card has none."""
        recipe = self.training.get("recipe")
        return recipe if isinstance(recipe, dict) else {}

    @property
    def assumes_statistics(self) -> bool:
        """Whether mean and std were assumed when the weights were imported: nobody states them."""
        imported = self.training.get("imported")
        return isinstance(imported, dict) and imported.get("statistics") == ASSUMED

    @property
    def trained_on(self) -> set[str]:
        """Digests of the pictures it was trained on, and of the folder's that they are some of."""
        data = self.training.get("data")
        digests = (data.get("digest"), data.get("labelled")) if isinstance(data, dict) else ()
        return {digest for digest in digests if isinstance(digest, str)}

    def to_json(self) -> dict[str, Any]:
        """The fields and the schema version, as plain JSON."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def metadata(self) -> dict[str, str]:
        """The card as metadata of a .safetensors file."""
        return {KEY: json.dumps(self.to_json())}


def read_card(path: Path) -> Card | None:
    """The card of a .safetensors file; None if it has none.

    Raises WeightsError if the file is missing or damaged, or the card cannot be understood.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")
    text = _metadata(path).get(KEY)
    return None if text is None else parse_card(text, path)


def identity_of(path: Path) -> str | None:
    """The digest of a file's tensors and of what its card says that decides the net's answers.

    Equal for weights of the same values, whatever else their cards say. None for files that hold no
    digest, those of others and of earlier versions. Raises WeightsError if the file is damaged.
    """
    return _metadata(path).get(IDENTITY)


def _metadata(path: Path) -> dict[str, str]:
    """The metadata of a file that is seen to be whole. Raises WeightsError."""
    try:
        metadata = checksums.metadata_of(path, KEY)
        with safe_open(path, framework="np"):
            return metadata
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a whole .safetensors file ({error}).") from error


def parse_card(text: str, path: Path) -> Card:
    """The card that a text of JSON is; path says whose it is. Raises WeightsError."""
    try:
        values = json.loads(text)
        version = values.pop("schema_version")
        if version not in (SCHEMA_VERSION, SEALED_VERSION):
            raise WeightsError(
                f"{path}: its card has schema version {version}, this version of vggfeat reads"
                f" {SCHEMA_VERSION} and {SEALED_VERSION}."
            )
        mean, std, classes = (values.pop(key) for key in ("mean", "std", "classes"))
        if odd := [value for value in (mean, std, classes) if not isinstance(value, list)]:
            raise TypeError(f"{odd[0]!r} is no list")
        mean, std = list(map(float, mean)), list(map(float, std))
        card = Card(**values, classes=tuple(classes), mean=tuple(mean), std=tuple(std))
        sound = len(mean) == len(std) == 3 and all(0 < value < inf for value in std)
        sound &= all(map(isfinite, mean))
        sound &= isinstance(card.net, str) and isinstance(card.training, dict)
        sound &= all(isinstance(name, str) for name in card.classes)
        json.dumps(card.to_json())  # what is nested without measure could not be written again
    except (
        ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
    ) as error:  # fmt: skip
        raise WeightsError(f"{path}: its card cannot be understood ({error}).") from error
    if not sound:
        raise WeightsError(f"{path}: its card cannot be understood.")
    return card


def read(path: Path) -> dict[str, Tensor]:
    """The named tensors of a .safetensors file.

    Raises WeightsError if it is missing or damaged, or holds what are no weights.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")
    _metadata(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a whole .safetensors file ({error}).") from error
    return named_tensors(tensors, path)


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write tensors with their card and the file's digest, whole or not at all."""
    tensors = _apart(tensors)
    with new_path(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # as files have it here; save_file hides its own
        try:
            save_file(tensors, temporary, sealed_metadata(tensors, card))
        except SafetensorError as error:  # of the disk, too, which it names by number only
            if (number := re.search(r"os error (\d+)", str(error))) is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        with temporary.open("rb+") as file:
            try:
                checksums.seal_file(file)
            except ValueError as error:  # a name in it looks like its digest's place
                raise WeightsError(f"{path}: cannot be written ({error}).") from error
        temporary.chmod(mode)


def sealed_metadata(tensors: Mapping[str, Tensor], card: Card) -> dict[str, str]:
    """The metadata of a file of these tensors, on the CPU, that is sealed next."""
    about = json.dumps(card.to_json() | {"schema_version": SEALED_VERSION})
    return {KEY: about, IDENTITY: _identity(tensors, card), **checksums.BLANK}


def _identity(tensors: Mapping[str, Tensor], card: Card) -> str:
    digests = {
        name: [str(t.dtype), list(t.shape), hashlib.sha256(_bytes(t)).hexdigest()]
        for name, t in tensors.items()
    }
    decisive = [card.net, list(card.classes), list(card.mean), list(card.std)]
    if card.assumes_statistics:  # which tables say, so it is another net than one that states them
        decisive.append(ASSUMED)
    return digest_of_json([decisive, digests])


def _bytes(tensor: Tensor) -> memoryview:
    """The values of a contiguous tensor as they lie in a file."""
    return memoryview(tensor.detach().reshape(-1).view(torch.uint8).numpy())


def named_tensors(values: Mapping[str, object], path: Path) -> dict[str, Tensor]:
    """What a weights file holds, seen to be plain tensors; keys lose a common `module.` in front.

    Raises WeightsError.
    """
    strangers = [key for key, value in values.items() if not _is_plain(value)]
    if strangers or not values:
        problem = f"{strangers[0]!r} is no plain tensor" if strangers else "it is empty"
        raise WeightsError(f"{path}: not a table of named tensors ({problem}).")
    in_parallel = all(str(key).startswith(PARALLEL) for key in values)
    return {key.removeprefix(PARALLEL) if in_parallel else key: t for key, t in values.items()}


def load(
    net: nn.Module,
    tensors: Mapping[str, Tensor],
    path: Path,
    *,
    needs: Callable[[str], bool] = lambda key: True,
) -> None:
    """Put the tensors into the net; every key and shape must fit, every value be finite.

    Floating-point weights become float32. `needs` says of a key whether its values matter: others
    may be what they want, and NaN stands for those that are missing. The counts of batches that
    old files lack matter to nobody. Raises WeightsError naming the key, both shapes and the file.
    """
    wanted = net.state_dict()
    counts = {key: torch.zeros_like(wanted[key], device="cpu") for key in wanted if _is_count(key)}
    blanks = {
        key: torch.full((), torch.nan).expand(tensor.shape)  # one number for all, no memory
        for key, tensor in wanted.items()
        if not needs(key)
    }
    tensors = blanks | counts | dict(tensors)
    problems = [f"key {key!r} is missing" for key in wanted if key not in tensors]
    problems += [f"key {key!r} is not part of the net" for key in tensors if key not in wanted]
    problems += [
        f"{key!r} has shape {sides_text(tensors[key].shape)}, the net needs"
        f" {sides_text(wanted[key].shape)}"
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


def missing(
    net: nn.Module, tensors: Mapping[str, Tensor], needs: Callable[[str], bool]
) -> list[str]:
    """The keys of the net that are needed, and that the tensors lack or have as NaN throughout."""
    return [
        key
        for key in net.state_dict()
        if needs(key) and not _is_count(key) and (key not in tensors or is_blank(tensors[key]))
    ]


def is_part(net: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Whether all tensors are some of the net's, as those of a net without its last layers are."""
    wanted = net.state_dict()
    return all(key in wanted and wanted[key].shape == t.shape for key, t in tensors.items())


def is_blank(tensor: Tensor) -> bool:
    """Whether it is NaN throughout: the place of a tensor that a file does not have."""
    if not tensor.is_floating_point() or not tensor.numel():
        return False
    return bool(tensor.reshape(-1)[:1].isnan().all()) and bool(tensor.isnan().all())


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors of which no two share memory, as .safetensors has it."""
    by_memory: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        by_memory.setdefault(tensor.untyped_storage().data_ptr(), {})[key] = tensor.contiguous()
    return {
        key: tensor if len(sharing) == 1 else tensor.clone()
        for sharing in by_memory.values()
        for key, tensor in sharing.items()
    }


def _is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite, by their extremes.

    `tensor.isfinite()` would take as much memory again as the tensor.
    """
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return bool(torch.stack(tensor.float().aminmax()).isfinite().all())


def _is_count(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _is_plain(value: object) -> bool:
    """Whether it is a tensor of real numbers that lie in memory, each of them."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex())
        and value.nbytes <= value.untyped_storage().nbytes()  # not one number that stands for many
    )


def sides_text(shape: Sequence[int]) -> str:
    """A shape as messages name it, such as 64x3x3x3."""
    return "x".join(map(str, shape)) or "scalar"
