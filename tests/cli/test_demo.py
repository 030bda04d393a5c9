"""`vggfeat demo` on fewer and smaller things, through the same code."""

import json

import pytest

from vggfeat.benchmarks.datasets import synthetic
from vggfeat.benchmarks.datasets.synthetic_drawing import write_action_lists, write_devkit
from vggfeat.pretraining import demo as pretraining
from vggfeat.pretraining import synthetic_signs


@pytest.fixture
def small_demo(monkeypatch, tmp_path):
    """The arguments of a demo with two signs, two epochs of a thinner net and 24 scenes."""
    monkeypatch.setattr(synthetic_signs, "NUM_SIGNS", 2)
    monkeypatch.setattr(synthetic_signs, "NUM_NEW_SIGNS", 2)
    monkeypatch.setattr(synthetic_signs, "COUNTS", {"train": 6, "val": 2})
    monkeypatch.setattr(synthetic_signs, "DRAWINGS_OF_NEW_SIGN", 12)
    monkeypatch.setattr(
        pretraining, "FIELDS", pretraining.FIELDS | {"epochs": "2", "width": "0.05"}
    )
    root = tmp_path / "unpacked" / "synthetic_scenes-1"  # is there, so not drawn
    scenes = write_devkit(root, synthetic.CLASSES, {"train": 24, "val": 24, "test": 24})
    write_action_lists(root, scenes, synthetic.ACTIONS)
    return "demo", "--cache-dir", tmp_path, "--out", tmp_path / "out"


def test_it_says_each_step_and_ends_with_a_table_beside_chance_and_what_to_type_next(
    run, small_demo, tmp_path
):
    result = run(*small_demo)
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.rstrip().splitlines()
    assert lines[0].startswith("In 5 steps and about a minute")
    steps = [line[:11] for line in lines if line.startswith("step")]
    assert steps == [f"step {number} of 5" for number in range(1, 6)]
    # Twelve held-out drawings of six kinds.
    assert [line[:15] for line in lines if line.startswith("  epoch")] == [
        "  epoch  1 of 2", "  epoch  2 of 2",
    ]  # fmt: skip
    assert "(by chance 17 %)" in result.stderr
    chance, random, trained = result.stdout.splitlines()[2:5]
    assert chance.split()[:2] == ["chance", "50.0"]
    assert "@random:0" in random and "@vgg11-256.safetensors" in trained
    assert "Training helped in" in result.stderr
    assert lines[-1].endswith("vggfeat bench path/to/folder --net resnet50")
    again = run(*small_demo)
    assert again.stdout == result.stdout and "trained before, and kept" in again.stderr


def test_quiet_and_as_json_there_are_the_records_and_nothing_else(run, small_demo):
    result = run(*small_demo, "--quiet", "--format", "json")
    assert "step" not in result.stderr and "  epoch" not in result.stderr
    records = json.loads(result.stdout)
    assert [record["benchmark"] for record in records] == ["new_signs"] * 2 + [
        "synthetic_scenes"
    ] * 2
