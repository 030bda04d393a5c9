"""What a run says of each benchmark in a line or two: how many records, where, and what to know."""

import logging
import re
import time
from collections import Counter
from pathlib import Path

from vggfeat.durations import in_words

log = logging.getLogger(__name__)


class RunSummary:
    """Counts measurements on one benchmark after the other, in a `with` block.

    What is to be known of single records is said once where it differs in numbers alone: all of it
    is in the records.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None

    def __enter__(self) -> "RunSummary":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        """Say it of the last benchmark, also where an error or Ctrl-C ends the run."""
        self._say()

    def begin(self, path: Path) -> None:
        """The next measurement's record lies or will lie here."""
        if path.parent == self.folder:
            return
        self._say()
        self.folder, self.started = path.parent, time.monotonic()
        self.made: list[Path] = []
        self.found: list[Path] = []
        self.notes: dict[str, str] = {}  # words -> the first note with them
        self.counts: Counter[str] = Counter()

    def add(self, path: Path, *, is_new: bool) -> None:
        """A record is there; is_new: it was made now."""
        (self.made if is_new else self.found).append(path)

    def note(self, label: str, text: str) -> None:
        """Something to be known of the record of a measurement."""
        log.debug("%s: %s", label, text)
        words = re.sub(r"\d+", "#", text)
        self.notes.setdefault(words, text)
        self.counts[words] += 1

    def _say(self) -> None:
        if self.folder is None:
            return
        name = self.folder.name
        for words, text in self.notes.items():
            more = self.counts[words] - 1
            others = f" (and {more} more like it, in the records)" if more else ""
            log.warning("%s: %s%s", name, text, others)
        if self.made:
            seconds = in_words(time.monotonic() - self.started)
            log.info("%s: %d measured in %s: %s", name, len(self.made), seconds, _place(self.made))
        if self.found:
            log.info(
                "%s: %d measured already: %s (move a record away to measure it again)",
                name, len(self.found), _place(self.found),
            )  # fmt: skip


def _place(paths: list[Path]) -> Path:
    """The record, or the folder of several."""
    return paths[0] if len(paths) == 1 else paths[0].parent
