"""SVMs on vectors that come block by block reach the minima that NewtonSVM and liblinear reach."""

import numpy as np
import pytest
import torch
from helpers.probes import ODD_PROBLEMS, fits_of, problem, signs_of
from sklearn.svm import LinearSVC

from vggfeat.errors import OptionError
from vggfeat.probes.grid_search import choose
from vggfeat.probes.streaming import svm_fit
from vggfeat.probes.streaming.blocks import ArrayBlocks, Rows
from vggfeat.probes.streaming.svm import StreamedSVMFits, sign_weights
from vggfeat.probes.streaming.svm_memory import smallest_bytes
from vggfeat.probes.streaming.svm_working_set import WorkingSets
from vggfeat.probes.streaming.vector_file import VectorFileWriter
from vggfeat.probes.svm import example_weights

MEMORY = 10**7


def streamed(X, signs, *, memory=MEMORY, **options):
    blocks = ArrayBlocks(X.astype(np.float32))
    return StreamedSVMFits(
        blocks, signs.astype(np.int8), memory=memory, **({"tol": 1e-6, "max_iter": 200} | options)
    )


def weights(classifier):
    return np.column_stack([classifier.coef, classifier.intercept])


def objectives(X, signs, C, w, costs=None):
    """P(w) [K] and its dual objective at b [K], straight from the definition."""
    X = np.column_stack([X.astype(np.float32).astype(float), np.ones(len(X))])
    c = np.broadcast_to(C, signs.shape[1]) * (np.abs(signs) if costs is None else costs)
    slack = np.maximum(0, 1 - signs * (X @ w.T))
    primal = (w**2).sum(axis=1) / 2 + (c * slack**2).sum(axis=0)
    b = 2 * c * slack
    combined = X.T @ (b * signs)
    quarter = np.divide(b**2, 4 * c, out=np.zeros_like(b), where=c > 0)
    return primal, b.sum(axis=0) - quarter.sum(axis=0) - (combined**2).sum(axis=0) / 2


@pytest.mark.parametrize("name", ODD_PROBLEMS)
@pytest.mark.parametrize("C", [0.01, 1.0, pytest.param(100.0, marks=pytest.mark.slow)])
def test_the_objective_is_that_of_liblinear_and_the_gap_that_of_the_dual_problem(name, C):
    X, y = ODD_PROBLEMS[name]
    signs = signs_of(y)
    signs = signs[:, (signs > 0).any(axis=0)]
    ours = streamed(X, signs).fit(C)
    assert ours.converged.all()
    primal, dual = objectives(X, signs, C, weights(ours))
    np.testing.assert_allclose(ours.gap, (primal - dual) / primal, rtol=1e-3, atol=1e-12)
    X = X.astype(np.float32).astype(float)
    for k, column in enumerate(signs.T):
        theirs = LinearSVC(C=C, tol=1e-10, dual=False, max_iter=10**5).fit(X, column)
        theirs = np.r_[theirs.coef_[0], theirs.intercept_]
        least = objectives(X, signs[:, [k]], C, theirs[None])[0]
        np.testing.assert_allclose(primal[k], least, rtol=2e-6)


def test_folds_classes_and_values_of_C_are_chosen_as_in_memory(tmp_path):
    X, y = problem(n=300, d=40, K=4)
    signs = signs_of(y, 4)
    folds = [np.arange(0, 300, 3), np.arange(1, 300, 3)]

    def chosen(fits):
        scored = []

        def score(decisions, rows):
            scored.append(decisions)
            return np.mean(decisions.argmax(axis=1) == y[rows])

        C, means = choose(fits, folds, grid=(0.01, 0.1, 1.0, 10.0), score=score)
        return C, means, np.concatenate(scored), fits.fit(C)

    expected = chosen(fits_of("newton", X.astype(np.float32), signs, tol=1e-6))
    with VectorFileWriter(tmp_path, 40) as writer:
        writer.append(X[:150])
        writer.append(X[150:])
        with writer.finish() as vectors:
            found = chosen(
                StreamedSVMFits(vectors, signs.astype(np.int8), memory=MEMORY, tol=1e-6, max_iter=9)
            )
    assert found[:2] == expected[:2]
    np.testing.assert_allclose(found[2], expected[2], atol=0.1)  # fitted to a gap of 1e-4
    np.testing.assert_allclose(weights(found[3]), weights(expected[3]), atol=2e-3)


@pytest.mark.parametrize("class_weight", ["balanced", {1: 5.0}, {1: 3.0, -1: 0.5}])
def test_weights_of_classes_and_examples_that_are_left_out(class_weight):
    X, y = problem()
    signs = signs_of(y)
    signs[::4, 0] = signs[1::5, 1] = 0
    costs = example_weights(class_weight, signs)
    counts = np.array([(signs < 0).sum(axis=0), (signs > 0).sum(axis=0)])
    expected = sign_weights(class_weight, counts)
    np.testing.assert_allclose(
        np.where(signs > 0, expected[1], expected[0])[signs != 0], costs[signs != 0]
    )
    ours = streamed(X, signs, class_weight=class_weight).fit(0.7)
    theirs = fits_of("newton", X, signs, tol=1e-8, class_weight=class_weight).fit(0.7)
    primal, least = (objectives(X, signs, 0.7, weights(c), costs)[0] for c in (ours, theirs))
    np.testing.assert_allclose(primal, least, rtol=2e-6)
    kept = signs[:, 0] != 0  # as if the others were not there
    few = streamed(X[kept], signs[kept][:, :1], class_weight=class_weight).fit(0.7)
    np.testing.assert_allclose(few.coef[0], ours.coef[0], atol=1e-3)


@pytest.mark.parametrize("C", [1e-15, 1e-8, 1e4, 1e8])
def test_a_tiny_or_huge_C(C):
    X, y = problem(n=200, d=5)
    ours = streamed(X, signs_of(y), tol=1e-5).fit(C)
    primal, dual = objectives(X, signs_of(y), C, weights(ours))
    assert ours.converged.all() and (primal - dual <= 1.1e-5 * primal).all()


def test_classes_fitted_in_groups_or_apart_are_those_fitted_together():
    X, y = problem(n=200, d=20, K=5)
    signs = signs_of(y, 5)
    together, small = streamed(X, signs), int(1.05 * smallest_bytes(ArrayBlocks(X)))
    in_groups = streamed(X, signs, memory=small)
    assert in_groups.sizes.problems < 5 == together.sizes.problems
    apart = [streamed(X, signs[:, columns]).fit(1.0).coef for columns in (slice(2), slice(2, 5))]
    expected = together.fit(1.0)
    np.testing.assert_allclose(in_groups.fit(1.0).coef, expected.coef, atol=2e-3)
    np.testing.assert_allclose(np.concatenate(apart), expected.coef, atol=2e-3)


def test_too_little_memory_is_an_error_that_says_how_much_is_needed():
    X, y = problem(n=500)
    enough = smallest_bytes(ArrayBlocks(X))
    with pytest.raises(OptionError, match="give them at least"):
        streamed(X, signs_of(y), memory=enough / 2)
    assert streamed(X, signs_of(y), memory=enough).fit(1.0).converged.all()


def test_rows_of_other_blocks_are_trained_on_alone():
    X, y = problem()
    kept = np.arange(90) % 3 > 0
    rows = Rows(ArrayBlocks(X.astype(np.float32)), kept)
    options = {"memory": MEMORY, "tol": 1e-6, "max_iter": 200}
    ours = StreamedSVMFits(rows, signs_of(y[kept]), **options).fit(1.0)
    np.testing.assert_allclose(
        ours.coef, streamed(X[kept], signs_of(y[kept])).fit(1.0).coef, atol=1e-4
    )


def test_a_class_without_examples_and_vectors_of_zeros_end_at_once():
    X, y = problem(n=40)
    signs = np.column_stack([signs_of(y), np.zeros(40, int)])
    fits = streamed(np.zeros_like(X), signs)
    assert fits.decisions(signs, 1.0).shape == signs.shape
    classifier = fits.fit(1.0)
    assert classifier.converged.all() and not classifier.coef.any()


def test_steps_that_are_too_few_are_reported_as_such():
    X, y = problem()
    classifier = streamed(X, signs_of(y), max_iter=1).fit(10.0)
    assert not classifier.converged.any() and (classifier.gap > 1e-5).all()


def test_few_examples_with_slack_are_kept_and_the_minimum_is_the_same(monkeypatch):
    random = np.random.default_rng(0)
    y = random.integers(0, 6, 1500)
    X = random.normal(size=(1500, 30)) + 2 * random.normal(size=(6, 30))[y]
    X, signs = X.astype(np.float32), signs_of(y, 6)
    sizes = []

    class Seen(WorkingSets):
        def at(self, *args):
            kept = super().at(*args)
            sizes.append(len(kept.X))
            return kept

    monkeypatch.setattr(svm_fit, "WorkingSets", Seen)
    fits = streamed(X, signs, tol=1e-5)
    for C in (0.1, 10.0):
        scores = fits.decisions(signs, C)
    fits.start_from(np.ones(6, bool))
    ours = fits.fit(10.0)
    assert sizes and min(sizes) < 500
    np.testing.assert_allclose(scores, ours.decisions(X), atol=0.05)
    primal, dual = objectives(X, signs, 10.0, weights(ours))
    np.testing.assert_allclose(ours.gap, (primal - dual) / primal, rtol=1e-3)
    assert ours.converged.all() and (ours.gap <= 1e-5).all()


def test_working_sets_without_room_say_so():
    X, y = problem()
    costs = torch.ones(2, 3, dtype=torch.float64)
    blocks = ArrayBlocks(X.astype(np.float32))
    nothing = torch.zeros(3, 21, dtype=torch.float64)  # all examples have slack
    assert WorkingSets(blocks, signs_of(y), costs, rows=20, room=89).at(nothing) is None
    kept = WorkingSets(blocks, signs_of(y), costs, rows=20, room=90).at(nothing)
    np.testing.assert_array_equal(kept.X, X.astype(np.float32))
    np.testing.assert_allclose(kept.objective, 90)
