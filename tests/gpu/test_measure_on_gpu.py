"""`make gpu`: what it needs is named in one line, and the package is run without installing it."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import measure_on_gpu
import pytest
import torch

FACTS = """
import json, vggfeat.benchmarks.speed.suite, vggfeat.pretraining.run
from vggfeat.provenance import git_state, library_versions
print(json.dumps([vggfeat.__file__, library_versions()["vggfeat"], git_state()]))
"""


def test_what_is_missing_or_too_old_is_named_in_one_line():
    there = version("torch")
    sentence = measure_on_gpu.lacking(["torch>=2.11", "torch>=99.1", "no_such_thing>=1.0"])
    assert f"lacks torch>=99.1 (here {there}), no_such_thing>=1.0." in sentence
    assert measure_on_gpu.lacking(measure_on_gpu.NEEDED) == ""
    assert any(name.startswith("h5py") for name in measure_on_gpu.NEEDED)


def test_versions_are_compared_as_numbers():
    assert measure_on_gpu._numbers("2.11.0+cu130") == (2, 11, 0) > measure_on_gpu._numbers("2.9")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_and_does_nothing(capsys, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was run"))
    assert measure_on_gpu.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("make gpu: torch") and line.endswith("Nothing was measured.")


def test_it_stops_where_something_fails(capsys, monkeypatch):
    commands = {"one": ["0"], "two": ["3"], "three": ["0"]}
    monkeypatch.setattr(measure_on_gpu, "without_gpu", str)
    monkeypatch.setattr(measure_on_gpu, "steps", lambda arguments: {
        name: [sys.executable, "-c", f"raise SystemExit({status})"]
        for name, (status,) in commands.items()
    })  # fmt: skip
    assert measure_on_gpu.main([]) == 3
    said = capsys.readouterr().err
    assert "stopped at: two (exit status 3)" in said and "three" not in said


def test_the_tests_of_a_gpu_are_all_among_the_files_that_are_run():
    tests, bench = measure_on_gpu.steps(["--out", "folder"]).values()
    assert "tests/gpu" in tests and "tests/probes/test_devices.py" in tests
    assert bench[-2:] == ["--out", "folder"] and "--quick" in bench


@pytest.mark.slow
def test_the_package_runs_from_the_source_tree(tmp_path):
    """As an installed one does: every part of it, its version, its commit."""
    environment = os.environ | measure_on_gpu.staged(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", FACTS], env=environment, cwd=measure_on_gpu.ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    place, release, git = json.loads(result.stdout)
    assert place.startswith(str(tmp_path))
    assert release == measure_on_gpu.PROJECT["project"]["version"] and git
