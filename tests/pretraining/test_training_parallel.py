"""Several processes make the update that one makes: gloo on CPUs, real process groups."""

import multiprocessing
import os
import signal
import socket
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from helpers.boxed import write_boxed
from helpers.training import (
    FP32,
    RECIPE,
    largest_difference,
    run,
    same_bits,
    weights,
    write_pictures,
)

from vggfeat.pretraining.box_recipes import BoxRecipe
from vggfeat.pretraining.checkpoints import checkpoints
from vggfeat.pretraining.data_loader import divide
from vggfeat.pretraining.rng import order
from vggfeat.processes.world import World, process_group

# Batches of 8, 8 and 7 pictures: of 4 processes one gets a picture less in the last. Passes of two
# leave some shares with a pass of one.
RUNTIME = replace(FP32, pass_size=2)


def train_as_one_of(
    rank: int, size: int, port: int, root: Path, folder: Path, recipe, interrupted: int | None
) -> None:
    """Write the weights that this process ends with, or the name of what ended it."""
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    import torch

    torch.set_num_threads(1)

    def report(status) -> None:  # comes in the leading process only
        if rank == interrupted and status.batch == 2:
            signal.raise_signal(signal.SIGTERM)

    with process_group("cpu") as world:
        try:
            trained = run(root, folder, recipe, world=world, runtime=RUNTIME, report=report)
        except BaseException as error:
            (folder / f"rank{rank}.txt").write_text(f"{type(error).__name__}: {error}")
            return
    np.savez(folder / f"rank{rank}.npz", **weights(trained.net))


def train_together(size, root, folder, recipe=RECIPE, interrupted=None) -> None:
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training", "vggfeat.pretraining.train"])
    processes = [
        context.Process(
            target=train_as_one_of, args=(rank, size, port, root, folder, recipe, interrupted)
        )
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * size


def weights_of(folder: Path, rank: int) -> dict[str, np.ndarray]:
    return dict(np.load(folder / f"rank{rank}.npz"))


@pytest.fixture
def root(tmp_path):
    return write_pictures(tmp_path / "pictures")


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_together_end_where_one_ends(size, root, tmp_path):
    """Two epochs with dropout, an unequal last batch, and passes of two pictures."""
    alone = weights(run(root, tmp_path / "alone", runtime=FP32).net)
    train_together(size, root, tmp_path / "together")
    for rank in range(size):
        ours = weights_of(tmp_path / "together", rank)
        assert largest_difference(alone, ours) < 1e-5
        assert same_bits(ours, weights_of(tmp_path / "together", 0))


@pytest.mark.slow
@pytest.mark.slow
def test_a_process_without_a_picture_takes_part(root, tmp_path):
    """Batches of 11, 11 and 1: in the last one only one of two processes has a picture."""
    recipe = replace(RECIPE, batch_size=11, epochs=1)
    alone = weights(run(root, tmp_path / "alone", recipe).net)
    train_together(2, root, tmp_path / "together", recipe)
    for rank in (0, 1):
        assert largest_difference(alone, weights_of(tmp_path / "together", rank)) < 1e-5


def test_a_signal_to_one_stops_all_and_another_number_of_processes_goes_on(root, tmp_path):
    """Two save together, one ends the run, where one alone would have ended it."""
    folder = tmp_path / "together"
    train_together(2, root, folder, interrupted=0)
    for rank in (0, 1):
        assert (folder / f"rank{rank}.txt").read_text().startswith("Interrupted")
    (saved,) = checkpoints(folder / "checkpoints")
    assert saved.stem in ("000000002", "000000003")
    resumed = run(root, folder)
    alone = run(root, tmp_path / "alone")
    assert largest_difference(weights(alone.net), weights(resumed.net)) < 1e-5
    assert [line["epoch"] for line in resumed.position.curve] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"tuned": "fc", "epochs": 2},
        pytest.param({"tuned": "all", "batch_size": 11}, marks=pytest.mark.slow),
    ],
)
def test_boxes_are_learned_together(tmp_path, changes):
    """With convolutions that have no gradient; and with a process that has no picture."""
    root = write_boxed(tmp_path / "pictures/train", {"ant": 8, "bee": 8, "cat": 7}).parent
    write_boxed(root / "val", {"ant": 2, "bee": 2, "cat": 1})
    inherited = {field.name: getattr(RECIPE, field.name) for field in fields(RECIPE)}
    recipe = BoxRecipe(**inherited | changes, regressor="pcr")
    alone = weights(run(root, tmp_path / "alone", recipe).net)
    train_together(2, root, tmp_path / "together", recipe)
    for rank in (0, 1):
        assert largest_difference(alone, weights_of(tmp_path / "together", rank)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        "train/cat/image_0003.jpg",
        pytest.param("val/bee/image_0001.jpg", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_picture_of_one_stops_all_and_that_one_names_it(root, tmp_path, part):
    """When it is mended they go on as if nothing had been."""
    folder, content = tmp_path / "together", (root / part).read_bytes()
    (root / part).write_bytes(b"no picture")
    train_together(2, root, folder)
    messages = [(folder / f"rank{rank}.txt").read_text() for rank in (0, 1)]
    assert sorted(line.partition(":")[0] for line in messages) == ["PeerFailed", "PictureError"]
    assert any(part.rpartition("/")[2] in line for line in messages)
    assert checkpoints(folder / "checkpoints")
    (root / part).write_bytes(content)
    train_together(2, root, folder)
    alone = run(root, tmp_path / "alone")
    assert largest_difference(weights(alone.net), weights_of(folder, 1)) < 1e-5


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("count, batch_size", [(23, 8), (7, 8), (1, 8), (64, 16)])
def test_every_picture_is_seen_exactly_once_an_epoch(size, count, batch_size):
    ids = order(0, 5, count)
    seen = []
    for start in range(0, count, batch_size):
        batch = ids[start : start + batch_size]
        shares = []
        for rank in range(size):
            mine = divide(batch, World(rank, size), micro_batch_size=3)
            assert all(len(numbers) <= 3 for numbers, _, _ in mine)
            for numbers, rows, whole in mine:
                assert whole == len(batch)
                if numbers[0] >= 0:
                    assert np.array_equal(numbers, batch[rows])
            shares.append(sum((numbers >= 0).sum() for numbers, _, _ in mine))
            seen += [n for numbers, _, _ in mine for n in numbers.tolist() if n >= 0]
        assert max(shares) - min(shares) <= 1
    assert sorted(seen) == list(range(count))
    assert not np.array_equal(order(0, 5, 64), order(0, 6, 64))
