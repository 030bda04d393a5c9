"""Ctrl-C, SIGTERM and SIGHUP while training: the run stops where it can be saved."""

import logging
import signal
from types import FrameType

from vggfeat.interruption import Interrupted, handled_by

log = logging.getLogger(__name__)


class StopRequest:
    """A `with` block in which the signals ask for a stop rather than make one.

    A second Ctrl-C stops at once, except under torchrun (patient), which passes on the first.
    """

    def __init__(self, *, patient: bool):
        self.patient = patient
        self.signal_number = 0  # 0: no signal came

    def __enter__(self) -> "StopRequest":
        self._handled = handled_by(self._note)
        self._handled.__enter__()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._handled.__exit__(kind, error, traceback)

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
