"""The ridge probe against scikit-learn's Ridge and RidgeClassifier."""

import numpy as np
import pytest
import torch
from helpers.probes import HELD_OUT, ODD_PROBLEMS, problem, signs_of
from sklearn.linear_model import Ridge, RidgeClassifier

from vggfeat.probes.grid_search import choose
from vggfeat.probes.principal_axes import PrincipalAxes
from vggfeat.probes.registry import load_probe

ALPHAS = (1e-3, 1.0, 100.0)


def fits(X, signs):
    return load_probe("ridge").fits(X, signs)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("name", ODD_PROBLEMS)
def test_it_is_scikit_learns_ridge_classifier(name, alpha):
    X, y = ODD_PROBLEMS[name]
    K = y.max() + 1
    ours = fits(X, signs_of(y, K)).fit(alpha).decisions(X)
    theirs = RidgeClassifier(alpha=alpha).fit(X.astype(float), y)
    scores = theirs.decision_function(X)
    np.testing.assert_allclose(ours if K > 2 else ours[:, 1], scores, atol=1e-7)
    assert np.array_equal(ours.argmax(axis=1), theirs.predict(X))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("name", ODD_PROBLEMS)
def test_what_a_class_leaves_out_changes_nothing_of_it(name, alpha):
    """By one factorisation of all, the same as scikit-learn's fit to the others."""
    X, y = ODD_PROBLEMS[name]
    signs = signs_of(y, 2)
    signs[10:30, 0] = 0
    signs[[40, 2], 1] = 0
    ours = fits(X, signs).fit(alpha).decisions(X)
    for k, column in enumerate(signs.T):
        used = column != 0
        theirs = Ridge(alpha=alpha).fit(X[used].astype(float), column[used])
        np.testing.assert_allclose(ours[:, k], theirs.predict(X), atol=2e-6)


def test_each_class_may_have_its_own_alpha():
    X, y = problem()
    together = fits(X, signs_of(y)).fit(ALPHAS)
    for k, alpha in enumerate(ALPHAS):
        alone = fits(X, signs_of(y)).fit(alpha)
        np.testing.assert_allclose(together.coef[k], alone.coef[k], rtol=1e-10)


def test_the_grid_is_searched_without_the_held_out_examples_by_one_factorisation(monkeypatch):
    X, y = problem(n=120)
    rest = np.delete(np.arange(120), HELD_OUT)
    factorised = []
    of = PrincipalAxes.of
    monkeypatch.setattr(PrincipalAxes, "of", lambda X: factorised.append(len(X)) or of(X))
    seen = {}

    def score(decisions, rows):
        seen[ALPHAS[len(seen)]] = decisions
        return 0.0

    searched = fits(X, signs_of(y))
    choose(searched, [HELD_OUT], grid=ALPHAS, score=score)
    searched.fit(1.0)
    assert factorised == [120]
    for alpha, decisions in seen.items():
        theirs = Ridge(alpha=alpha).fit(X[rest], signs_of(y[rest]))
        np.testing.assert_allclose(decisions, theirs.predict(X[HELD_OUT]), atol=1e-9)


@pytest.mark.parametrize("alpha", [1e-4, 1.0, 100.0])
def test_a_fold_of_any_size_takes_systems_of_the_axes_size_only(monkeypatch, alpha):
    """A validation part of 20,000 examples must not be a system of 20,000 equations."""
    X, y = problem(n=2000, d=6)
    held_out = np.arange(1500)
    sizes = []
    solve = torch.linalg.solve
    monkeypatch.setattr(torch.linalg, "solve", lambda a, b: sizes.append(len(a)) or solve(a, b))
    signs = signs_of(y)
    signs[held_out] = 0
    decisions = fits(X, signs_of(y)).decisions(signs, alpha)[held_out]
    theirs = Ridge(alpha=alpha).fit(X[1500:].astype(float), signs[1500:]).predict(X[held_out])
    np.testing.assert_allclose(decisions, theirs, atol=1e-9)
    assert max(sizes) <= 7


def test_a_fold_without_positives_of_a_class_leaves_the_others_as_they_are():
    X, y = problem()
    signs = signs_of(y)
    signs[:30] = 0
    signs[signs[:, 1] > 0, 1] = 0
    decisions = fits(X, signs_of(y)).decisions(signs, 1.0)[:30]
    assert np.isnan(decisions).all(axis=0).tolist() == [False, True, False]
    theirs = Ridge(alpha=1.0).fit(X[30:], signs[30:, 0]).predict(X[:30])
    np.testing.assert_allclose(decisions[:, 0], theirs)


def test_several_folds_are_held_out_at_once():
    X, y = problem(d=200)
    folds = [np.arange(30), np.arange(30, 60)]
    seen = []
    choose(
        fits(X, signs_of(y)), folds, grid=[1.0], score=lambda d, rows: seen.append((d, rows)) or 0.0
    )
    for decisions, rows in seen:
        rest = np.delete(np.arange(90), rows)
        theirs = Ridge(alpha=1.0).fit(X[rest], signs_of(y[rest])).predict(X[rows])
        np.testing.assert_allclose(decisions, theirs, atol=1e-9)


def test_examples_that_are_all_the_same_have_their_mean_target():
    fitted = fits(np.ones((12, 4)), signs_of(np.repeat([0, 1, 2], [3, 4, 5]))).fit(1.0)
    assert not fitted.coef.any()
    np.testing.assert_allclose(fitted.intercept, [-0.5, -1 / 3, -1 / 6])
