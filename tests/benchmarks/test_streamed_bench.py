"""`--memory`: vectors that do not fit stream from disk, and the record is the same but for remarks.

The toy problems here fit, of course: they are made to look too large.
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.pictures import NARROW

import vggfeat
from vggfeat.cli import main
from vggfeat.errors import OptionError
from vggfeat.probes import probe_file
from vggfeat.probes.streaming import choice
from vggfeat.records.record import read_all

NETS = ("--net", f"{NARROW}+vgg13:width=0.0625,input_size=32@random:5")


@pytest.fixture
def too_large(monkeypatch):
    """Everything seems to need a terabyte in memory."""
    monkeypatch.setattr(choice, "in_memory_bytes", lambda *_: 10**12)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def bench(home, out, *arguments, code=0):
    command = ["bench", *map(str, arguments), "--out", str(out), "--format", "json"]
    result = CliRunner(env={"VGGFEAT_HOME": str(home)}).invoke(main, command)
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout) if code == 0 else result.stderr


def both(home, tmp_path, monkeypatch, *arguments):
    """The records in memory, and those of vectors that stream."""
    in_memory = bench(home, tmp_path / "in_memory", *arguments)
    monkeypatch.setattr(choice, "in_memory_bytes", lambda *_: 10**12)
    streamed = bench(home, tmp_path / "streamed", *arguments, "--memory", "4G")
    assert not any((home / "scratch").iterdir())
    return in_memory, streamed


def assert_same(in_memory, streamed):
    for ours, theirs in zip(streamed, in_memory, strict=True):
        assert ours["key"] == theirs["key"]
        assert ours["nets"] == theirs["nets"]  # the digests of descriptors among them
        assert any("stream from disk" in remark for remark in ours["remarks"])
        for name, metric in theirs["metrics"].items():
            assert ours["metrics"][name]["value"] == pytest.approx(metric["value"], abs=0.02)


def test_nets_together_and_pictures_with_boxes_give_the_same_record(home, tmp_path, monkeypatch):
    options = ("--limit", 12, "--scales", "32,48", *NETS, "--probe", "ridge", "--probe", "svm")
    assert_same(*both(home, tmp_path, monkeypatch, "synthetic_actions", *options))


def test_saved_probes_decide_alike(home, tmp_path, monkeypatch):
    probes = ("--probe", "ridge", "--probe", "knn", "--save-probe")
    options = ("--splits", 1, "--scales", 32, "--limit", 60, "--net", NARROW, *probes)
    in_memory, streamed = both(home, tmp_path, monkeypatch, "digits", *options)
    assert_same(in_memory, streamed)
    for path in sorted((tmp_path / "in_memory").rglob("*.probe.safetensors")):
        _, theirs = probe_file.read(path)
        _, ours = probe_file.read(tmp_path / "streamed" / path.relative_to(tmp_path / "in_memory"))
        for name, array in theirs.arrays().items():
            np.testing.assert_allclose(ours.arrays()[name], array, atol=1e-4)


def test_features_of_other_programs_stream_as_well(home, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    y = np.repeat(["ant", "bee", "cat"], 40)
    X = random.normal(size=(120, 6)) + np.repeat(2 * random.normal(size=(3, 6)), 40, axis=0)
    X[7] = 0
    np.save(tmp_path / "clip.npy", X.astype(np.float16))
    rows = "".join(f"row{number},{name}\n" for number, name in enumerate(y))
    (tmp_path / "insects.csv").write_text("id,label\n" + rows)
    files = (tmp_path / "clip.npy", "--labels", tmp_path / "insects.csv", "--probe", "ridge")
    in_memory, streamed = both(home, tmp_path, monkeypatch, *files, "--probe", "svm")
    assert_same(in_memory, streamed)
    assert streamed[0]["remarks"][:-1] == in_memory[0]["remarks"] != []


def test_from_python_memory_is_a_number_or_a_text(home, monkeypatch, too_large):
    monkeypatch.setenv("VGGFEAT_HOME", str(home))
    X, y = np.random.default_rng(0).normal(size=(60, 4)), ["a", "b", "c"] * 20
    for memory in ("4G", 4 * 10**9):
        record = vggfeat.bench_features(X, y, probe="ridge", memory=memory)
        assert "4.0 GB are allowed" in record.remarks[-1]
    with pytest.raises(OptionError, match="memory must be a size such as 800M, 8G or 8GiB; got"):
        vggfeat.bench_features(X, y, memory="much")
    with pytest.raises(OptionError, match="memory must be bytes or a size such as '8G'; got -1"):
        vggfeat.bench_features(X, y, memory=-1)


def test_what_is_given_and_suffices_is_said_and_nothing_is_said_by_default(home, tmp_path):
    options = ("synthetic_scenes", "--limit", 12, "--scales", 32, "--net", NARROW)
    (record,) = bench(home, tmp_path / "given", *options, "--memory", "8GiB")
    assert any("stay in memory: svm takes about" in remark for remark in record["remarks"])
    (record,) = bench(home, tmp_path / "free", *options)
    assert not any("memory" in remark for remark in record["remarks"])
    assert len(read_all(tmp_path / "given")) == 1


def test_too_little_is_one_line_that_says_what_to_do(home, tmp_path):
    options = ("synthetic_scenes", "--limit", 12, "--scales", 32, "--net", NARROW)
    error = bench(home, tmp_path, *options, "--memory", "1M", code=1)
    assert "svm takes about" in error and "even where they stream from disk" in error
    assert "Give more, or take fewer scales" in error and error.count("Error:") == 1
    error = bench(home, tmp_path, *options, "--memory", "8 parsecs", code=2)
    assert "memory must be a size such as 800M, 8G or 8GiB; got '8 parsecs'." in error


def test_a_solver_without_a_streaming_form_is_refused(home, tmp_path, too_large):
    options = ("synthetic_scenes", "--limit", 12, "--scales", 32, "--net", NARROW)
    error = bench(home, tmp_path, *options, "--solver", "liblinear", "--memory", "4G", code=1)
    assert "in memory and cannot stream them from disk" in error
