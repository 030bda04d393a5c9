"""Signals that end a command: an exception where that is safe, else the end at once; both say so.

Ctrl-C (SIGINT), SIGTERM and SIGHUP. Modules are not the place for an exception: numpy and torch do
not survive one while they are imported, and others make another error of it.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from vggfeat.processes.launched import follows

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
GRACE_S = 5.0  # for the handler of a signal to begin
SLACK_S = 1.0  # by which it may have begun before the watcher knew of the signal
IMPORT_SYSTEM = "<frozen importlib"  # how the file names of its frames begin
END = b"\0"  # no signal has this number
_is_watched = False


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
        with handled_by(_interrupt), _watched():
            yield
    finally:
        sys.unraisablehook = previous


@contextmanager
def signals_end_at_once() -> Iterator[None]:
    """A `with` block in which the signals end the process; nothing needs to be put away."""
    with handled_by(_end_at_once):
        yield


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """A `with` block with this handler, but for signals that are ignored, as nohup has SIGHUP."""
    previous, of_ours = {}, _Handler(handler)
    if threading.current_thread() is threading.main_thread():  # others cannot set handlers
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, of_ours)
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


class _Handler:
    """A handler of a signal, with the time when one was last called."""

    called_at = -float("inf")

    def __init__(self, handler: Callable[[int, FrameType | None], None]):
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        _Handler.called_at = time.monotonic()
        self.handler(number, frame)


@contextmanager
def _watched() -> Iterator[None]:
    """A `with` block in which a signal that cannot be handled for some seconds ends the process.

    Python handles it between two of its own instructions, and a solver, or torch as it waits for
    other processes, may be minutes in C.
    """
    global _is_watched
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # as Python wants it
    watcher = threading.Thread(target=_watch, args=(reading, _Handler.called_at), daemon=True)
    watcher.start()
    previous, before, _is_watched = signal.set_wakeup_fd(writing), _is_watched, True
    try:
        yield
    finally:
        _is_watched = before
        signal.set_wakeup_fd(previous)
        os.write(writing, END)  # closing it is not enough: forked processes have it, too
        watcher.join()
        os.close(writing)
        os.close(reading)


def _watch(reading: int, called_at: float) -> None:
    while (number := os.read(reading, 1)) != END:
        came_at = time.monotonic()
        # Of two signals at once Python may make one call.
        while _Handler.called_at == called_at < came_at - SLACK_S and _is_ours(number[0]):
            if time.monotonic() > came_at + GRACE_S:
                _end_at_once(number[0], None)
            time.sleep(0.05)
        called_at = _Handler.called_at


def _is_ours(number: int) -> bool:
    """Whether we handle the signal now, not somebody else, as torch's launcher does."""
    return number in SIGNALS and isinstance(signal.getsignal(number), _Handler)


def _watch_no_more() -> None:
    """What a forked process is sent is not for its parent."""
    if _is_watched:
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watch_no_more)


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
        if line := what_is_kept(number):
            os.write(2, f"{line}\n".encode())
    except OSError:
        pass  # the terminal is gone
    os._exit(128 + number)
