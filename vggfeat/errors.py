"""The errors a user can cause. Each message is one line: what, which value, what is allowed, next.

The library raises these; only the command line turns them into text and an exit status of 1.
"""

import difflib
import errno
import os
from collections.abc import Iterable


class VggfeatError(Exception):
    """Something the user can put right. Shown without a traceback."""


class UnknownNameError(VggfeatError):
    """A name that is not among the known ones; the message offers the nearest.

    Of very many names, `listed` are those that the message lists.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, listed: Iterable[str] | None = None
    ):
        known = sorted(known)
        shown = known if listed is None else list(listed)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        more = f" and {len(known) - len(shown)} more" if len(shown) < len(known) else ""
        names = ", ".join(shown) + more if shown or listed is None else f"{len(known)} names"
        super().__init__(f"Unknown {kind} {name!r}.{hint} Known: {names}.")


class NetworkError(VggfeatError):
    """A net that cannot be built or run as asked."""


class WeightsError(VggfeatError):
    """A weights file that is missing, damaged, unsafe, or made for another net."""


class PictureError(VggfeatError):
    """A picture that cannot be read or prepared. The message names the file."""


class StoreError(VggfeatError):
    """A feature file that is damaged, or made under other conditions than asked."""


class DatasetError(VggfeatError):
    """A dataset that is missing or not laid out as expected."""


class DownloadError(VggfeatError):
    """A file that none of its addresses gives; the message says where to put it by hand."""


class RecordError(VggfeatError):
    """A result record that cannot be read or written."""


class TrainingError(VggfeatError):
    """A training run that cannot go on: not learning, or not the run it was."""


class OptionError(VggfeatError):
    """An option whose value is not allowed."""


def in_one_line(error: VggfeatError | OSError) -> str:
    """What a user is told of an error."""
    if not isinstance(error, OSError):
        return " ".join(str(error).split("\n"))
    # HDF5 tells a full disk in the middle of a long text of its own.
    full = error.errno == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)
    reason = os.strerror(errno.ENOSPC) if full else error.strerror or str(error).splitlines()[0]
    where = f": {error.filename}" if error.filename else ""
    advice = "Free some space, or choose another --cache-dir or --out." if full else ""
    if error.errno in (errno.EACCES, errno.EROFS):
        advice = "Choose another folder: --cache-dir and --out name those that are written to."
    return f"{reason}{where}. {advice}" if advice else f"{reason}{where}"


def reason_of(error: Exception) -> str:
    """What went wrong in one line; TorchScript's interpreter tells it last, others first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if "TorchScript interpreter" in lines[0]:
        return lines[-1].removeprefix("RuntimeError: ")
    return lines[0]
