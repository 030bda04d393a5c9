"""Errors that a user can cause; a message names what, which value, what is allowed, what to do.

The library raises these; only the command line turns them into text and an exit status of 1.
"""

import difflib
import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

LIKE = 0.5  # of two names, by difflib


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that was most likely meant; None if none is like the name.

    Upper and lower case are the same, and of choices that are as near the one with the same
    letters in another order comes first.
    """
    wanted = name.lower()

    def likeness(choice: str) -> tuple[float, bool, str]:
        known = choice.lower()
        ratio = difflib.SequenceMatcher(None, known, wanted).ratio()
        return ratio, sorted(known) == sorted(wanted), choice

    best = max(map(likeness, choices), default=(0.0, False, ""))
    return best[2] if best[0] >= LIKE else None


MAX_LENGTH = 4000  # of a line for the terminal
# What writing raises where there is no room: on the disk, in a user's share of it, in one file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class VggfeatError(Exception):
    """An error that the user can correct; the command line prints it without a traceback."""


class UnknownNameError(VggfeatError):
    """A name that is none of `choices`; the message suggests the nearest one.

    The message lists all choices, or those in `listed` where there are too many; `reason` says what
    else the name might have been and is not.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        choices: Iterable[str],
        *,
        listed: Iterable[str] | None = None,
        reason: str = "",
    ):
        choices = sorted(choices)
        shown = choices if listed is None else list(listed)
        near = nearest(name, choices)
        hint = f" Did you mean {near!r}?" if near else ""
        more = f" and {len(choices) - len(shown)} more" if len(shown) < len(choices) else ""
        names = ", ".join(shown) + more if shown or listed is None else f"{len(choices)} names"
        why = f": {reason}" if reason else ""
        super().__init__(f"Unknown {kind} {name!r}{why}.{hint} Known: {names}.")


class NetworkError(VggfeatError):
    """A net that cannot be built, or cannot run with the requested options."""


class WeightsError(VggfeatError):
    """A weights file that is missing, damaged, unsafe, or made for another net."""


class PictureError(VggfeatError):
    """A picture that cannot be read or prepared. The message names the file."""


class StoreError(VggfeatError):
    """A feature file that is damaged, or was extracted under other conditions than requested."""


class DatasetError(VggfeatError):
    """A dataset that is missing or not laid out as expected."""


class DownloadError(VggfeatError):
    """A file that none of its addresses serves; the message says where to put it by hand."""


class RecordError(VggfeatError):
    """A result record that cannot be read or written."""


class ProbeError(VggfeatError):
    """A file of a fitted probe that is damaged, or belongs to another net."""


class TrainingError(VggfeatError):
    """A training run that cannot continue: it does not learn, or its recipe or data changed."""


class OptionError(VggfeatError):
    """An option whose value is not allowed."""


def printable(text: str, *, one_line: bool = False) -> str:
    """Text without what a terminal obeys or cannot show: such characters become \\x1b and the like.

    Lines and tabs stay, unless it is to be one line.
    """
    return (_ODD_IN_LINE if one_line else _ODD).sub(
        lambda match: match[0].encode("unicode_escape").decode(), text
    )


# Control characters, those that end lines or turn the direction of writing, those of no width that
# join no letters, bytes of names that are no letters, and what is no character, nor allowed in XML.
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
_ODD_IN_LINE = re.compile(_ODD.pattern + "|[\t\n]")


def in_one_line(error: VggfeatError | OSError) -> str:
    """An error in one line, for the terminal: the reason, the file, and what to do next."""
    text = printable(_in_one_line(error), one_line=True)
    # A line of somebody's file may be megabytes long.
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH // 2]} ... {text[-500:]}"


def _in_one_line(error: VggfeatError | OSError) -> str:
    if not isinstance(error, OSError):
        return " ".join(str(error).split("\n"))
    reason = error.strerror or str(error).splitlines()[0]
    file = f": {error.filename}" if error.filename else ""
    advice = ""
    if error.errno in NO_ROOM:
        advice = "Free some space, or choose another --cache-dir, --out or --to."
    if error.errno == errno.EFBIG:
        advice = "Raise the limit on the size of files (ulimit -f), or choose another disk."
    if error.errno in (errno.EACCES, errno.EROFS):
        advice = "Choose another folder: --cache-dir, --out and --to say which are written to."
        if error.filename and not _is_readable(error.filename):
            advice = "Ask for the right to read it, or choose another place of the data."
    return f"{reason}{file}. {advice}" if advice else f"{reason}{file}"


def _is_readable(file: str | bytes | int) -> bool:
    """Whether a file or folder may be read, or if it cannot even be seen, the folder it lies in."""
    if isinstance(file, int):
        return True
    path = Path(os.fsdecode(file)).absolute()
    there = next((place for place in (path, *path.parents) if os.path.lexists(place)), path)
    return os.access(there, os.R_OK | os.X_OK if os.path.isdir(there) else os.R_OK)


def reason_of(error: Exception) -> str:
    """The line of a library's message that names the cause: TorchScript's last, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if "TorchScript interpreter" in lines[0]:
        return lines[-1].removeprefix("RuntimeError: ")
    return lines[0]
