"""Small SVMs take one thread, and leave the process its threads."""

import numpy as np
import pytest
import torch
from helpers.probes import problem, signs_of
from threadpoolctl import threadpool_info

from vggfeat.probes import svm_newton
from vggfeat.probes.one_thread import one_blas_thread, one_thread
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
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1 and blas_threads() == {1}
        raise KeyError
    assert torch.get_num_threads() == 2 and blas_threads() == before


def test_of_blas_alone_torch_keeps_its_threads(two_threads):
    with one_blas_thread():
        assert torch.get_num_threads() == 2 and blas_threads() == {1}


@pytest.mark.parametrize("entries, threads", [(2e8, 1), (0, 2)])
def test_conjugate_gradients_take_one_thread_where_the_problem_is_small(
    entries, threads, two_threads, monkeypatch
):
    monkeypatch.setattr(svm_newton, "ENTRIES_FOR_THREADS", entries)
    seen, solve = [], svm_newton.solve

    def watched(*arguments, **options):
        seen.append(torch.get_num_threads())
        return solve(*arguments, **options)

    monkeypatch.setattr(svm_newton, "solve", watched)
    X, y = problem()
    fits = NewtonFits(X, signs_of(y), tol=1e-4, max_iter=100)
    assert np.isfinite(fits.decisions(signs_of(y), 1.0)).all()
    assert seen == [threads]
