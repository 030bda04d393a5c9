"""Commands in several processes of this machine: the same result, one voice, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.pictures import write_classes

from vggfeat.errors import OptionError
from vggfeat.processes import launch

VGGFEAT = (sys.executable, "-m", "vggfeat")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "vggfeat")
NET = "vgg11:width=0.0625,input_size=32@random:0"
BENCH = ("bench", "pictures", "--net", NET, "--scales", "32", "--device", "cpu", "--format", "json")
TOGETHER = ("--gpus", "2")


def start(folder: Path, *command: str) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "VGGFEAT_HOME": str(folder / "home")}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(folder: Path, *command: str) -> tuple[int, str, list[str]]:
    """Exit status, stdout and the lines of stderr, without those of torchrun itself."""
    process = start(folder, *command)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err.splitlines()


@pytest.fixture
def folder(tmp_path):
    write_classes(tmp_path / "pictures", {"ant": 40, "bee": 40})
    return tmp_path


def test_more_processes_than_a_machine_can_bear_are_refused():
    with pytest.raises(OptionError, match="--gpus 1000000: at most [0-9]+ processes share"):
        launch.check(10**6, "cpu")
    launch.check(4, "cpu")


@pytest.mark.slow
def test_the_machines_own_name_need_not_be_known(folder):
    """As in a container without a line for it in /etc/hosts."""
    if subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a namespace")
    alone = ("unshare", "--uts", "sh", "-c", 'hostname nobody-knows.invalid && exec "$0" "$@"')
    command = ("extract", "--images", "pictures", "--net", NET, "--scales", "32", "--device", "cpu")
    status, out, _ = run(folder, *alone, *VGGFEAT, *command, "--to", "out/", *TOGETHER)
    assert status == 0 and "80 pictures, 80 of them new" in out


@pytest.mark.slow
def test_several_processes_print_and_write_what_one_does(folder):
    records = []
    for command in ((*VGGFEAT, *BENCH), (*VGGFEAT, *BENCH, *TOGETHER), (*TORCHRUN, *BENCH)):
        out = folder / f"out{len(records)}"
        status, printed, _ = run(
            folder, *command, "--out", str(out), "--cache-dir", str(out / "cache")
        )
        assert status == 0
        (record,) = json.loads(printed)
        for field in ("seconds", "command", "time", "sha256"):
            record.pop(field, None)
        records.append(record)
    assert records[0] == records[1] == records[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong, status",
    [
        (("bench", "nowhere", "--net", NET), 1),  # found by the library
        (("bench", "--net", NET), 2),  # by the command
        (("bench", "pictures", "--scales", "x"), 2),  # as the command line is read
    ],
)
@pytest.mark.parametrize("start", [(*VGGFEAT,), (*TORCHRUN,)])
def test_an_error_is_one_line_whoever_meets_it(folder, start, wrong, status):
    gpus = TOGETHER if start == VGGFEAT else ()
    found, printed, errors = run(folder, *start, *wrong, "--device", "cpu", *gpus)
    assert printed == "" and sum(line.startswith("Error: ") for line in errors) == 1
    assert found == (status if start == VGGFEAT else 1)


def test_processes_that_have_no_gpu_are_not_started(folder):
    status, printed, errors = run(folder, *VGGFEAT, "extract", "--dataset", "x", "--gpus", "99")
    assert (status, printed) == (1, "")
    (line,) = errors
    assert line.startswith("Error: --gpus 99: this machine has ")
    assert line.endswith("With --device cpu 99 processes share its cores.")


EXTRACT = (
    *VGGFEAT, "extract", "--dataset", "pictures",
    "--net", "vgg11:width=0.25,input_size=32@random:0",
    "--scales", "256", "--device", "cpu", *TOGETHER,
)  # fmt: skip


def started_in(folder: Path) -> tuple[subprocess.Popen, list[int]]:
    """A job of two processes that is extracting, and the ids of the two."""
    write_classes(folder / "pictures", {"ant": 600, "bee": 600})
    process = start(folder, *EXTRACT)
    while not list(folder.glob("home/**/*.parts/*.h5")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [
        int(child) for child in children
        if b"\nRANK=" in Path(f"/proc/{child}/environ").read_bytes().replace(b"\0", b"\n")
    ]  # fmt: skip
    return process, workers


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_the_same_command_goes_on(folder, number):
    process, _ = started_in(folder)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert errors.count("What was done is kept") == 1
    status, printed, _ = run(folder, *EXTRACT)
    assert status == 0 and "new descriptors" in printed


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_a_process_that_is_killed_is_started_again_with_the_others(folder):
    process, workers = started_in(folder)
    os.kill(workers[-1], signal.SIGKILL)
    printed, errors = process.communicate(timeout=240)
    assert process.returncode == 0 and "1,200 new descriptors" in printed
    assert "was killed by SIGKILL, as Linux does where memory is short. All are started" in errors
