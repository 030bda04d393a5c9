"""`bench --probe`: several probes from one extraction, their records, tables, plans and errors."""

import json

import pytest
from helpers.pictures import NARROW

from vggfeat.probes.registry import PROBES

EVERY = [word for probe in PROBES for word in ("--probe", probe)]


@pytest.fixture
def bench(run, caltech_dir, tmp_path):
    def bench(*more):
        return run(
            "bench", "caltech101", "--net", NARROW, "--scales", "32", "--splits", "2", "--offline",
            "--data-dir", caltech_dir, "--cache-dir", tmp_path, "--out", tmp_path / "out", *more,
        )  # fmt: skip

    return bench


def test_every_probe_has_a_record_from_one_extraction(bench, run, tmp_path, caltech_dir):
    result = bench(*EVERY, "--verbose")
    assert result.exit_code == 0 and result.stderr.count("new descriptors") == 1
    lines = [line for line in result.stdout.splitlines() if line.startswith(NARROW)]
    assert [line.split()[1] for line in lines] == list(PROBES)
    paths = list((tmp_path / "out").glob("caltech101/*.json"))
    records = [json.loads(path.read_text()) for path in paths]
    assert sorted(r["probe"].get("probe", "svm") for r in records) == sorted(PROBES)
    assert len({record["protocol"]["classifier"] for record in records}) == len(PROBES)
    for record in records:
        probe, name = record["probe"], record["probe"].get("probe", "svm")
        assert {"choose_C", "fit", "score"} <= record["seconds"].keys()
        assert probe["classes_not_converged"] == [0, 0]
        if name == "centroid":
            assert not any("grid" in fact or "rule" in fact for fact in probe)
            assert not any("of the grid" in note for note in record["notes"])
            continue
        (grid,) = (fact.removesuffix("_grid") for fact in probe if fact.endswith("_grid"))
        assert grid == {"ridge": "alpha", "knn": "k", "knn_plain": "k"}.get(name, "c")
        assert set(probe[grid]) <= set(probe[f"{grid}_grid"]) and len(probe[grid]) == 2
        assert f"{probe[grid][0]:g}" in probe["validation"][0]
        assert (f"{grid}_patience" in probe) == (name == "svm")
    places = ("--data-dir", caltech_dir, "--cache-dir", tmp_path)
    verified = run("verify", *paths, *places)
    assert verified.exit_code == 0 and "damaged" not in verified.stdout
    again = bench(*EVERY)
    assert again.stdout == result.stdout and f"{len(PROBES)} measured already" in again.stderr


def test_svms_have_the_record_and_the_table_that_they_had_without_the_option(bench):
    alone = bench()
    named = bench("--probe", "svm")
    assert named.stdout == alone.stdout and "measured already" in named.stderr
    assert "probe" not in alone.stdout


def test_a_plan_names_the_probes_where_there_are_several(bench):
    plan = bench("--probe", "svm", "--probe", "ridge", "--dry-run").stdout
    assert "(svm): to measure" in plan and "(ridge): to measure" in plan
    assert "In all: 2 measurements" in plan
    assert "(ridge)" not in bench("--probe", "ridge", "--dry-run").stdout


def test_an_unknown_probe_is_an_error_that_lists_the_known_ones(bench):
    result = bench("--probe", "sgd")
    assert result.exit_code == 2
    assert "'sgd' is not one of" in result.stderr and all(f"'{p}'" in result.stderr for p in PROBES)


def test_a_solver_without_svms_is_an_error_in_one_line(bench):
    result = bench("--probe", "ridge", "--solver", "liblinear")
    assert result.exit_code == 1 and result.stderr == (
        "Error: --solver is an option of --probe svm; got --probe ridge. Leave --solver out, or add"
        " --probe svm.\n"
    )
    both = bench("--probe", "ridge", "--probe", "svm", "--solver", "liblinear", "--dry-run")
    assert both.exit_code == 0
