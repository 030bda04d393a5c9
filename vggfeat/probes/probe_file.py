"""Files of fitted probes, .probe.safetensors: a classifier's arrays, and a card that says of what.

The arrays are those of `Classifier.arrays`. The metadata hold the card as JSON under one key and
the file's own digest. Nothing in a file is executed; each field is looked at before it is used.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vggfeat.errors import ProbeError, VggfeatError
from vggfeat.features.options import AGGREGATES, Extraction, VectorOptions
from vggfeat.features.store import Conditions
from vggfeat.probes.probe import Classifier
from vggfeat.probes.saved_form import classifier_from
from vggfeat.storage import checksums
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.files import new_file

SUFFIX = ".probe.safetensors"
KEY = "vggfeat_probe"
SCHEMA_VERSION = checksums.SEALED_VERSION
SINGLE, MULTI = "single label", "multi label"  # as the tasks of benchmarks are called
OF_EXTRACTION = ("scales", "mirror", "exif", "scaled_jpeg", "precision", "dtype")
MAX_NUMBER = 1e30  # in an array
MADE_BY = "`vggfeat bench --save-probe` writes probes"


@dataclass(frozen=True, kw_only=True)
class ProbeNet:
    """A net whose features a probe takes.

    net is how `--net` named it when the probe was fitted; conditions decide its descriptors.
    """

    net: str
    dim: int  # D of its descriptors at one scale
    conditions: Conditions


@dataclass(frozen=True, kw_only=True)
class ProbeCard:
    """What a file of a probe says of itself. It is that of the first split of its record."""

    benchmark: str
    title: str
    record: str  # the record's key
    nets: tuple[ProbeNet, ...]
    aggregate: str
    scale_l2: bool
    normalisation: str  # in words
    probe: str  # its name
    kind: str  # of classifier
    hyperparameter: str
    chosen: float | dict[str, float] | None  # its value, or that of each class, if it has one
    task: str  # SINGLE or MULTI
    classes: tuple[str, ...]  # those that could be trained, K of them
    metric: str
    value: float  # of the metric on the split's test pictures, a fraction of one
    n_train: int  # pictures, validation included
    n_test: int
    num_splits: int  # of the record; the probe is of the first

    @property
    def dim(self) -> int:
        """D of the vectors that the classifier takes."""
        scales = len(self.nets[0].conditions.scales) if self.aggregate == "stack" else 1
        return scales * sum(net.dim for net in self.nets)

    @property
    def vectors(self) -> VectorOptions:
        """How descriptors become vectors."""
        return VectorOptions(aggregate=self.aggregate, scale_l2=self.scale_l2)

    @property
    def extraction(self) -> dict[str, Any]:
        """The options of the extraction that decide the descriptors."""
        first = self.nets[0].conditions
        return {name: getattr(first, name) for name in OF_EXTRACTION}


def write(path: Path, card: ProbeCard, classifier: Classifier) -> None:
    """Write a fitted probe with its card, whole or not at all."""
    about = json.dumps({"schema_version": SCHEMA_VERSION, **asdict(card)})
    arrays = {name: np.ascontiguousarray(array) for name, array in classifier.arrays().items()}
    content = BytesIO(save(arrays, {KEY: about, **checksums.BLANK}))
    checksums.seal_file(content)
    with new_file(path) as file:
        file.write(content.getbuffer())


def read(path: Path) -> tuple[ProbeCard, Classifier]:
    """The card and classifier of a file. Raises ProbeError if it is damaged or of another kind."""
    if not path.is_file():
        raise ProbeError(f"{path}: no such file of a probe. {MADE_BY}.")
    try:
        checksums.metadata_of(path, KEY)  # raises if the file is damaged
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise ProbeError(f"{path}: holds no probe, but something else. {MADE_BY}.")
            card = parse_card(parse_json(text))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _check_numbers(arrays)
        classifier = classifier_from(card.kind, arrays)
        _check_shapes(card, classifier, path.stat().st_size)
    except ProbeError:
        raise
    except (
        SafetensorError, VggfeatError, OSError, ValueError, KeyError, TypeError, IndexError,
        ArithmeticError, RuntimeError, MemoryError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ProbeError(f"{path}: not a whole file of a probe ({reason}).") from error
    return card, classifier


def parse_card(values: Any) -> ProbeCard:
    """The card that plain JSON values say. Raises ValueError naming the field that is wrong."""
    if not isinstance(values, dict):
        raise ValueError("its card cannot be understood")
    if values.get("schema_version") != SCHEMA_VERSION:
        version = values.get("schema_version")
        raise ValueError(f"its card has schema version {version!r}, not {SCHEMA_VERSION}")
    values = {name: value for name, value in values.items() if name != "schema_version"}
    _check_fields(values, _FIELDS, "its card")
    nets = tuple(_net(net) for net in values["nets"])
    first = nets[0].conditions
    for net in nets:
        if any(getattr(net.conditions, n) != getattr(first, n) for n in OF_EXTRACTION):
            raise ValueError("its nets have different scales or pictures")
    return ProbeCard(**values | {"nets": nets, "classes": tuple(values["classes"])})


def _net(values: Any) -> ProbeNet:
    if not isinstance(values, dict):
        raise ValueError("a net of its card cannot be understood")
    _check_fields(values, _NET_FIELDS, "a net of its card")
    stated = values["conditions"]
    _check_fields(stated, _CONDITIONS, "the conditions of its card")
    lists = {name: tuple(stated[name]) for name in ("scales", "mean", "std")}
    conditions = Conditions(**stated | lists)
    Extraction(**{name: getattr(conditions, name) for name in OF_EXTRACTION})  # raises OptionError
    return ProbeNet(**values | {"conditions": conditions})


def _check_fields(
    values: Mapping[str, Any], expected: Mapping[str, Callable[[Any], bool]], where: str
) -> None:
    for name in expected:
        if name not in values:
            raise ValueError(f"{where} lacks {name!r}")
    for name, value in values.items():
        if name not in expected:
            raise ValueError(f"{where} has an unknown field {name!r}")
        if not expected[name](value):
            raise ValueError(f"{name!r} of {where} is not as it should be")


def _check_numbers(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError at a number with which scores could not be computed in float32."""
    for name, array in arrays.items():
        if array.size and np.abs(array.astype(np.float64)).max() > MAX_NUMBER:
            raise ValueError(f"{name} holds numbers beyond {MAX_NUMBER:g}")


def _check_shapes(card: ProbeCard, classifier: Classifier, num_bytes: int) -> None:
    """Raise ValueError unless the classifier takes the card's vectors and knows its classes."""
    # A classifier has numbers for each dimension, so that no more can be claimed than there are.
    if card.dim > num_bytes:
        raise ValueError(f"its card claims vectors of {card.dim} numbers")
    blank = np.zeros((1, card.dim), dtype=np.float32)
    shape = classifier.decisions(blank).shape
    if shape != (1, len(card.classes)):
        raise ValueError(f"it decides on {shape[-1]} classes, and its card has {len(card.classes)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _are(is_kind: Callable[[Any], bool], *lengths: int) -> Callable[[Any], bool]:
    """Whether it is a list of such, not empty, and of one of these lengths if any are given."""
    return lambda value: (
        isinstance(value, list)
        and len(value) > 0
        and all(map(is_kind, value))
        and (not lengths or len(value) in lengths)
    )


def _are_classes(value: Any) -> bool:
    return _are(_is_text)(value) and len(set(value)) == len(value)


def _is_chosen(value: Any) -> bool:
    of_classes = isinstance(value, dict) and all(map(_is_number, value.values()))
    return value is None or _is_number(value) or of_classes


def _is_any(*choices: str) -> Callable[[Any], bool]:
    return lambda value: value in choices


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "benchmark": _is_text, "title": _is_text, "record": _is_text,
    "nets": _are(lambda net: isinstance(net, dict)), "aggregate": _is_any(*AGGREGATES),
    "scale_l2": _is_switch, "normalisation": _is_text, "probe": _is_text, "kind": _is_text,
    "hyperparameter": _is_text, "chosen": _is_chosen, "task": _is_any(SINGLE, MULTI),
    "classes": _are_classes, "metric": _is_text, "value": _is_number, "n_train": _is_count,
    "n_test": _is_count, "num_splits": _is_count,
}  # fmt: skip
_NET_FIELDS: dict[str, Callable[[Any], bool]] = {
    "net": _is_text, "dim": _is_count, "conditions": lambda value: isinstance(value, dict),
}  # fmt: skip
_CONDITIONS: dict[str, Callable[[Any], bool]] = {
    field.name: _is_text for field in fields(Conditions)
} | {
    "scales": _are(_is_count), "mirror": _is_switch, "exif": _is_switch,
    "mean": _are(_is_number, 3), "std": _are(lambda n: _is_number(n) and n > 0, 3),
}  # fmt: skip
