"""Probes of vectors that come block by block, beside those in memory and scikit-learn's."""

import tempfile

import numpy as np
import pytest
from helpers.probes import HELD_OUT, ODD_PROBLEMS, problem, signs_of
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from vggfeat.probes.grid_search import choose
from vggfeat.probes.registry import load_probe
from vggfeat.probes.streaming import block_size, knn, moments, wide
from vggfeat.probes.streaming.blocks import ArrayBlocks, Rows
from vggfeat.probes.streaming.choice import streamed_fits
from vggfeat.probes.streaming.scores import scores_of
from vggfeat.probes.streaming.vector_file import VectorFileWriter

# Of decision values, beside those in memory. What is closed is exact, but for scores in float32.
TOLERANCES = {"ridge": 1e-5, "centroid": 1e-5, "knn": 1e-6, "knn_plain": 1e-6}
STREAMED = (*TOLERANCES, "logistic")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of few rows, so that there are several."""
    monkeypatch.setattr(block_size, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(knn, "COSINES_BYTES", 3_000)


def both(name, X, signs, exclusive=False):
    """The fits in memory and those of blocks."""
    probe = load_probe(name)
    yield probe.fits(X, signs, exclusive=exclusive)
    yield streamed_fits(probe, ArrayBlocks(X.astype(np.float32)), signs, exclusive=exclusive)


def objective(classifier, X, signs, C):
    """Of logistic regression, each class against the rest: F [K]."""
    losses = np.logaddexp(0, -signs * classifier.decisions(X)) * (signs != 0)
    return (classifier.coef**2).sum(axis=1) / 2 + C * losses.sum(axis=0)


@pytest.mark.parametrize("name", TOLERANCES)
@pytest.mark.parametrize("what", ODD_PROBLEMS)
def test_it_decides_as_in_memory_with_examples_left_out(name, what):
    X, y = ODD_PROBLEMS[what]
    signs = signs_of(y, y.max() + 1)
    signs[10:14, 0] = 0
    signs[[20, 2], 1] = 0
    in_memory, streamed = (fits.fit(3.0) for fits in both(name, X.astype(np.float32), signs))
    expected = in_memory.decisions(X.astype(np.float32))
    scores = scores_of(streamed, ArrayBlocks(X.astype(np.float32)))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(scores, expected, atol=TOLERANCES[name] * scale)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("name", [name for name in STREAMED if name != "centroid"])
def test_the_same_value_is_chosen_by_the_same_scores(name, exclusive):
    X, y = problem(n=150)
    X = X.astype(np.float32)

    def accuracy(decisions, rows):
        return float((decisions.argmax(axis=1) == y[rows]).mean())

    in_memory, streamed = (
        choose(fits, [HELD_OUT, HELD_OUT + 40], grid=load_probe(name).grid[:6], score=accuracy)
        for fits in both(name, X, signs_of(y), exclusive)
    )
    assert in_memory[0] == streamed[0]
    assert in_memory[1] == pytest.approx(streamed[1], abs=0.03)  # an example of 60 or two


@pytest.mark.parametrize("C", [0.1, 100.0])
@pytest.mark.parametrize("what", ODD_PROBLEMS)
def test_logistic_regression_reaches_the_same_objective(what, C):
    X, y = ODD_PROBLEMS[what]
    X, signs = X.astype(np.float32), signs_of(y, y.max() + 1)
    signs[[20, 2], 1] = 0
    in_memory, streamed = (fits.fit(C) for fits in both("logistic", X, signs))
    assert streamed.converged.all()
    np.testing.assert_allclose(
        objective(streamed, X, signs, C), objective(in_memory, X, signs, C), rtol=3e-6
    )


@pytest.mark.parametrize("exclusive", [True, False])
def test_logistic_regression_is_scikit_learns(exclusive):
    X, y = problem(n=300)
    X = X.astype(np.float32)
    streamed = [*both("logistic", X, signs_of(y), exclusive)][1].fit(1.0)
    options = {"C": 1.0, "tol": 1e-8, "max_iter": 10_000}
    if exclusive:
        theirs = LogisticRegression(**options).fit(X, y).decision_function(X)
        ours = streamed.decisions(X)
        ours -= ours.mean(axis=1, keepdims=True)  # softmax does not see what all have
    else:
        fitted = [LogisticRegression(**options).fit(X, y == k) for k in range(3)]
        theirs = np.stack([each.decision_function(X) for each in fitted], axis=1)
        ours = streamed.decisions(X)
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_ridge_neighbours_and_means_are_scikit_learns():
    X, y = problem(n=200)
    X = X.astype(np.float32)
    blocks, test = ArrayBlocks(X[50:]), ArrayBlocks(X[:50])

    def scores(name, value=None):
        probe = load_probe(name)
        fitted = streamed_fits(probe, blocks, signs_of(y[50:]), exclusive=True).fit(value)
        return scores_of(fitted, test)

    ridge = Ridge(alpha=1.0).fit(X[50:].astype(float), signs_of(y[50:]))
    np.testing.assert_allclose(scores("ridge", 1.0), ridge.predict(X[:50]), atol=1e-6)
    knn = KNeighborsClassifier(7, metric="cosine").fit(X[50:], y[50:])
    votes = np.round(scores("knn_plain", 7.0) * 7.5 - 0.25)
    np.testing.assert_allclose(votes, 7 * knn.predict_proba(X[:50]), atol=0.51)
    means = NearestCentroid().fit(X[50:], y[50:])
    assert np.array_equal(scores("centroid").argmax(axis=1), means.predict(X[:50]))


def test_groups_of_classes_take_several_passes_where_their_matrices_are_many(monkeypatch):
    X, y = problem(n=120, K=3)
    signs = signs_of(y)
    signs[3, 0] = signs[4, 1] = 0
    expected, _ = (fits.fit(1.0) for fits in both("ridge", X, signs))
    monkeypatch.setattr(moments, "GRAMS_BYTES", 1)
    passes = []
    monkeypatch.setattr(ArrayBlocks, "blocks", _counted(ArrayBlocks.blocks, passes))
    streamed = streamed_fits(load_probe("ridge"), ArrayBlocks(X.astype(np.float32)), signs)
    np.testing.assert_allclose(streamed.fit(1.0).coef, expected.coef, atol=1e-6)
    assert len(passes) == 3


def test_an_iteration_of_logistic_regression_is_about_one_pass(monkeypatch):
    X, y = problem(n=500)
    passes = []
    monkeypatch.setattr(ArrayBlocks, "blocks", _counted(ArrayBlocks.blocks, passes))
    fits = streamed_fits(load_probe("logistic"), ArrayBlocks(X.astype(np.float32)), signs_of(y))
    fitted = fits.fit(10.0)
    assert len(passes) < 1.5 * fitted.num_iterations.max() + 10


@pytest.mark.parametrize("name", ["ridge", "logistic"])
@pytest.mark.parametrize("shape", [(30, 50), (40, 300), (20, 1000)])
def test_few_examples_of_many_dimensions_are_fitted_by_their_products(name, shape, monkeypatch):
    monkeypatch.setattr(wide, "WIDE", 1)
    X, y = problem(*shape)
    X, signs = X.astype(np.float32), signs_of(y)
    signs[3, 0] = 0
    in_memory, streamed = both(name, X, signs)
    assert isinstance(streamed, wide.WideFits)
    held_out = np.concatenate([signs, np.where(np.arange(len(X))[:, None] < 9, 0, signs)], axis=1)
    ours, theirs = streamed.decisions(held_out, 1.0), in_memory.decisions(held_out, 1.0)
    np.testing.assert_allclose(ours, theirs, atol=1e-2 if name == "logistic" else 1e-6)
    ours, theirs = (fits.fit(1.0).decisions(X) for fits in (streamed, in_memory))
    np.testing.assert_allclose(ours, theirs, atol=5e-3 if name == "logistic" else 1e-6)


def test_saved_neighbours_are_those_in_memory():
    X, y = problem(n=100)
    in_memory, streamed = both("knn", X.astype(np.float32), signs_of(y))
    arrays = streamed.fit(5.0).arrays()
    for name, expected in in_memory.fit(5.0).arrays().items():
        np.testing.assert_allclose(arrays[name], expected, atol=1e-7)


def test_neighbours_that_are_found_lie_on_the_disk_of_the_vectors(tmp_path, monkeypatch):
    """The system's folder for such files may be in memory."""
    folders, make = [], tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: folders.append(dir) or make(dir=dir))
    X, y = problem(n=100)
    with VectorFileWriter(tmp_path, X.shape[1]) as writer:
        writer.append(X)
        file = writer.finish()
    with file:
        fits = streamed_fits(load_probe("knn"), Rows(file, np.arange(100)), signs_of(y))
        fits.decisions(signs_of(y), 5.0)
    assert folders == [tmp_path]


def test_rows_of_rows_are_the_rows_of_the_file():
    X = np.arange(40, dtype=np.float32).reshape(20, 2)
    some = Rows(Rows(ArrayBlocks(X), np.arange(0, 20, 2)), np.array([1, 4, 9]))
    seen = np.concatenate([vectors for _, vectors in some.blocks(3)])
    assert np.array_equal(seen, X[[2, 8, 18]])


def _counted(blocks, passes):
    def counting(self, rows):
        passes.append(rows)
        return blocks(self, rows)

    return counting
