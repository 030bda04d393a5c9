"""Several processes make the update that one makes: gloo on CPUs, real process groups."""

import multiprocessing
import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training import FP32, RECIPE, largest_difference, run, weights, write_pictures

from vggfeat.pretraining.draws import order
from vggfeat.pretraining.loading import parts
from vggfeat.pretraining.parallel import World, joined

# With 4 processes the last batch of 7 leaves one picture less for one of them; a batch of 23 is
# one of 8, 8 and 7 as well, so that shares, passes and batches are all unequal somewhere.
RUNNING = replace(FP32, pass_size=2)


def train_as_one_of(rank: int, size: int, port: int, root: Path, folder: Path, recipe) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    import torch

    torch.set_num_threads(1)
    with joined("cpu") as world:
        trained = run(root, folder, recipe, world=world, running=RUNNING)
    np.savez(folder / f"rank{rank}.npz", **weights(trained.net))


def train_together(size: int, root: Path, folder: Path, recipe=RECIPE) -> list[dict]:
    """The weights that each of `size` processes ends with."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training", "vggfeat.pretraining.train"])
    processes = [
        context.Process(target=train_as_one_of, args=(rank, size, port, root, folder, recipe))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * size
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(size)]


@pytest.mark.parametrize("size", [2, 4])
def test_processes_together_end_where_one_ends(size, tmp_path):
    """Two epochs with dropout, an unequal last batch, and passes of two pictures."""
    root = write_pictures(tmp_path / "pictures")
    alone = run(root, tmp_path / "alone", running=FP32)
    together = train_together(size, root, tmp_path / "together")
    for ours in together:
        assert largest_difference(weights(alone.net), ours) < 1e-5
        assert all(np.array_equal(ours[k], together[0][k]) for k in ours)


def test_a_process_without_a_picture_takes_part(tmp_path):
    """Batches of 11, 11 and 1: in the last one only one of two processes has a picture."""
    root = write_pictures(tmp_path / "pictures")
    recipe = replace(RECIPE, batch_size=11, epochs=1)
    alone = run(root, tmp_path / "alone", recipe)
    for ours in train_together(2, root, tmp_path / "together", recipe):
        assert largest_difference(weights(alone.net), ours) < 1e-5


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("count, batch_size", [(23, 8), (7, 8), (1, 8), (64, 16)])
def test_every_picture_is_seen_exactly_once_an_epoch(size, count, batch_size):
    ids = order(0, 5, count)
    seen = []
    for start in range(0, count, batch_size):
        batch = ids[start : start + batch_size]
        shares = []
        for rank in range(size):
            mine = [part for part in parts(batch, World(rank, size), pass_size=3)]
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
