"""Plain JSON values as files hold them: read with bounds, and sealed with their SHA-256."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 50  # of lists and objects; what vggfeat writes has less than 10
SEAL = "sha256"  # the key that holds the digest of all other values


def parse_json(text: str | bytes) -> Any:
    """What a text of JSON says. Raises ValueError if it is none, or is nested without measure.

    json.loads reads a nesting of a thousand, at which all that is done with it later fails.
    """
    try:
        values = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested without measure") from error
    level = [values]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return values
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def digest_of_json(values: Any) -> str:
    """The SHA-256 of plain JSON values in hexadecimal digits, whatever their order and spaces."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values and, last, the digest of all of them."""
    # Tuples are lists, and numbers that are keys are texts, in what is read.
    plain = json.loads(json.dumps({name: v for name, v in values.items() if name != SEAL}))
    return {**plain, SEAL: digest_of_json(plain)}


def is_sealed(values: Mapping[str, Any]) -> bool:
    """Whether values that were read carry a digest; those of earlier versions do not."""
    return SEAL in values


def is_sound(values: Mapping[str, Any]) -> bool:
    """Whether values that were read are those that were sealed; False without a digest."""
    return is_sealed(values) and sealed(values)[SEAL] == values[SEAL]


def is_damaged(values: Mapping[str, Any]) -> bool:
    """Whether values that were read carry a digest that is not theirs."""
    return is_sealed(values) and not is_sound(values)
