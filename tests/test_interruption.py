"""Signals end a command with the line that says what is kept, whatever it is doing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vggfeat.interruption import Interrupted, signals_interrupt

KEPT = "What was done is kept; the same command goes on from there.\n"
LINES = {
    signal.SIGINT: f"\nInterrupted. {KEPT}",
    signal.SIGTERM: f"\nInterrupted by SIGTERM. {KEPT}",
    signal.SIGHUP: f"\nInterrupted by SIGHUP. {KEPT}",
}


def ended(folder: Path, code: str, **options) -> subprocess.CompletedProcess:
    """A process that runs the code, in a folder that holds what it imports."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, **options)


@pytest.mark.parametrize("number", LINES)
def test_a_signal_is_an_exception_with_its_number(number):
    with pytest.raises(Interrupted) as raised, signals_interrupt():
        signal.raise_signal(number)
    assert isinstance(raised.value, KeyboardInterrupt) and raised.value.signal_number == number


@pytest.mark.parametrize("number", LINES)
def test_while_a_module_is_imported_a_signal_ends_the_process_and_says_so(tmp_path, number):
    """An exception there makes a traceback, and another error of it in numpy and torch."""
    (tmp_path / "slow.py").write_text(
        f"import signal\ntry:\n    signal.raise_signal({int(number)})\n"
        "except BaseException as error:\n    print('not reached', error)\n"
    )
    code = (
        "from vggfeat.interruption import signals_interrupt\nwith signals_interrupt(): import slow"
    )
    process = ended(tmp_path, code)
    assert process.returncode == 128 + number
    assert process.stderr == LINES[number] and process.stdout == ""


def test_while_libraries_load_a_signal_ends_the_process_and_says_so(tmp_path):
    code = (
        "import signal\nfrom vggfeat.cli.group import importing\n"
        "with importing(): signal.raise_signal(signal.SIGINT)"
    )
    process = ended(tmp_path, code)
    assert process.returncode == 130 and process.stderr == LINES[signal.SIGINT]


BLOCKED = """
import ctypes, os, signal, threading
from vggfeat import interruption
interruption.GRACE_S = 0.2
lock, mutex = ctypes.CDLL(None).pthread_mutex_lock, ctypes.create_string_buffer(64)
with interruption.signals_interrupt():
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    lock(mutex)
    lock(mutex)
"""


def test_a_command_that_is_long_in_c_is_ended_soon(tmp_path):
    """As torch is while it waits for other processes; here a mutex that nobody gives back."""
    process = ended(tmp_path, BLOCKED, timeout=10)
    assert process.returncode == 143 and process.stderr == LINES[signal.SIGTERM]


def test_a_signal_that_was_handled_may_take_its_time(tmp_path):
    """As saving does; and what a forked process is sent is not for its parent."""
    code = """
import os, signal, time
from vggfeat import interruption
interruption.GRACE_S, interruption.SLACK_S = 0.2, 0.1
with interruption.signals_interrupt():
    if not (child := os.fork()):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        signal.raise_signal(signal.SIGTERM)
    os.waitpid(child, 0)
    time.sleep(0.5)
    try:
        signal.raise_signal(signal.SIGTERM)
    except interruption.Interrupted:
        time.sleep(0.5)
        print("saved")
    signal.signal(signal.SIGTERM, lambda *_: None)  # another's, as that of torch's launcher
    signal.raise_signal(signal.SIGTERM)
    time.sleep(0.5)
"""
    process = ended(tmp_path, code, timeout=10)
    assert (process.returncode, process.stdout, process.stderr) == (0, "saved\n", "")


def test_where_python_cannot_raise_a_signal_ends_the_process_and_says_so(tmp_path):
    code = """
import signal
from vggfeat.interruption import signals_interrupt

class Net:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

with signals_interrupt():
    net = Net()
    del net
    print("not reached")
"""
    process = ended(tmp_path, code)
    assert process.returncode == 143 and process.stderr == LINES[signal.SIGTERM]
    assert process.stdout == ""


def test_a_signal_that_is_ignored_stays_so():
    """As under nohup, and in the background of a shell script."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_of_before_are_back():
    before = [signal.getsignal(number) for number in LINES]
    with signals_interrupt():
        assert [signal.getsignal(number) for number in LINES] != before
    assert [signal.getsignal(number) for number in LINES] == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["datasets", "--help"]])
def test_output_to_a_full_disk_is_one_line(arguments):
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "vggfeat", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr == "Error: No space left on device: the output could not be written.\n"
