"""The benchmark of SVMs over the plane of sizes, on little: that both sides do the same work."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vggfeat.benchmarks.speed import plane_figure, record, svm_plane
from vggfeat.benchmarks.speed.measuring import Setup
from vggfeat.benchmarks.speed.svm import REFIT_C, generated

SHAPES = (50, 16), (50, 40), (60, 16)
SMALL = [replace(svm_plane.Size.of(n, d), times=1, max_rounds=1) for n, d in SHAPES]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    setup = Setup(tmp_path_factory.mktemp("plane"), repeats=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svm_plane, "NEIGHBOURS", 1)
        result = svm_plane.measure(setup, sizes=SMALL)
    return record.new_record("svm-plane", result, setup, command="", git=None, seconds=1)


@pytest.mark.parametrize("n, d, classes_of_peer", [(50, 16, 5), (300, 4096, 2)])
def test_both_sides_fit_the_same_problems(n, d, classes_of_peer):
    size = svm_plane.Size.of(n, d)
    X, signs = generated(size.case)
    peer, ours = svm_plane.contenders(size, X, signs, "cpu")
    classifier, theirs = ours.run(), peer.run()
    assert peer.work == size.times * classes_of_peer * 6
    assert ours.work == size.times * size.num_classes * 6
    scores = np.concatenate([svc.decision_function(X).reshape(n, -1) for svc in theirs], axis=1)
    assert all(svc.C == REFIT_C for svc in theirs)
    equal = np.sign(scores) == np.sign(classifier.decisions(X)[:, :classes_of_peer])
    assert equal.mean() > 0.99


def test_each_size_is_measured_by_both_clocks_alone_and_with_neighbours(measured, tmp_path):
    path = record.write(measured, tmp_path)
    again = record.read(path)
    by_size = {row.contender: [] for row in again.rows}
    for row in again.rows:
        by_size[row.contender].append(row.quantity)
    speeds = [f"fits/{c}, {s}" for s in svm_plane.SETTINGS for c in svm_plane.CLOCKS]
    assert list(by_size.values()) == [[*speeds, svm_plane.SLOWER]] * len(SMALL)
    for row in again.rows:
        assert row.value.median > 0 and (row.ratio is None) == (row.quantity == svm_plane.SLOWER)


def test_the_figure_shows_each_ratio_where_its_size_lies(measured, tmp_path):
    pictures, dims, plane = plane_figure.ratios(measured, "fits/second, alone")
    assert (pictures, dims) == ([50, 60], [16, 40])
    ratio = {
        r.contender: r.ratio.median for r in measured.rows if "second, alone" == r.quantity[5:]
    }
    assert plane[0].tolist() == [ratio["vggfeat, 50 x 16"], ratio["vggfeat, 50 x 40"]]
    assert plane[1, 0] == ratio["vggfeat, 60 x 16"] and np.isnan(plane[1, 1])
    path = plane_figure.write(measured, tmp_path)
    assert path == tmp_path / "svm-plane" / "cpu.png"
    with Image.open(path) as figure:
        assert figure.width > 1000 and len(figure.convert("RGB").getcolors(10**6)) > 100


def test_without_matplotlib_the_record_is_kept_and_a_line_says_why(
    measured, tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plane_figure.write(measured, tmp_path) is None
    assert "vggfeat[plot]" in caplog.text
    assert not list(tmp_path.rglob("*.png"))


def test_neighbours_end_with_the_block():
    block = "with neighbours.busy_neighbours(2): pass\nprint(*(each.poll() for each in started))"
    assert printed(block) == [str(-signal.SIGKILL)] * 2


def test_neighbours_end_with_a_process_that_is_killed():
    start = "print(*(process.pid for process in started), flush=True)"
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    (pid,) = printed(f"with neighbours.busy_neighbours(1): {start}; {kill}")
    ended_by = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < ended_by:
        time.sleep(0.05)
    assert not is_running(pid)


def printed(block: str) -> list[str]:
    """What a process prints that runs `block`, in which `started` are its neighbours."""
    code = (
        "import os, signal\n"
        "from vggfeat.benchmarks.speed import neighbours\n"
        "Popen, started = neighbours.subprocess.Popen, []\n"
        "def start(*a, **k):\n"
        "    started.append(Popen(*a, **k)); return started[-1]\n"
        "neighbours.subprocess.Popen = start\n"
        f"{block}"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20
    ).stdout.split()


def is_running(pid: str) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


def test_of_the_largest_size_the_peer_fits_once_and_that_is_counted(monkeypatch):
    monkeypatch.setattr(svm_plane, "MAX_REFITTED", 0)
    size = replace(SMALL[0], grid=(REFIT_C,), peer_classes=1)
    X, signs = generated(size.case)
    peer, ours = svm_plane.contenders(size, X, signs, "cpu")
    (fitted,) = peer.run()
    assert peer.work == 1 and ours.work == 2 * size.num_classes
    assert fitted.decision_function(X).shape == (50,)
