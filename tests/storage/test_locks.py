"""One process at a time makes a file, also where the file system has no locks."""

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading

import pytest

from vggfeat.storage import locks
from vggfeat.storage.locks import exclusive


@pytest.fixture(params=[None, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def number(request, monkeypatch):
    """With locks (None), or without: the number of the error that flock then raises."""
    if request.param is not None:

        def flock(descriptor, operation):
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", flock)
        monkeypatch.setattr(locks, "_told", set())
    return request.param


def test_a_second_one_waits_for_the_first(tmp_path, number):
    order = []

    def second():
        with exclusive(tmp_path / "a"):
            order.append("second")

    thread = threading.Thread(target=second)
    with exclusive(tmp_path / "a"):
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"] and not any(tmp_path.iterdir())


def test_locks_that_are_missing_are_told_once_with_the_file(tmp_path, number, caplog):
    for name in ("a", "b"):
        with caplog.at_level(logging.INFO), exclusive(tmp_path / name):
            pass
    if number is None:
        assert not caplog.records
        return
    (told,) = caplog.records
    assert told.levelname == "WARNING"
    assert told.getMessage().startswith(
        f"{tmp_path / 'a'}: its file system has no locks ({os.strerror(number)}); "
        f"{tmp_path / '.a.lock.held'} stands for one."
    )


def test_lock_files_of_processes_that_were_killed_do_not_matter(tmp_path, number):
    """One without content, as flock leaves it, and one that names a process that is no more."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / ".a.lock").touch()
    (tmp_path / ".a.lock.held").write_text(f"{gone.pid}\n{os.uname().nodename}\n")
    done = []

    def lock():
        with exclusive(tmp_path / "a"):
            done.append(True)

    thread = threading.Thread(target=lock, daemon=True)
    thread.start()
    thread.join(10)
    assert done


def test_a_lock_file_that_has_another_name_stays(tmp_path):
    with exclusive(tmp_path / "a", tmp_path / "a.lock"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


def test_other_errors_are_errors(tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"), exclusive(tmp_path / "a"):
        pass


def test_a_process_that_waits_ends_at_once_when_it_is_interrupted(tmp_path):
    code = (
        "import logging, pathlib, sys\nfrom vggfeat.interruption import signals_interrupt\n"
        "from vggfeat.storage.locks import exclusive\n"
        "logging.basicConfig(level='INFO')\n"
        "with signals_interrupt(), exclusive(pathlib.Path(sys.argv[1])): print('not reached')\n"
    )
    with exclusive(tmp_path / "a"):
        process = subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "a"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert "waiting for it" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=10)
    assert process.returncode and "Interrupted" in stderr and not stdout
