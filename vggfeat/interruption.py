"""Signals that end a command: an exception where that is safe, else the end at once; both say so.

Ctrl-C (SIGINT), SIGTERM and SIGHUP. Modules are not the place for an exception: numpy and torch do
not survive one while they are imported, and others make another error of it.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from vggfeat.launched import follows

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
IMPORT_SYSTEM = "<frozen importlib"  # how the file names of its frames begin


class Interrupted(KeyboardInterrupt):
    """Raised by a run that was asked to stop; the exit status is 128 and the signal's number."""

    def __init__(self, signal_number: int):
        super().__init__()
        self.signal_number = signal_number


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """A `with` block in which the signals raise Interrupted; while modules load they end it all."""
    previous, sys.unraisablehook = sys.unraisablehook, _not_raised
    try:
        with handled_by(_interrupt):
            yield
    finally:
        sys.unraisablehook = previous


@contextmanager
def signals_end_at_once() -> Iterator[None]:
    """A `with` block in which the signals end the process; nothing needs to be put away."""
    with handled_by(_end_at_once):
        yield


@contextmanager
def signals_end_a_wait() -> Iterator[None]:
    """The same for a block that waits in C++, where Python's handlers would have to wait, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # as Python wants it

    def watch() -> None:
        while number := os.read(reading, 1):
            if number[0] in SIGNALS:
                _end_at_once(number[0], None)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    previous = signal.set_wakeup_fd(writing)
    try:
        with signals_end_at_once():
            yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(writing)
        watcher.join()
        os.close(reading)


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """A `with` block with this handler, but for signals that are ignored, as nohup has SIGHUP."""
    previous = {}
    if threading.current_thread() is threading.main_thread():  # others cannot set handlers
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


def what_is_kept(signal_number: int) -> str:
    """The line for the terminal; empty for all but one of several processes."""
    if follows():
        return ""
    by = "" if signal_number == signal.SIGINT else f" by {signal.Signals(signal_number).name}"
    return f"\nInterrupted{by}. What was done is kept; the same command goes on from there."


def _interrupt(number: int, frame: FrameType | None) -> None:
    inner = frame
    while inner is not None:
        if inner.f_code.co_filename.startswith(IMPORT_SYSTEM):
            _end_at_once(number, frame)
        inner = inner.f_back
    raise Interrupted(number)


def _not_raised(unraisable) -> None:
    """Python goes on where it cannot raise, as in `__del__`; a command must not."""
    if isinstance(unraisable.exc_value, Interrupted):
        _end_at_once(unraisable.exc_value.signal_number, None)
    sys.__unraisablehook__(unraisable)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, f"{what_is_kept(number)}\n".lstrip(" ").encode())
    except OSError:
        pass  # the terminal is gone
    os._exit(128 + number)
