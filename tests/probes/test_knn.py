"""The probes of nearest neighbours against scikit-learn's, and by hand where examples tie."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.probes import HELD_OUT, ODD_PROBLEMS, problem, signs_of
from sklearn.neighbors import KNeighborsClassifier

from vggfeat.probes import knn
from vggfeat.probes.grid_search import choose
from vggfeat.probes.registry import load_probe
from vggfeat.probes.saved_form import classifier_from

NAMES = ("knn", "knn_plain")


def fits(name, X, signs):
    return load_probe(name).fits(X, signs, exclusive=True)


def scikit_learns(name, k, X, y):
    """Votes of scikit-learn's neighbours, as shares of all [m, K]; its plain ones may tie."""

    def weigh(distances):
        return np.exp((1 - distances) / 0.07)

    return KNeighborsClassifier(
        k, metric="cosine", weights="uniform" if name == "knn_plain" else weigh
    ).fit(X.astype(float), y)


@pytest.mark.parametrize("k", [1, 4, 20])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("odd", [name for name in ODD_PROBLEMS if name != "duplicates"])
def test_it_is_scikit_learns_but_for_ties(odd, name, k):
    X, y = ODD_PROBLEMS[odd]
    new = X + np.random.default_rng(1).normal(size=X.shape)  # none is its own neighbour
    ours = fits(name, X, signs_of(y, y.max() + 1)).fit(k).decisions(new)
    theirs = scikit_learns(name, k, X, y).predict_proba(new)
    if name == "knn_plain":
        votes = np.floor(ours * (k + 0.5) + 1e-9)
        np.testing.assert_array_equal(votes, (theirs * k).round())
        alone = (theirs == theirs.max(axis=1, keepdims=True)).sum(axis=1) == 1
        assert np.array_equal(ours.argmax(axis=1)[alone], theirs.argmax(axis=1)[alone])
    else:
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
        assert np.array_equal(ours.argmax(axis=1), theirs.argmax(axis=1))


AT_ANGLES = np.array([[np.cos(a), np.sin(a)] for a in np.radians([0, 10, 20, 30, 80])])


def test_weights_are_those_of_dino():
    X, new = AT_ANGLES, np.array([[2.0, 0]])  # lengths do not matter
    ours = fits("knn", X, signs_of(np.array([0, 1, 1, 2, 0]))).fit(3).decisions(new)
    w = np.exp(np.cos(np.radians([0, 10, 20])) / 0.07)
    np.testing.assert_allclose(ours[0], np.array([w[0], w[1] + w[2], 0]) / w.sum(), rtol=1e-5)


def test_equal_numbers_of_votes_are_decided_by_nearness_and_not_by_the_class_number():
    """Two votes each: those of class 1 are nearer. Three votes win against one that is nearer."""
    new = np.array([[1.0, 0]])
    signs = signs_of(np.array([1, 0, 1, 0, 2]))
    scores = fits("knn_plain", AT_ANGLES, signs).fit(4).decisions(new)[0]
    assert scores[1] > scores[0] > scores[2] == 0
    signs = signs_of(np.array([1, 0, 0, 0, 2]))
    scores = fits("knn_plain", AT_ANGLES, signs).fit(4).decisions(new)[0]
    w = np.exp(np.cos(np.radians([0, 10, 20, 30])) / 0.07)
    np.testing.assert_allclose(scores[0], (3 + w[1:].sum() / w.sum() / 2) / 4.5, rtol=1e-5)
    assert scores.argmax() == 0


@pytest.mark.parametrize("name", NAMES)
def test_of_equally_near_examples_the_earlier_one_is_the_neighbour(name):
    X = np.repeat(np.random.default_rng(0).normal(size=(3, 40)), 5, axis=0)
    y = np.tile([0, 1, 2, 0, 1], 3)
    assert (fits(name, X, signs_of(y)).fit(1).decisions(X).argmax(axis=1) == 0).all()
    backwards = fits(name, X[::-1], signs_of(y[::-1])).fit(1).decisions(X)
    assert (backwards.argmax(axis=1) == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_more_neighbours_than_examples_are_all_of_them(name):
    X, y = problem(n=12)
    few, many = (fits(name, X, signs_of(y)).fit(k).decisions(X) for k in (12, 200))
    np.testing.assert_array_equal(few, many)
    assert (few[:, [k for k in range(3) if (y == k).any()]] > 0).all() and (few <= 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_class_leaves_out_is_no_neighbour_of_it(name):
    """And each class may have a k of its own."""
    X, y = problem()
    signs = signs_of(y)
    signs[10:30, 1] = 0
    ours = fits(name, X, signs).fit([3, 7, 3]).decisions(X)
    without = np.delete(np.arange(90), np.arange(10, 30))
    alone = fits(name, X[without], signs_of(y)[without]).fit(7).decisions(X)
    np.testing.assert_allclose(ours[:, 1], alone[:, 1], atol=1e-6)
    whole = fits(name, X, signs_of(y)).fit(3).decisions(X)
    np.testing.assert_allclose(ours[:, [0, 2]], whole[:, [0, 2]], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_all_values_of_k_share_one_search_among_examples_that_are_not_held_out(name, monkeypatch):
    X, y = problem(n=120)
    rest = np.delete(np.arange(120), HELD_OUT)
    searches, nearest = [], knn._nearest
    monkeypatch.setattr(knn, "_nearest", lambda *a: searches.append(len(a[0])) or nearest(*a))
    seen = []
    grid = (1.0, 5.0, 20.0)
    searched = fits(name, X, signs_of(y))
    choose(searched, [HELD_OUT], grid=grid, score=lambda d, rows: seen.append(d) or 0.0)
    assert searches == [90]
    for k, decisions in zip(grid, seen, strict=True):
        alone = fits(name, X[rest], signs_of(y[rest])).fit(k).decisions(X[HELD_OUT])
        np.testing.assert_allclose(decisions, alone, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_make_no_difference(name, monkeypatch):
    X, y = problem()
    classifier = fits(name, X, signs_of(y)).fit(5)
    at_once = classifier.decisions(X)
    monkeypatch.setattr(knn, "BLOCK_VALUES", 7 * len(X))
    np.testing.assert_allclose(classifier.decisions(X), at_once, atol=1e-6)


def test_a_vector_of_zeros_is_as_near_to_all():
    X, y = problem()
    scores = fits("knn", X, signs_of(y)).fit(90).decisions(np.zeros((1, 20)))
    np.testing.assert_allclose(scores[0], np.bincount(y) / 90)


@pytest.mark.parametrize("changes", [{"k": np.array([1, 2])}, {"k": np.zeros(3, int)},
                                     {"signs": np.ones((4, 3), np.int8)}])  # fmt: skip
def test_arrays_that_do_not_fit_each_other_are_refused(changes):
    X, y = problem()
    classifier = fits("knn", X, signs_of(y)).fit(5)
    with pytest.raises(ValueError, match="k is no number|of shape"):
        classifier_from("knn", classifier.arrays() | changes)


MEASURED = """
import resource, torch
from vggfeat.probes.knn import _nearest

torch.set_num_threads(1)
examples = torch.nn.functional.normalize(torch.randn(80_000, 16), dim=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
_nearest(examples, examples[:5200], 200)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_blocks():
    """100 blocks of 16 MB of cosines: 4 GB where each block's result lies behind it in memory."""
    # Where memory comes from depends on the threads that there could be.
    usual = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    megabytes = int(subprocess.check_output([sys.executable, "-c", MEASURED], env=usual))
    assert megabytes < 400
