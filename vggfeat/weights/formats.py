"""The kinds of weights files by their suffix: what a file says of itself, its tensors, writing one.

The case of a suffix does not count. Tensors have the keys of the net's torch module, whatever the
file calls them. A torch file and a .caffemodel have no place for a card; it lies beside them as
FILE.card.json, with the file's digest.
Nothing in a file is executed.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from torch import Tensor

from vggfeat.errors import WeightsError
from vggfeat.storage.checksums import digest_of_json, parse_json
from vggfeat.storage.files import new_file, sha256_of
from vggfeat.weights import checkpoint, onnx, torch_file
from vggfeat.weights.caffe import caffemodel
from vggfeat.weights.checkpoint import Card, parse_card
from vggfeat.weights.inert_pickle import Unknown
from vggfeat.weights.matconvnet import network, writer
from vggfeat.weights.state_dicts import Tables, find_tables

TORCH = torch_file.SUFFIXES
CARD_DIGEST = "card_sha256"  # of a card beside its file: the digest of all else that it holds
CARD_BESIDE = (*TORCH, caffemodel.SUFFIX)
TWO_SUFFIXES = (".pth.tar", ".pt.tar")  # of torch files that are no archives


@dataclass(frozen=True)
class Format:
    """A kind of weights file. Its functions raise WeightsError.

    read_card gives what a file says of itself, its card or what follows from its format, and None
    if that is nothing. write is None for what is read only, and for ONNX, which needs the net: see
    weights/onnx.py.
    """

    read_card: Callable[[Path], Card | None]
    read: Callable[[Path], dict[str, Tensor]]
    write: Callable[[Path, Mapping[str, Tensor], Card], None] | None


def _while_unchanged(
    read_card: Callable[[Path], Card | None],
) -> Callable[[Path], Card | None]:
    """Read a card once, as long as its file stays as it is: some say who they are at their end."""

    @lru_cache(maxsize=32)
    def read_state(path: Path, state: tuple[int, ...]) -> Card | None:
        return read_card(path)

    @wraps(read_card)
    def read(path: Path) -> Card | None:
        check_kind(path)
        beside = (card_path(path),) if card_path(path).is_file() else ()
        states = (file.stat() for file in (path, *beside))
        return read_state(path, tuple(n for s in states for n in (s.st_size, s.st_mtime_ns)))

    return read


def _or_beside(read_card: Callable[[Path], Card | None]) -> Callable[[Path], Card | None]:
    """Read the card that lies beside a file, if one does, instead of the file's own."""

    @wraps(read_card)
    def read(path: Path) -> Card | None:
        return _card_beside(path) if card_path(path).is_file() else read_card(path)

    return _while_unchanged(read)


def _no_card(path: Path) -> None:
    return None


_TORCH_FILE = Format(_or_beside(_no_card), torch_file.read, torch_file.write)
FORMATS = {
    checkpoint.SUFFIX: Format(checkpoint.read_card, checkpoint.read, checkpoint.write),
    **dict.fromkeys(torch_file.WRITTEN, _TORCH_FILE),
    caffemodel.SUFFIX: Format(_or_beside(caffemodel.read_card), caffemodel.read, caffemodel.write),
    ".mat": Format(_while_unchanged(network.read_card), network.read, writer.write),
    ".onnx": Format(_while_unchanged(onnx.read_card), onnx.read, None),
}
WRITTEN = tuple(FORMATS)
FORMATS |= {suffix: replace(_TORCH_FILE, write=None) for suffix in TORCH if suffix not in FORMATS}
SUFFIXES = tuple(FORMATS)


def kind_of(path: Path) -> str:
    """The suffix that stands for a file's kind in FORMATS, "" if it is of none.

    A torch file is known by how it begins as well: people give it many names.
    """
    name = path.name.lower()
    if name.endswith(TWO_SUFFIXES) and not name.startswith("."):
        return torch_file.SUFFIXES[0]
    suffix = Path(name).suffix
    if suffix in FORMATS:
        return suffix
    return torch_file.SUFFIXES[0] if suffix and torch_file.is_torch_file(path) else ""


def unknown_kind(path: Path) -> WeightsError:
    """The error for a file that is of no known kind."""
    return WeightsError(
        f"{path}: unknown kind of weights file {path.suffix!r}. Known: {', '.join(SUFFIXES)}."
    )


def check_kind(path: Path) -> None:
    """Raise WeightsError unless it is a file of a known kind."""
    if not kind_of(path):
        raise unknown_kind(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")


def read_card(path: Path) -> Card | None:
    """What a file says of itself: its card, or what follows from its format; None if nothing.

    Raises WeightsError if the file is missing or damaged, or is no net of the family in a format
    that holds nothing else.
    """
    check_kind(path)
    return FORMATS[kind_of(path)].read_card(path)


def read(path: Path) -> dict[str, Tensor]:
    """The named tensors of a weights file. Raises WeightsError."""
    check_kind(path)
    return FORMATS[kind_of(path)].read(path)


def read_tables(path: Path) -> tuple[Tables, list[str]]:
    """Every table of tensors in a file, and what beside them is no plain value.

    Tensors of torch files are not read yet: `load` does it. Raises WeightsError.
    """
    check_kind(path)
    if kind_of(path) not in TORCH:
        return {"": read(path)}, []
    values = torch_file.read_values(path)
    unknown = [
        f"{key} ({value.of})" for key, value in values.items() if isinstance(value, Unknown) and key
    ]
    return find_tables(values), unknown


def load(path: Path, table: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of one of a file's tables, read. Raises WeightsError."""
    if kind_of(path) in TORCH:
        table = torch_file.load(path, table)
    return checkpoint.named_tensors(table, path)


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write a weights file with its card, whole or not at all. ONNX needs the net: see onnx.py.

    Raises WeightsError if the format cannot hold this net.
    """
    FORMATS[path.suffix].write(path, tensors, card)
    if path.suffix in CARD_BESIDE:
        content = card.to_json() | {"sha256": sha256_of(path)}
        content |= {CARD_DIGEST: digest_of_json(content)}
        with new_file(card_path(path)) as file:
            file.write(json.dumps(content, indent=1).encode())


def card_path(path: Path) -> Path:
    """Where the card of a file lies whose format has no place for one."""
    return path.with_name(f"{path.name}.card.json")


def _card_beside(path: Path) -> Card:
    beside = card_path(path)
    try:
        values = parse_json(beside.read_text())
        card_sha256 = values.pop(CARD_DIGEST, None)
        if card_sha256 not in (None, digest_of_json(values)):
            raise ValueError("it is not as it was written: its digest is another")
        sha256 = values.pop("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{beside}: cannot be understood ({error}).") from error
    if sha256 != sha256_of(path):
        raise WeightsError(
            f"{beside}: is not the card of {path.name} as it is now. Remove the card, or bring back"
            " its file."
        )
    return parse_card(json.dumps(values), beside)
