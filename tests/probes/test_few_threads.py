"""SVMs take as few threads as are of use, and leave the process its threads."""

import numpy as np
import pytest
import torch
from helpers.probes import problem, signs_of
from threadpoolctl import threadpool_info

from vggfeat.probes import few_threads, svm_newton
from vggfeat.probes.few_threads import at_most_threads, one_blas_thread
from vggfeat.probes.svm_newton import NewtonFits


def blas_threads() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_in_the_block_there_is_one_and_after_it_what_was_before(two_threads):
    before = blas_threads()
    with pytest.raises(KeyError), at_most_threads(1):
        assert torch.get_num_threads() == 1 and blas_threads() == {1}
        raise KeyError
    assert torch.get_num_threads() == 2 and blas_threads() == before


def test_of_blas_alone_torch_keeps_its_threads(two_threads):
    with one_blas_thread():
        assert torch.get_num_threads() == 2 and blas_threads() == {1}


@pytest.mark.parametrize(
    "entries, busy, threads", [(1e8, 0, 1), (0, 0, 2), (0, 2, 2), (0, 3, 1), (0, 9, 1)]
)
def test_conjugate_gradients_take_one_thread_for_little_and_else_the_cores_that_are_free(
    entries, busy, threads, two_threads, monkeypatch
):
    monkeypatch.setattr(svm_newton, "ENTRIES_FOR_THREADS", entries)
    monkeypatch.setattr(few_threads, "busy_cores", lambda: busy)
    monkeypatch.setattr(few_threads.os, "cpu_count", lambda: 4)
    seen, solve = [], svm_newton.solve

    def watched(*arguments, **options):
        seen.append(torch.get_num_threads())
        return solve(*arguments, **options)

    monkeypatch.setattr(svm_newton, "solve", watched)
    X, y = problem()
    fits = NewtonFits(X, signs_of(y), tol=1e-4, max_iter=100)
    assert np.isfinite(fits.decisions(signs_of(y), 1.0)).all()
    assert seen == [threads]
