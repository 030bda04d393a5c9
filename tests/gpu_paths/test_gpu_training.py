"""Training on a GPU: every tensor is there, and no update waits for it.

There need be no GPU: tests/helpers/fake_cuda.py is one, and raises where two devices meet.
"""

import json
import signal
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch
from helpers.boxed import write_boxed
from helpers.fake_cuda import fake_cuda
from helpers.training import COLOURS, RECIPE, run, same_bits, weights, write_pictures
from torch import nn

from vggfeat.errors import TrainingError
from vggfeat.features import device
from vggfeat.pretraining import checkpoints, train, trainer
from vggfeat.pretraining.box_recipes import box_recipe
from vggfeat.pretraining.data_loader import MicroBatch
from vggfeat.pretraining.interruption import Interrupted
from vggfeat.pretraining.overrides import overridden
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.processes.world import World


def of_boxes(kind, **changes):
    """A small recipe of boxes, from random weights: "scr" one for all classes, "pcr" for each."""
    small = {
        "start": "none",
        "width": "0.0625",
        "input_size": "32",
        "init": "glorot",
        "epochs": "2",
    }
    small |= {name: str(value) for name, value in changes.items()}
    return overridden(box_recipe(f"vgg11-256-{kind}"), small, one_stage=True)


@pytest.fixture(autouse=True)
def saved(monkeypatch):
    """The names of what checkpoints are written with, which has to be on the CPU then."""
    names = []
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", 3600)  # one, at the end

    def save(tensors, metadata):
        names.append(sorted(tensors))
        return safetensors.numpy.save({k: v.numpy() for k, v in tensors.items()}, metadata)

    monkeypatch.setattr(checkpoints, "save", save)
    return names


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    root = tmp_path_factory.mktemp("boxed")
    write_boxed(root / "train", {"ant": 4, "bee": 4})
    write_boxed(root / "val", {"ant": 2, "bee": 1}, seed=1)
    return root


def trained(root, folder, recipe, *, precision="bf16", pass_size=4):
    """A run on the GPU: what it waited for, the net, and the GPU."""
    with fake_cuda() as gpu:
        runtime = RuntimeOptions(device="cuda", precision=precision, pass_size=pass_size)
        done = run(root, folder, recipe, runtime=runtime)
    return +gpu.waits, done, gpu


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_classes(pictures, tmp_path, saved, precision):
    """Two epochs of three updates in passes of 4 pictures, dropout, validation, a checkpoint."""
    _, done, gpu = trained(pictures, tmp_path, RECIPE, precision=precision)
    assert {each.device.type for each in done.net.state_dict().values()} == {"cuda"}
    assert done.position.step == 6 and len(done.position.curve) == 2
    names = [f"{kind}.{name}" for kind in ("model", "momentum") for name in done.net.state_dict()]
    assert saved[-1] == sorted(names)
    computed_in = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    assert gpu.dtypes["aten.convolution.default"] == {computed_in}


@pytest.mark.parametrize("kind", ["scr", "pcr"])
def test_boxes(boxed, tmp_path, kind):
    """One for all classes, and one for each."""
    waits, done, _ = trained(boxed, tmp_path, of_boxes(kind, batch_size=4))
    assert done.position.step == 4
    assert {"nonzero", "mask as an index"}.isdisjoint(waits)


@pytest.mark.parametrize("regressor", [None, "pcr"], ids=["classes", "boxes"])
def test_no_update_waits_for_the_gpu_but_the_one_before_it(pictures, boxed, tmp_path, regressor):
    """Of an update is waited for the one before it, whose numbers are read; as the next is queued
    already, the GPU works on. Everything else is waited for once an epoch, however many updates
    and passes there are.
    """
    waits = {}
    for batch_size, pass_size in ((8, 8), (4, 2)):
        recipe, root = replace(RECIPE, epochs=1, batch_size=batch_size), pictures
        if regressor:
            recipe, root = of_boxes(regressor, epochs=1, batch_size=batch_size), boxed
        waits[batch_size], done, _ = trained(
            root, tmp_path / str(batch_size), recipe, pass_size=pass_size
        )
        assert waits[batch_size].pop("earlier event", 0) == done.position.step - 1
    assert waits[8] == waits[4]


def test_the_numbers_of_a_run_are_those_of_one_that_waits(pictures, tmp_path, monkeypatch):
    """On a CPU that pretends to be behind by one update: weights, log and the order of events."""
    runs = {}
    for num_in_flight in (0, 1):
        monkeypatch.setattr(device.Cpu, "num_in_flight", num_in_flight)
        statuses = []
        folder = tmp_path / str(num_in_flight)
        done = run(pictures, folder, report=lambda status, to=statuses: to.append(status.loss))
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        logged = [(line["kind"], line.get("step"), line.get("loss")) for line in lines]
        runs[num_in_flight] = weights(done.net), statuses, logged
    assert same_bits(runs[0][0], runs[1][0])
    assert runs[0][1:] == runs[1][1:]


@pytest.mark.parametrize("num_in_flight", [0, 1])
def test_a_loss_that_is_not_finite_ends_the_run_at_the_update_before(
    pictures, tmp_path, monkeypatch, num_in_flight
):
    monkeypatch.setattr(device.Cpu, "num_in_flight", num_in_flight)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", 0)
    with pytest.raises(TrainingError, match="the loss is not finite at update 2, "):
        run(pictures, tmp_path, replace(RECIPE, learning_rate=1e30))
    (last,) = checkpoints.checkpoints(tmp_path / "checkpoints")
    assert last.stem == "000000001"


class InOneProcess(nn.Module):
    """In place of DistributedDataParallel, which needs the memory of tensors."""

    def __init__(self, net):
        super().__init__()
        self.net, self.no_sync = net, nullcontext

    def forward(self, images):
        return self.net(images)


def test_several_processes_exchange_their_sums_between_gpus(monkeypatch):
    """And wait for each other in each update: none makes the step where one cannot."""
    exchanged = []
    monkeypatch.setattr(trainer, "DistributedDataParallel", InOneProcess)
    monkeypatch.setattr("torch.distributed.all_reduce", exchanged.append)
    pixels, labels = np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, np.int64)
    rows, boxes = slice(0, 4), np.full((4, 1, 4), np.nan)
    batch = [MicroBatch(pixels, np.zeros((4, 3), np.float32), labels, boxes, rows, 16)] * 2
    with fake_cuda() as gpu:
        runtime = RuntimeOptions(device="cuda", precision="fp32")
        ours = trainer.build_trainer(RECIPE, 3, COLOURS, runtime, world=World(size=2))
        assert ours.num_queued == 0
        with pytest.raises(trainer.PeerFailed):  # one, as is read of every tensor without values
            ours.update(batch, step=0)
        assert [tensor.device.type for tensor in exchanged] == ["cuda"]
        assert gpu.waits["tolist"] == 2


@pytest.mark.parametrize("update", [1, 2, 4])
def test_an_interrupted_run_that_is_behind_ends_as_one_that_was_not(
    pictures, tmp_path, monkeypatch, update
):
    """What is queued when the signal comes is counted before the checkpoint."""
    monkeypatch.setattr(device.Cpu, "num_in_flight", 1)
    whole = run(pictures, tmp_path / "whole")
    seen = []

    def report(status):
        seen.append(status)
        if len(seen) == update:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(pictures, tmp_path / "cut", report=report)
    resumed = run(pictures, tmp_path / "cut")
    assert same_bits(weights(whole.net), weights(resumed.net))
    assert [line["loss"] for line in whole.position.curve] == [
        line["loss"] for line in resumed.position.curve
    ]
