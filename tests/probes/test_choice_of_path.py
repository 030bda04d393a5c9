"""Whether probes are fitted in memory or from disk: by stated bytes, which are measured here."""

import json
import subprocess
import sys

import pytest

from vggfeat import memory
from vggfeat.errors import OptionError
from vggfeat.probes.registry import load_probe
from vggfeat.probes.streaming import choice
from vggfeat.probes.streaming.choice import Problem, choose_path, in_memory_bytes, streamed_bytes

IMAGENET = Problem(N=1_330_000, n=1_280_000, m=50_000, t=50_000, d=4096, K=1000, read_values=12_288)
SMALL = Problem(N=6000, n=3000, m=900, t=3000, d=512, K=102, read_values=512)
# The peak of a child that fits a probe as `bench` does, in bytes above what it held before.
CHILD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import numpy as np, scipy.linalg, scipy.sparse, torch
from vggfeat import memory
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.benchmarks.streamed_vectors import StreamedVectors
from vggfeat.probes.registry import load_probe
from vggfeat.probes.streaming import choice

name, streams, folder = sys.argv[1], sys.argv[2] == "True", Path(sys.argv[3])
N, d, K = 8000, 64, 8
torch.linalg.eigh(torch.eye(9, dtype=torch.float64))
random = np.random.default_rng(0)
y = np.arange(N) % K
centres = random.normal(size=(K, d)).astype(np.float32)
def blocks():
    for start in range(0, N, 4000):
        yield random.standard_normal((4000, d), np.float32) + centres[y[start : start + 4000]]
part = np.arange(N) // K % 10
split = Split(train=np.flatnonzero(part < 6), validation=np.flatnonzero((part > 5) & (part < 8)),
              test=np.flatnonzero(part > 7))
labels = np.where(y[:, None] == np.arange(K), np.int8(1), np.int8(-1))
held = memory.resident()
vectors = StreamedVectors.written(folder, d, blocks()) if streams else np.concatenate([*blocks()])
SingleLabel().fit_and_score(vectors, labels, split, classes=[*map(str, range(K))],
                            unread=labels[:0], probe=load_probe(name))
size = choice.Problem(N=N, n=len(split.both), m=len(split.validation), t=len(split.test), d=d, K=K,
                      read_values=d)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
stated = (choice.streamed_bytes if streams else choice.in_memory_bytes)(name, size)
print(json.dumps([int(peak.split()[1]) * 1024 - held, stated]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not memory.resident(), reason="the system does not say what a process takes")
@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("name", ["ridge", "logistic", "knn", "centroid"])
def test_a_probe_takes_no_more_than_is_stated(tmp_path, name, streams):
    command = [sys.executable, "-c", CHILD, name, str(streams), str(tmp_path)]
    peak, stated = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert peak <= 1.2 * stated


def test_imagenet_takes_tens_of_gigabytes_in_memory_and_some_from_disk():
    for name in ("svm", "ridge", "logistic", "centroid"):
        assert in_memory_bytes(name, IMAGENET) > 60e9
        assert streamed_bytes(name, IMAGENET) < 16e9


def chosen(name, size, budget):
    return choose_path(load_probe(name), size, budget)


def test_what_fits_stays_in_memory_and_is_said_only_where_the_user_gave_a_budget():
    assert chosen("svm", SMALL, None).remarks == []
    choice_of_user = chosen("svm", SMALL, 10**11)
    assert not choice_of_user.streams
    (remark,) = choice_of_user.remarks
    assert remark.startswith("6,000 x 512 vectors of 102 classes stay in memory: svm takes about")


def test_what_does_not_fit_streams_and_says_why():
    budget = memory.resident() + streamed_bytes("ridge", IMAGENET) + 10**9
    (remark,) = chosen("ridge", IMAGENET, budget).remarks
    assert "1,330,000 x 4,096 vectors of 1,000 classes stream from disk: ridge takes" in remark
    assert "are allowed" in remark


def test_by_default_what_is_free_decides_and_an_estimate_refuses_nothing(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 30 * 10**9)
    assert "are free" in chosen("ridge", IMAGENET, None).sentence
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    assert not chosen("ridge", IMAGENET, None).streams
    monkeypatch.setattr(memory, "available", lambda: None)  # not Linux
    assert not chosen("ridge", IMAGENET, None).streams


def test_too_little_for_both_is_one_line():
    with pytest.raises(OptionError, match="takes about .* even where they stream .* Give more"):
        chosen("logistic", IMAGENET, 10**9)


@pytest.mark.parametrize(
    ("text", "size"),
    [("800M", 8e8), ("8G", 8e9), ("8GiB", 2**33), ("1.5 gb", 1.5e9), ("4096", 4096), ("2T", 2e12)],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert memory.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "8X", "-8G", "0", "G", "8G8", "1e9", "٣G"])
def test_other_sizes_are_refused_in_one_line(text):
    with pytest.raises(OptionError, match="memory must be a size such as 800M, 8G or 8GiB"):
        memory.parse_size(text)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -1, 0, 1.5, True, [1], 10**400, "1e30", "1 byte"],
    ids=repr,
)
def test_what_is_no_memory_is_refused_from_python(value):
    assert memory.as_bytes(8e9) == memory.as_bytes("8G") == 8_000_000_000
    with pytest.raises(OptionError, match="memory must be"):
        memory.as_bytes(value)


def test_a_probe_of_somebody_elses_has_no_streaming_form():
    from helpers.discriminant import Discriminant

    assert choice.streamed_bytes(Discriminant.name, SMALL) is None
    with pytest.raises(OptionError, match="cannot stream them from disk"):
        choose_path(Discriminant(), SMALL, 10)


def test_processes_of_a_machine_have_its_free_memory_together(monkeypatch):
    monkeypatch.setattr(memory, "resident", lambda: 10**9)
    monkeypatch.setattr(memory, "available", lambda: 8 * 10**9)
    svm = load_probe("svm")
    beside = choice.WORKSPACE + 9 * 100 * 5  # for signs and decision values
    assert choice._left_for_fits(svm, 100, 5) == 8 * 10**9 - beside
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert choice._left_for_fits(svm, 100, 5) == 2 * 10**9 - beside
