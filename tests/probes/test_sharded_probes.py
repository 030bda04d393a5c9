"""Classes of streamed probes shared by processes; here by threads with a store between them."""

from dataclasses import replace
from shutil import rmtree
from threading import Thread

import numpy as np
import pytest
import torch.distributed as dist
from helpers.probes import HELD_OUT, problem, signs_of

from vggfeat.probes.grid_search import choose
from vggfeat.probes.registry import load_probe
from vggfeat.probes.streaming.blocks import ArrayBlocks, Rows
from vggfeat.probes.streaming.choice import streamed_fits
from vggfeat.probes.streaming.sharded import ShardedFits, end, serve
from vggfeat.probes.streaming.vector_file import VectorFileWriter
from vggfeat.processes.workers import Workers

K = 5
X, Y = problem(n=200, d=12, K=K)
X = X.astype(np.float32)
SIGNS = signs_of(Y, K).astype(np.int8)
SIGNS[3, 0] = SIGNS[7, 4] = 0


@pytest.fixture
def shared(tmp_path):
    """A function that fits with so many processes, of which all but one serve in threads."""
    store = dist.HashStore()
    threads = []

    def start(name, size, *, exclusive=False):
        leader = Workers(0, size, 0, store)
        for rank in range(1, size):
            other = Workers(rank, size, rank, store)
            threads.append(Thread(target=serve, args=(other, streamed_fits), daemon=True))
            threads[-1].start()
        with VectorFileWriter(tmp_path / "scratch", X.shape[1]) as writer:
            writer.append(np.concatenate([X, X[:9]]))
            file = writer.finish(shared=True)
        probe = replace(load_probe(name), memory=6 * 10**9, workers=leader)
        fits = streamed_fits(probe, Rows(file, np.arange(200)), SIGNS, exclusive=exclusive)
        return fits, leader, file

    yield start
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()


def searched(fits, grid):
    def score(decisions, rows):
        return float((decisions.argmax(axis=1) == Y[rows]).mean())

    chosen = choose(fits, [HELD_OUT, HELD_OUT + 50], grid=grid, score=score)
    return chosen, fits.fit(grid[0])


@pytest.mark.parametrize("size", [2, 7])  # more processes than classes, too
@pytest.mark.parametrize("name", ["svm", "ridge", "logistic"])
def test_shared_classes_are_those_of_one_process(shared, tmp_path, name, size):
    grid = (0.1, 1.0, 10.0)
    alone = streamed_fits(replace(load_probe(name), memory=6 * 10**9), ArrayBlocks(X), SIGNS)
    expected, classifier = searched(alone, grid)
    fits, leader, file = shared(name, size)
    assert isinstance(fits, ShardedFits)
    found, together = searched(fits, grid)
    end(leader)
    assert found == expected
    np.testing.assert_allclose(together.coef, classifier.coef, atol=1e-3)
    np.testing.assert_allclose(together.intercept, classifier.intercept, atol=1e-3)
    for name in ("gap", "converged", "num_iterations"):
        assert (getattr(together, name) is None) == (getattr(classifier, name) is None)
    file.close()
    del fits
    assert not any((tmp_path / "scratch").iterdir())


def test_softmax_is_one_problem_which_one_process_fits(shared):
    fits, leader, file = shared("logistic", 2, exclusive=True)
    end(leader)
    assert not isinstance(fits, ShardedFits)
    file.close()


def test_an_error_in_one_process_takes_no_files_from_the_others(shared, monkeypatch):
    """They come to the end of what they were asked, and go on with whatever is asked next."""

    def fail(*_):
        raise MemoryError

    fits, leader, file = shared("ridge", 3)
    monkeypatch.setattr(fits.own, "decisions", fail)
    with pytest.raises(MemoryError):
        fits.decisions(SIGNS, 1.0)
    rmtree(fits.folder)  # as it goes with the fits
    file.close()
    end(leader)
