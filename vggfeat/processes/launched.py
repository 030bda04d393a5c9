"""What the environment says of processes that work together, as torchrun sets it.

Platforms set some of these variables for every job, also where torchrun does not run.
"""

import os
from dataclasses import dataclass

from vggfeat.errors import OptionError

NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launched:
    """This process among `size` that were started together, on one machine or several."""

    rank: int
    size: int
    local_rank: int  # on its machine


def launched() -> Launched | None:
    """This process among those started together; None if it works alone.

    Empty variables count as not set. Raises OptionError if WORLD_SIZE says that there are several
    and what they need to meet is not all there.
    """
    size = _whole_number("WORLD_SIZE", 1)
    if size is None or size == 1:
        return None
    missing = [name for name in NEEDED if not _text(name)]
    if missing:
        raise OptionError(
            f"WORLD_SIZE={size} says that {size} processes work together, but"
            f" {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set. Start them with"
            " torchrun or --gpus, which set all, or unset WORLD_SIZE: then one process works alone."
        )
    rank = _whole_number("RANK", 0, size - 1)
    local_rank = _whole_number("LOCAL_RANK", 0, size - 1)
    _whole_number("MASTER_PORT", 0, 65535)
    return Launched(rank, size, local_rank)


def follows() -> bool:
    """Whether another process leads, and speaks for all of them."""
    try:
        place = launched()
    except OptionError:
        return False
    return place is not None and place.rank > 0


def processes_here() -> int:
    """The number of processes on this machine that torchrun started together; 1 if it did not."""
    return _whole_number("LOCAL_WORLD_SIZE", 1) or 1


def _text(name: str) -> str:
    return os.environ.get(name, "").strip()


def _whole_number(name: str, smallest: int, largest: int | None = None) -> int | None:
    """The value of a variable; None if it is empty or not set. Raises OptionError."""
    text = _text(name)
    if not text:
        return None
    allowed = f"from {smallest} on" if largest is None else f"from {smallest} to {largest}"
    # No more digits than a number of processes can have: Python refuses to read very many.
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
    if number is None or number < smallest or (largest is not None and number > largest):
        raise OptionError(
            f"the environment has {name}={text}, which must be a whole number {allowed}. torchrun"
            f" sets it; where it does not run, unset {name}."
        )
    return number
