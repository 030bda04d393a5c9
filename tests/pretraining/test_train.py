"""One stage of pretraining: it learns, its passes add up, and it goes on after whatever happens."""

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from helpers.pictures import write_classes
from helpers.training import (
    COLOURS,
    FP32,
    RECIPE,
    largest_difference,
    run,
    same_bits,
    weights,
    write_pictures,
)

from vggfeat.errors import PictureError, TrainingError
from vggfeat.layouts.imagenet import open_pictures
from vggfeat.pretraining import checkpoints, train
from vggfeat.pretraining.checkpoints import checkpoints as files_of
from vggfeat.pretraining.data_loader import Loader
from vggfeat.pretraining.initialisation import initial_net
from vggfeat.pretraining.interruption import Interrupted
from vggfeat.pretraining.log import read_log
from vggfeat.pretraining.train import StageSpec
from vggfeat.processes.world import World


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    """Two epochs of three updates, not interrupted."""
    return run(pictures, tmp_path_factory.mktemp("whole"))


@pytest.fixture
def always_saving(monkeypatch):
    """A checkpoint after each update."""
    monkeypatch.setattr(train, "CHECKPOINT_SHARE", float("inf"))
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", 0.0)


def interrupt_at(update: int, signal_number: int = signal.SIGTERM):
    """A report that has the process interrupted when so many updates of the run are done."""
    done = []

    def report(status) -> None:
        done.append(status)
        if len(done) == update:
            signal.raise_signal(signal_number)

    return report


def test_it_learns(tmp_path):
    """Three classes of different tints are told apart after a few epochs, here as everywhere."""
    root = tmp_path / "pictures"
    write_classes(root, {"ant": 30, "bee": 30, "cat": 30})
    trained = run(root, tmp_path / "run", replace(RECIPE, epochs=12, learning_rate=0.003))
    assert trained.position.curve[-1]["loss"] < 0.5 * trained.position.curve[0]["loss"]
    assert trained.position.curve[-1]["top1"] > 0.8  # chance is 0.33


def test_an_update_in_passes_is_the_update_of_the_whole_batch(pictures, whole, tmp_path):
    """With dropout: the same units are dropped."""
    cut = run(pictures, tmp_path, runtime=replace(FP32, pass_size=3))
    assert largest_difference(weights(whole.net), weights(cut.net)) < 1e-5


def test_an_update_is_sgd_with_momentum_and_weight_decay_on_the_mean_loss(pictures, tmp_path):
    """By hand, in float64: v = 0.9 v + g + 5e-4 w, w = w - rate v."""
    recipe = replace(RECIPE, dropout=0.0, epochs=1)
    trained = run(pictures, tmp_path, recipe)
    net = initial_net(recipe, 3, None).double()
    loader = Loader(open_pictures(pictures), recipe, COLOURS, World(), micro_batch_size=8)
    velocity = {name: torch.zeros_like(w) for name, w in net.named_parameters()}
    net.eval()  # no dropout
    for (batch,) in loader.training(0, 0):
        pixels = torch.from_numpy(batch.pixels).double().permute(0, 3, 1, 2)
        images = pixels - torch.tensor(COLOURS.mean).view(3, 1, 1).double()
        images = images + torch.from_numpy(batch.shifts).double()[:, :, None, None]
        log_posteriors = net(images).log_softmax(dim=1)
        loss = -log_posteriors[torch.arange(len(batch.labels)), batch.labels].mean()
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for (name, w), g in zip(net.named_parameters(), gradients, strict=True):
                velocity[name] = 0.9 * velocity[name] + g + 5e-4 * w
                w -= 0.01 * velocity[name]
    expected = {name: w.detach().numpy() for name, w in net.named_parameters()}
    assert largest_difference(expected, weights(trained.net)) < 1e-4


@pytest.mark.parametrize("update", [1, 3, 4])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_an_interruption_it_ends_bit_equal(pictures, whole, tmp_path, update, number):
    """In the middle of an epoch, at its end, and in the second one."""
    with pytest.raises(Interrupted) as stopped:
        run(pictures, tmp_path, report=interrupt_at(update, number))
    assert stopped.value.signal_number == number
    assert files_of(tmp_path / "checkpoints")
    resumed = run(pictures, tmp_path)
    assert same_bits(weights(resumed.net), weights(whole.net))
    for line, other in zip(resumed.position.curve, whole.position.curve, strict=True):
        assert line | {"seconds": 0} == other | {"seconds": 0}


def test_a_run_that_has_ended_has_nothing_left_to_do(pictures, whole, tmp_path):
    first = run(pictures, tmp_path)
    again = run(pictures, tmp_path, report=interrupt_at(1))
    assert (
        same_bits(weights(first.net), weights(again.net))
        and first.position.curve == again.position.curve
    )


def test_the_last_two_checkpoints_are_kept(pictures, tmp_path, always_saving):
    run(pictures, tmp_path)
    kept = [path.name for path in files_of(tmp_path / "checkpoints")]
    assert kept == ["000000005.safetensors", "000000006.safetensors"]
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".part")]


def test_the_log_of_an_interrupted_run_is_that_of_a_whole_one(pictures, tmp_path, always_saving):
    """What was logged after the last checkpoint, or torn by a kill, is dropped."""
    run(pictures, tmp_path)
    last = files_of(tmp_path / "checkpoints")[-1]
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "step": 9, "top1": 1}\n{"kind": "tra')
    assert last.stem == "000000006"
    run(pictures, tmp_path)
    lines = read_log(tmp_path)
    assert [line["step"] for line in lines if line["kind"] == "epoch"] == [3, 6]


def test_an_epoch_that_is_evaluated_again_is_logged_once(pictures, whole, tmp_path):
    """Saved before the evaluation, killed after its line was written."""
    with pytest.raises(Interrupted):
        run(pictures, tmp_path, report=interrupt_at(3))

    def die(net, position):
        raise RuntimeError("as if killed here")

    with pytest.raises(RuntimeError):
        run(pictures, tmp_path, on_best=die)
    resumed = run(pictures, tmp_path)
    assert [line["epoch"] for line in resumed.position.curve] == [1, 2]
    assert same_bits(weights(resumed.net), weights(whole.net))


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_damaged_checkpoint_is_named_and_the_older_one_offered(
    pictures, whole, tmp_path, always_saving, damage
):
    run(pictures, tmp_path, replace(RECIPE, epochs=1))
    older, last = files_of(tmp_path / "checkpoints")
    content = last.read_bytes()
    last.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"x" * 99}[damage])
    with pytest.raises(TrainingError, match=f"{last.name}: not a whole .* Remove it to go on") as e:
        run(pictures, tmp_path)
    assert older.name in str(e.value) and "\n" not in str(e.value)
    last.unlink()
    assert same_bits(weights(run(pictures, tmp_path).net), weights(whole.net))


def test_a_checkpoint_of_another_recipe_is_refused_with_both_values(pictures, tmp_path):
    run(pictures, tmp_path, replace(RECIPE, epochs=1))
    with pytest.raises(TrainingError, match="recipe.learning_rate was 0.01, now it is 0.02"):
        run(pictures, tmp_path, replace(RECIPE, learning_rate=0.02))


def test_more_epochs_go_on_from_where_fewer_ended(pictures, whole, tmp_path):
    run(pictures, tmp_path, replace(RECIPE, epochs=1))
    assert same_bits(weights(run(pictures, tmp_path).net), weights(whole.net))


def test_a_full_disk_leaves_the_older_checkpoint_whole(
    pictures, whole, tmp_path, always_saving, monkeypatch
):
    run(pictures, tmp_path, replace(RECIPE, epochs=1))

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", full)
        with pytest.raises(OSError, match="No space left"):
            run(pictures, tmp_path)
    assert same_bits(weights(run(pictures, tmp_path).net), weights(whole.net))


def test_a_net_that_stays_at_ln_classes_is_stopped_with_advice(pictures, tmp_path):
    """Weights as small as these give every class the same score."""
    recipe = replace(RECIPE, init="normal", init_std=1e-4, stuck_after=20, epochs=50)
    trained = run(pictures, tmp_path, recipe)
    assert trained.position.step == 21 and "stuck" in trained.ended
    assert "1.099" in trained.problem and "--set init=glorot" in trained.problem


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_processes_one_gives_advice(pictures, tmp_path, caplog, rank):
    spec = StageSpec(
        recipe=RECIPE, pictures=open_pictures(pictures), colours=COLOURS, folder=tmp_path,
        begun_with={"recipe": RECIPE.decisive()}, runtime=FP32,
    )  # fmt: skip
    short = train.TrainingRun(spec)
    short.position.curve.append({"loss": 1.099})
    short.world = World(rank=rank, size=2)
    with closing(short.monitor):
        assert short.trained_net().problem is None
    assert caplog.text.count("ln(classes) is 1.099") == (1 if rank == 0 else 0)


def test_advice_to_a_net_that_began_from_glorots_weights_names_no_other_weights(pictures, tmp_path):
    recipe = replace(RECIPE, init="glorot", learning_rate=1e-9, stuck_after=6)
    trained = run(pictures, tmp_path, recipe)
    assert "stuck" in trained.ended and "a larger learning_rate (it was 1e-09" in trained.problem
    assert "init" not in trained.problem


def test_an_interrupted_run_is_not_stuck_before_its_epoch_has_ended(pictures, tmp_path):
    """As on ILSVRC, where an epoch has more updates than are waited for."""
    recipe = replace(RECIPE, init="normal", init_std=1e-4, stuck_after=1, epochs=5)
    with pytest.raises(Interrupted):
        run(pictures, tmp_path, recipe, report=interrupt_at(2))
    resumed = run(pictures, tmp_path, recipe)
    assert resumed.position.step == 3 and resumed.problem


def test_the_rate_does_not_fall_before_a_net_learns(pictures, tmp_path):
    recipe = replace(RECIPE, init="normal", init_std=1e-4, patience=1, epochs=4)
    assert run(pictures, tmp_path, recipe).position.schedule.rate == 0.01


def test_a_loss_that_explodes_ends_with_advice(pictures, tmp_path):
    with pytest.raises(TrainingError, match="not finite at update .* learning_rate 100"):
        run(pictures, tmp_path, replace(RECIPE, learning_rate=100.0))


def test_a_damaged_picture_stops_the_run_or_is_left_out_and_counted(tmp_path, caplog):
    root = write_pictures(tmp_path / "pictures")
    (root / "train/bee/image_0003.jpg").write_bytes(b"no picture")
    (root / "val/ant/image_0001.jpg").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="image_0003.jpg.*--check-data.*--on-error skip"):
        run(root, tmp_path / "a")
    with caplog.at_level(logging.WARNING):
        skipping = run(root, tmp_path / "b", runtime=replace(FP32, on_error="skip"))
    assert [line["unreadable"] for line in skipping.position.curve] == [2, 2]
    assert len([r for r in caplog.records if "skipped" in r.message]) == 2
    # It is as if the picture were not in its batch: the mean is over the others.
    assert skipping.position.curve[0]["train_top1"] * 22 == pytest.approx(
        round(skipping.position.curve[0]["train_top1"] * 22)
    )


def test_without_a_single_readable_picture_there_is_nothing_to_train_on(tmp_path):
    root = write_pictures(tmp_path / "pictures")
    for path in (root / "train").rglob("*.jpg"):
        path.write_bytes(b"no picture")
    with pytest.raises(TrainingError, match="vgg11-256: not one training picture of an epoch"):
        run(root, tmp_path / "run", runtime=replace(FP32, on_error="skip"))


def test_tensorboards_files_are_written_beside_the_log(pictures, tmp_path):
    pytest.importorskip("tensorboard")
    run(pictures, tmp_path, runtime=replace(FP32, tensorboard=True))
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"epoch/top1" in events.read_bytes()


def test_nothing_that_is_half_written_stays(pictures, tmp_path):
    run(pictures, tmp_path, replace(RECIPE, epochs=1))
    left = tmp_path / "checkpoints" / ".000000009.safetensors.0123abcd.part"
    left.write_bytes(b"as a kill leaves it")
    run(pictures, tmp_path)
    assert not left.exists()


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from helpers.training import RECIPE, run
from dataclasses import replace
from vggfeat.pretraining import train
import torch
train.CHECKPOINT_SHARE, train.CHECKPOINT_EVERY_S = float("inf"), 0.0
torch.set_num_threads(1)
run(Path(sys.argv[2]), Path(sys.argv[3]), replace(RECIPE, epochs=40))
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bits(pictures, tmp_path):
    """SIGKILL, wherever it hits; the weights are those of a run that was not killed."""
    threads = torch.get_num_threads()
    arguments = [sys.executable, "-c", KILLED, os.path.dirname(os.path.dirname(__file__)), pictures]
    with subprocess.Popen([*arguments, tmp_path / "killed"]) as process:
        deadline = time.monotonic() + 60
        while last_step(tmp_path / "killed") < 20:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert last_step(tmp_path / "killed") < 120
    torch.set_num_threads(1)
    try:
        killed = run(pictures, tmp_path / "killed", replace(RECIPE, epochs=40))
        undisturbed = run(pictures, tmp_path / "undisturbed", replace(RECIPE, epochs=40))
    finally:
        torch.set_num_threads(threads)
    assert same_bits(weights(killed.net), weights(undisturbed.net))
    for line, other in zip(killed.position.curve, undisturbed.position.curve, strict=True):
        assert line | {"seconds": 0} == other | {"seconds": 0}


def last_step(folder) -> int:
    paths = files_of(folder / "checkpoints")
    return int(paths[-1].stem) if paths else 0
