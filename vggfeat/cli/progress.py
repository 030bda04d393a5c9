"""How far a long stage has come, on stderr: pictures, or bytes of a download."""

from vggfeat.cli.status_line import Fact, StatusLine
from vggfeat.cli.verbosity import is_verbose
from vggfeat.durations import in_words
from vggfeat.progress import MEGABYTES

RATE_AFTER_S = 1.0  # the first pictures take longer than others


class ProgressDisplay:
    """A bar on a terminal, otherwise a plain line now and then. Called as (label, done, total).

    What a stage of less than 10 s has done is not kept, unless --verbose asks for it.
    """

    def __init__(self, quiet: bool):
        self.line, self.is_verbose = StatusLine(quiet), is_verbose()
        self.label: str | None = None

    def __call__(self, label: str, done: int, total: int) -> None:
        if label != self.label:
            self._end()
            self.line.begin()
            self.label, self.first = label, done
        self.done, self.total = done, total
        ends = 0 < total <= done
        if self.line.is_due() or (ends and self._is_worth_a_line()):
            self._write()
        if ends:
            self._end()

    def __enter__(self) -> "ProgressDisplay":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        """A stage that did not come to its end leaves its line, which says how far it came."""
        self._end()

    def _is_worth_a_line(self) -> bool:
        return not self.line.quiet and (self.is_verbose or self.line.is_long)

    def _end(self) -> None:
        if self.label is not None:
            is_complete = 0 < self.total <= self.done
            if is_complete and not self._is_worth_a_line():
                self.line.clear()
            elif not is_complete and self.line.is_shown:
                self._write()  # how far it came
            self.line.end()
        self.label = None

    def _write(self) -> None:
        """The line of what was done; a total of 0 is one that is not known."""
        label, unit = self.label or "", ""
        if label.endswith(MEGABYTES):
            label, unit = label.removesuffix(MEGABYTES), " MB"
        of_total = f" of {self.total:,}" if self.total else ""
        facts = [Fact(f"{self.done:,}{of_total}{unit}", 1)]
        share = min(self.done / self.total, 1) if self.total else None
        if share is not None and self.line.is_renewed:
            facts.append(Fact(f"{int(100 * share)} %", 2))
        seconds, new = self.line.seconds, self.done - self.first
        is_done = share is not None and share >= 1
        if new > 0 and seconds >= RATE_AFTER_S:  # a download may begin again
            rate = new / seconds
            facts.append(Fact(f"{_in_digits(rate)}{unit}/s", 3))
            if self.total and not is_done:
                facts.append(Fact(f"{in_words((self.total - self.done) / rate)} left", 0))
        if is_done and seconds >= RATE_AFTER_S:
            facts.append(Fact(f"in {in_words(seconds)}", 0))
        self.line.write(label, facts, share)


class TrainingDisplay:
    """Where training stands: one line renewed on a terminal, otherwise a line now and then."""

    def __init__(self, quiet: bool):
        self.line = StatusLine(quiet)

    def __call__(self, status) -> None:
        """Takes a vggfeat.pretraining.monitor.Status."""
        ends_epoch = status.batch == status.num_batches
        ends = ends_epoch and status.epoch == status.epochs and not self.line.quiet
        if self.line.is_due(at_break=ends_epoch) or ends:
            self.line.write(status.stage, [Fact(*fact) for fact in status.facts])

    def __enter__(self) -> "TrainingDisplay":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.end_line()

    def end_line(self) -> None:
        """Begin a new line for what is printed next, and the time of the next stage."""
        self.line.begin()


def _in_digits(rate: float) -> str:
    """A rate in two digits or more: 0.21, 3.4, 56, 1,234."""
    return f"{rate:.2g}" if rate < 1 else f"{rate:.1f}" if rate < 10 else f"{rate:,.0f}"
