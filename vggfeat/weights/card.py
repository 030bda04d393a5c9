"""The card of exported weights: which net they belong to and how they were made.

It lies in the metadata of a .safetensors file, as JSON under one key. So the file alone is enough
to build its net and to prepare pictures for it.
"""

import json
from dataclasses import asdict, dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from vggfeat.errors import WeightsError

SCHEMA_VERSION = 1
KEY = "vggfeat"


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
        found = self.training.get("recipe")
        return found if isinstance(found, dict) else {}

    @property
    def trained_on(self) -> set[str]:
        """Digests of the pictures it was trained on, and of the folder's that they are some of."""
        data = self.training.get("data")
        found = (data.get("digest"), data.get("labelled")) if isinstance(data, dict) else ()
        return {digest for digest in found if isinstance(digest, str)}

    def to_json(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def metadata(self) -> dict[str, str]:
        """For the header of a .safetensors file."""
        return {KEY: json.dumps(self.to_json())}


def read_card(path: Path) -> Card | None:
    """The card of a .safetensors file; None if it has none.

    Raises WeightsError if the file is missing or damaged, or the card cannot be understood.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(KEY)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a whole .safetensors file ({error}).") from error
    return None if text is None else parsed(text, path)


def parsed(text: str, path: Path) -> Card:
    """The card that a text of JSON is; path says whose it is. Raises WeightsError."""
    try:
        values = json.loads(text)
        version = values.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise WeightsError(
                f"{path}: its card has schema version {version}, this version of vggfeat reads"
                f" {SCHEMA_VERSION}."
            )
        mean, std = ([float(value) for value in values.pop(key)] for key in ("mean", "std"))
        classes = tuple(values.pop("classes"))
        card = Card(**values, classes=classes, mean=tuple(mean), std=tuple(std))
        sound = len(mean) == len(std) == 3 and all(0 < value < inf for value in std)
        sound &= all(map(isfinite, mean))
        sound &= isinstance(card.net, str) and isinstance(card.training, dict)
        sound &= all(isinstance(name, str) for name in card.classes)
    except (
        ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
    ) as error:  # fmt: skip
        raise WeightsError(f"{path}: its card cannot be understood ({error}).") from error
    if not sound:
        raise WeightsError(f"{path}: its card cannot be understood.")
    return card
