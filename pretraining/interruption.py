"""Ctrl-C and SIGTERM while training: the run stops where it can be saved."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """Raised by a run that was asked to stop."""

    def __init__(self, signal_number: int):
        super().__init__()
        self.signal_number = signal_number


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """A `with` block in which SIGTERM raises Interrupted, as Ctrl-C raises KeyboardInterrupt."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class StopRequest:
    """A `with` block in which the signals ask for a stop rather than make one.

    A second Ctrl-C stops at once, except under torchrun (patient), which passes on the first.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, *, patient: bool):
        self.patient = patient
        self.signal_number = 0  # 0: no signal came

    def __enter__(self) -> "StopRequest":
        self.previous = {}
        if threading.current_thread() is threading.main_thread():  # others cannot set handlers
            self.previous = {s: signal.signal(s, self._note) for s in self.SIGNALS}
        return self

    def __exit__(self, kind, error, traceback) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def obey(self) -> None:
        """Raise Interrupted if a stop was asked for."""
        if self.signal_number:
            raise Interrupted(self.signal_number)

    def interruption(self) -> Interrupted:
        """The error to raise where this process or another was asked to stop."""
        return Interrupted(self.signal_number or signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number == number == signal.SIGINT and not self.patient:
            raise KeyboardInterrupt
        if not self.patient:
            log.warning("stopping after this update; another Ctrl-C stops at once, unsaved")
        self.signal_number = number
