"""The logistic probe against scikit-learn's LogisticRegression and SciPy's minimiser."""

import numpy as np
import pytest
from helpers.probes import HELD_OUT, ODD_PROBLEMS, problem, signs_of
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from vggfeat.probes import logistic
from vggfeat.probes.grid_search import choose
from vggfeat.probes.registry import load_probe

TOLERANCE = 2e-3  # of the scores' range, at a gap of 1e-6 of the objective


def fits(X, signs, exclusive=False):
    return load_probe("logistic").fits(X, signs, exclusive=exclusive)


def assert_alike(ours, theirs):
    """Scores that differ by one constant for each example decide alike."""
    ours, theirs = (each - each.mean(axis=1, keepdims=True) for each in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * np.ptp(theirs))
    runner_up, best = np.sort(theirs, axis=1).T[-2:]
    clear = best - runner_up > 2 * TOLERANCE * np.ptp(theirs)
    assert np.array_equal(ours.argmax(axis=1)[clear], theirs.argmax(axis=1)[clear])


@pytest.mark.parametrize("C", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("name", ODD_PROBLEMS)
def test_of_exclusive_classes_it_is_scikit_learns_softmax(name, C):
    X, y = ODD_PROBLEMS[name]
    K = y.max() + 1
    ours = fits(X, signs_of(y, K), exclusive=True).fit(C)
    assert ours.converged.all() and (ours.gap <= logistic.TOL).all()
    # Of two classes scikit-learn has one row of weights, whose penalty counts twice as much.
    theirs = LogisticRegression(C=C if K > 2 else 2 * C, tol=1e-8, max_iter=10_000)
    scores = theirs.fit(X.astype(float), y).decision_function(X.astype(float))
    assert_alike(ours.decisions(X), scores if K > 2 else np.stack([-scores, scores], axis=1) / 2)


@pytest.mark.parametrize("name", ODD_PROBLEMS)
def test_of_several_labels_each_class_is_fitted_by_itself_without_its_zeros(name):
    X, y = ODD_PROBLEMS[name]
    signs = signs_of(y, 2)
    signs[10:30, 0] = 0
    values = [0.1, 100.0]
    ours = fits(X, signs).fit(values).decisions(X)
    for k, C in enumerate(values):
        used = signs[:, k] != 0
        theirs = LogisticRegression(C=C, tol=1e-8, max_iter=10_000)
        scores = theirs.fit(X[used].astype(float), signs[used, k]).decision_function(X)
        np.testing.assert_allclose(ours[:, k], scores, atol=TOLERANCE * np.ptp(scores))


@pytest.mark.parametrize("C", [0.1, 10.0, 10_000.0])
def test_the_stated_gap_is_kept(C):
    """The objective, worked out here, is within it of SciPy's far stricter minimum."""
    X, y = problem(n=60, d=8)
    one_hot = signs_of(y) > 0

    def objective(parameters):
        W, b = parameters[:24].reshape(3, 8), parameters[24:]
        f = X @ W.T + b
        p = np.exp(f - logsumexp(f, axis=1, keepdims=True))
        slope = C * (p - one_hot)
        value = (W**2).sum() / 2 - C * np.log(p[one_hot]).sum()
        return value, np.concatenate([(W + slope.T @ X).ravel(), slope.sum(axis=0)])

    options = {"gtol": 1e-10, "maxiter": 10**5}
    least = minimize(objective, np.zeros(27), jac=True, method="BFGS", options=options).fun
    ours = fits(X, signs_of(y), exclusive=True).fit(C)
    reached, _ = objective(np.concatenate([ours.coef.ravel(), ours.intercept]))
    assert -1e-9 <= (reached - least) / least <= logistic.TOL


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_grid_search_scores_examples_that_were_not_trained_on(exclusive):
    X, y = problem(n=120)
    rest = np.delete(np.arange(120), HELD_OUT)

    def accuracy(decisions, rows):
        return float((decisions.argmax(axis=1) == y[rows]).mean())

    searched = fits(X, signs_of(y), exclusive)
    C, scores = choose(searched, [HELD_OUT], grid=(0.01, 1.0, 100.0), score=accuracy)
    for value, score in scores.items():
        alone = fits(X[rest], signs_of(y[rest]), exclusive).fit(value).decisions(X[HELD_OUT])
        assert score == pytest.approx(accuracy(alone, HELD_OUT), abs=1e-9)
    after_search, alone = searched.fit(C), fits(X, signs_of(y), exclusive).fit(C)
    np.testing.assert_allclose(after_search.coef, alone.coef, atol=5e-3)


def test_missing_convergence_is_reported(monkeypatch):
    monkeypatch.setattr(logistic, "MAX_ITER", 1)
    X, y = problem()
    for exclusive in (True, False):
        fitted = fits(X, signs_of(y), exclusive).fit(1000.0)
        assert not fitted.converged.any() and (fitted.gap > logistic.TOL).all()


@pytest.mark.parametrize("C", [1.0, 1e5])
def test_a_start_that_is_confidently_wrong_is_left_behind(C):
    """As where the pictures that validated turn out far on the wrong side: nothing curves there."""
    X, y = problem(n=60, d=200)
    misled = fits(X, signs_of(y))
    misled.decisions(-signs_of(y), 1e5)
    misled.start_from(np.ones(3, dtype=bool))
    misled.start *= 100
    fitted, alone = misled.fit(C), fits(X, signs_of(y)).fit(C)
    assert fitted.converged.all()
    np.testing.assert_allclose(fitted.decisions(X), alone.decisions(X), atol=0.05)


def test_a_fold_without_positives_of_a_class_leaves_the_others_solved():
    X, y = problem()
    signs = signs_of(y)
    signs[signs[:, 1] > 0, 1] = 0
    decisions = fits(X, signs_of(y)).decisions(signs, 1.0)
    assert np.isnan(decisions).all(axis=0).tolist() == [False, True, False]
    assert np.isfinite(fits(X, signs_of(y), exclusive=True).decisions(signs, 1.0)).all()


def test_examples_that_are_all_the_same_are_told_apart_by_nothing():
    signs = signs_of(np.repeat([0, 1, 2], [3, 4, 5]))
    for exclusive in (True, False):
        fitted = fits(np.ones((12, 4)), signs, exclusive).fit(1.0)
        assert fitted.converged.all() and np.abs(fitted.coef).max() < 1e-6
        assert fitted.decisions(np.ones((1, 4))).argmax() == 2  # the most frequent one


def test_the_same_bits_each_time():
    X, y = problem(d=200)
    first, second = (fits(X, signs_of(y), exclusive=True).fit(10.0) for _ in range(2))
    assert np.array_equal(first.coef, second.coef)
