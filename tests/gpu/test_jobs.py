"""Whole jobs on a device against the CPU: the numbers of benchmarks, and what is learned."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.net_files import CLASSES, write_net
from helpers.pictures import NARROW, write_classes
from helpers.training import RECIPE, largest_difference, weights, write_pictures
from helpers.training import run as train

from vggfeat.pretraining.runtime import RuntimeOptions

PLAIN = replace(RECIPE, dropout=0.0)  # the units that dropout leaves out depend on the device
ROUNDING = 0.001  # 0.1 points, of numbers in fp32
BF16_NUMBER = 0.02  # two points: pictures between two classes may change sides, and C with them


def same_job(run, tmp_path, device, *arguments, precision="fp32") -> list[dict]:
    """The records of a command on the device and on the CPU, each with features of its own."""
    records = []
    for number, where in enumerate((device, "cpu")):
        folder = tmp_path / f"{number}"
        result = run(
            *arguments, "--device", where, "--precision", precision if where == device else "fp32",
            "--out", folder, "--cache-dir", folder, "--format", "json",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        records.append(json.loads(result.stdout)[0])
    return records


def assert_same_numbers(records, bound):
    ours, theirs = (record["metrics"] for record in records)
    assert ours.keys() == theirs.keys() and ours
    for name in ours:
        assert ours[name]["value"] == pytest.approx(theirs[name]["value"], abs=bound), name


# Seconds, so that the CPU's turn is not among the default tests.
@pytest.mark.parametrize(
    "device",
    [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)],
    indirect=True,
)
@pytest.mark.parametrize("precision, bound", [("fp32", ROUNDING), ("bf16", BF16_NUMBER)])
@pytest.mark.parametrize("name", ["digits", "synthetic_scenes"])
def test_a_benchmark_has_the_same_number(run, tmp_path, device, name, precision, bound):
    """One by mean class recall as Caltech-101, one by average precision as VOC."""
    if device == "cpu" and precision == "bf16":
        pytest.skip("the CPU's bf16 has tests elsewhere")
    size = () if device == "cuda" else ("--limit", "16")
    records = same_job(
        run, tmp_path, device, "bench", name, "--net", NARROW, "--scales", "32", *size,
        "--no-mirror", precision=precision,
    )  # fmt: skip
    assert_same_numbers(records, bound)


@pytest.mark.parametrize("view", ["dense", "centre"])
def test_an_evaluation_has_the_same_errors(run, tmp_path, device, view):
    root = write_classes(tmp_path / "pictures" / "val", dict.fromkeys(CLASSES, 3))
    net = write_net(tmp_path / "net.safetensors")
    records = same_job(
        run, tmp_path, device, "evaluate", "--net", net, "--data", root.parent, "--scales", "32,40",
        "--views", view,
    )  # fmt: skip
    assert_same_numbers(records, 1e-9)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("pass_size", [None, 3])
def test_training_learns_the_same_weights(pictures, tmp_path, device, pass_size):
    one, other = (
        train(
            pictures, tmp_path / name, PLAIN,
            runtime=RuntimeOptions(device=where, precision="fp32", pass_size=pass_size),
        )
        for name, where in (("there", device), ("here", "cpu"))
    )  # fmt: skip
    assert largest_difference(weights(other.net.cpu()), weights(one.net.cpu())) < 1e-3


def test_training_in_bf16_stays_near(pictures, tmp_path, device):
    losses = [
        train(pictures, tmp_path / name, PLAIN, runtime=runtime).position.curve[-1]["loss"]
        for name, runtime in (
            ("bf16", RuntimeOptions(device=device, precision="bf16")),
            ("fp32", RuntimeOptions(device="cpu", precision="fp32")),
        )
    ]
    assert np.isfinite(losses).all() and losses[0] == pytest.approx(losses[1], rel=0.05)


def test_training_with_dropout_goes_on_to_the_weights_of_one_run(pictures, tmp_path, device):
    runtime = RuntimeOptions(device=device, precision="fp32")
    train(pictures, tmp_path / "torn", replace(RECIPE, epochs=1), runtime=runtime)
    torn = train(pictures, tmp_path / "torn", RECIPE, runtime=runtime)
    whole = train(pictures, tmp_path / "whole", RECIPE, runtime=runtime)
    assert largest_difference(weights(whole.net.cpu()), weights(torn.net.cpu())) < 1e-4
