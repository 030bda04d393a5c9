"""Braces that stand for many names, as in a shell: `expanded`.

train-{000000..000099}.tar    a hundred names, with as many digits as the ends have
{0..10..5}  {a,b}             with a step; names one by one; several groups are combined
"""

import itertools
import re

from vggfeat.errors import DatasetError
from vggfeat.storage.urls import is_url, shown

RANGE = r"(\d{1,18})\.\.(\d{1,18})(?:\.\.(\d{1,18}))?"
GROUP = re.compile(r"\{(?:" + RANGE + r"|([^{},]*(?:,[^{},]*)+))\}")
MAX_NAMES = 10**6


def has_braces(text: str) -> bool:
    """Whether there is a group that stands for several names."""
    return GROUP.search(text) is not None


def expanded(text: str) -> list[str]:
    """The names that a text stands for, the last group changing fastest; other braces are letters.

    Raises DatasetError at more names than MAX_NAMES, and at groups inside of braces.
    """
    pieces: list[list[str]] = []
    end, num_names = 0, 1
    for group in GROUP.finditer(text):
        choices = _choices(group)
        num_names *= len(choices)
        if num_names > MAX_NAMES:
            raise DatasetError(f"{_named(text)}: stands for more than {MAX_NAMES:,} names.")
        pieces += [[text[end : group.start()]], list(choices)]
        end = group.end()
    if pieces and set("{}") & set(GROUP.sub("", text)):
        raise DatasetError(f"{_named(text)}: has braces inside of braces. Write them side by side.")
    return ["".join(names) for names in itertools.product(*pieces, [text[end:]])]


def _named(text: str) -> str:
    return shown(text) if is_url(text) else text


def _choices(group: re.Match) -> list[str]:
    if group[4] is not None:
        return group[4].split(",")
    first, last, step = int(group[1]), int(group[2]), int(group[3] or 1) or 1
    numbers = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
    if len(numbers) > MAX_NAMES:
        raise DatasetError(f"{group[0]}: stands for more than {MAX_NAMES:,} names.")
    is_padded = any(len(end) > 1 and end[0] == "0" for end in group.group(1, 2))
    digits = max(len(group[1]), len(group[2])) if is_padded else 1
    return [f"{number:0{digits}}" for number in numbers]
