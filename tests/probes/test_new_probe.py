"""A new probe is one file (tests/helpers/discriminant.py) and one line in the registry."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.discriminant import Discriminant
from helpers.pictures import NARROW
from helpers.probes import problem, signs_of
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.layouts.options import DataOptions
from vggfeat.probes.registry import PROBES
from vggfeat.storage.folders import Folders

THE_LINE = {"lda": "helpers.discriminant:Discriminant"}


def test_the_new_probe_is_right():
    """Against scikit-learn, with examples that a class leaves out."""
    X, y = problem()
    signs = signs_of(y)
    signs[:30, 1] = 0
    ours = Discriminant().fits(X, signs).fit([0.1, 0.5, 1.0]).decisions(X)
    for k, value in enumerate((0.1, 0.5, 1.0)):
        used = signs[:, k] != 0
        theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=value)
        theirs.fit(X[used], signs[used, k])
        np.testing.assert_allclose(ours[:, k], theirs.decision_function(X), atol=1e-9)


@pytest.fixture
def new_probe(monkeypatch):
    monkeypatch.setitem(PROBES, *next(iter(THE_LINE.items())))


@pytest.mark.parametrize(
    "name, per_class", [("digits", False), ("synthetic_scenes", True), ("synthetic_actions", True)]
)
def test_a_whole_benchmark_runs_with_it(new_probe, tmp_path, name, per_class):
    """Of single labels and of multiple labels; the record names it and what was chosen."""
    places = Folders(tmp_path, tmp_path)
    options = DataOptions(num_splits=1, limit=12)
    benchmark = load_benchmark(name, options=options, places=places, offline=True)
    settings = benchmark.settings(scales=(32,), probe="lda")
    record = benchmark.run([load_network(NARROW)], settings, folder=tmp_path / "features")
    assert record.probe["probe"] == "lda" and record.protocol["classifier"] == Discriminant.title
    assert record.probe["shrinkage_grid"] == list(Discriminant.grid)
    (chosen,) = record.probe["shrinkage"]
    assert set(chosen.values() if per_class else [chosen]) <= set(Discriminant.grid)
    assert record.probe["classes_not_converged"] == [0] and record.probe["largest_gap"] == [None]
    assert 0 < record.metrics[record.metric]["value"] <= 1
    assert not any(" C " in note for note in record.notes)


@pytest.mark.slow
def test_the_command_line_knows_it(tmp_path):
    """In a process of its own, which has the line before the commands are declared."""
    code = (
        "from vggfeat.probes.registry import PROBES\n"
        f"PROBES |= {THE_LINE}\n"
        "from vggfeat.cli import main\n"
        "main()"
    )
    arguments = [
        "bench", "digits", "--net", NARROW, "--scales", "32", "--splits", "1", "--limit", "12",
        "--probe", "lda", "--cache-dir", tmp_path, "--out", tmp_path / "out", "--format", "json",
    ]  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],  # where `helpers` is imported from
    )
    assert result.returncode == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert record["probe"]["probe"] == "lda" and record["probe"]["lambda"]
