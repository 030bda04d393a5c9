"""The SVM against scikit-learn's own, against its optimality condition, and as an estimator."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from vggfeat.benchmarks.evaluation import C_GRID, classifier
from vggfeat.svm import OneVsRestSVM, choose_C


def problem(n=90, d=20, K=3, seed=0):
    random = np.random.default_rng(seed)
    y = random.integers(0, K, n)
    X = random.normal(size=(n, d)) + 0.7 * random.normal(size=(K, d))[y]
    return X, y


def not_ours(_):
    return {"check_class_weight_classifiers": "weights are for positives and negatives, not labels"}


@parametrize_with_checks([OneVsRestSVM(max_iter=10_000)], expected_failed_checks=not_ours)
def test_it_is_a_scikit_learn_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.mark.parametrize("C", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_it_equals_linear_svc(C, n_jobs):
    X, y = problem()
    theirs = LinearSVC(C=C, tol=1e-8, random_state=0, max_iter=100_000).fit(X, y)
    ours = OneVsRestSVM(C=C, tol=1e-8, n_jobs=n_jobs, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(X), rtol=1e-5, atol=1e-5
    )
    assert np.array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("class_weight", [None, {1: 2.0, -1: 0.5}])
def test_the_stated_objective_is_at_its_minimum(class_weight):
    """Its gradient, worked out here in float64 with the regularised intercept, vanishes."""
    X, y = problem(n=60, d=5)
    signs = np.where(y[:, None] == np.arange(3), 1, -1)
    svm = OneVsRestSVM(C=2.0, tol=1e-10, max_iter=10**6, class_weight=class_weight).fit(X, signs)
    weight = class_weight or {1: 1.0, -1: 1.0}
    for k in range(3):
        s = signs[:, k]
        slack = np.maximum(0, 1 - s * (X @ svm.coef_[k] + svm.intercept_[k]))
        pull = 2 * 2.0 * np.where(s > 0, weight[1], weight[-1]) * slack * s
        np.testing.assert_allclose(svm.coef_[k], X.T @ pull, atol=1e-5)
        np.testing.assert_allclose(svm.intercept_[k], pull.sum(), atol=1e-5)


def test_pictures_with_sign_zero_do_not_count_for_that_class():
    X, y = problem()
    signs = np.where(y[:, None] == np.arange(3), 1, -1)
    signs[:30, 1] = 0
    svm = OneVsRestSVM().fit(X, signs)
    without = OneVsRestSVM().fit(X[30:], signs[30:])
    whole = OneVsRestSVM().fit(X, np.where(y[:, None] == np.arange(3), 1, -1))
    np.testing.assert_allclose(svm.coef_[1], without.coef_[1])
    np.testing.assert_allclose(svm.coef_[0], whole.coef_[0])
    assert set(np.unique(svm.predict(X))) == {-1, 1}


def test_signs_must_be_signs():
    with pytest.raises(ValueError, match="must be 1, 0 or -1"):
        OneVsRestSVM().fit(np.zeros((3, 2)), np.array([[1, 2], [0, 1], [-1, 1]]))


def test_missing_convergence_is_reported():
    X, y = problem()
    with pytest.warns(ConvergenceWarning, match="3 of 3 classes did not converge within 1"):
        svm = OneVsRestSVM(C=1e4, max_iter=1, tol=1e-12).fit(X, y)
    assert not svm.converged_.any()


def test_choice_of_C_takes_the_best_on_validation_and_the_smallest_of_equals():
    X, y = problem()
    truth = {0.1: 0.5, 1.0: 0.8, 10.0: 0.8}
    scores = iter(truth.values())
    C, found = choose_C(
        OneVsRestSVM(), (X, y), (X, y), grid=(10.0, 0.1, 1.0), score=lambda svm, X, y: next(scores)
    )
    assert C == 1.0 and found == truth


def test_choice_of_C_scores_pictures_it_was_not_trained_on():
    X, y = problem(n=120)
    seen = []

    def score(svm, X, y):
        seen.append(y)
        return float((svm.predict(X) == y).mean())

    _, scores = choose_C(
        OneVsRestSVM(), (X[:90], y[:90]), (X[90:], y[90:]), grid=(0.1, 1.0), score=score
    )
    for C, value in scores.items():
        expected = LinearSVC(C=C, random_state=0).fit(X[:90], y[:90]).score(X[90:], y[90:])
        assert value == pytest.approx(expected)
    assert all(np.array_equal(truth, y[90:]) for truth in seen)


def test_each_class_may_have_its_own_C():
    X, y = problem()
    signs = np.where(y[:, None] == np.arange(3), 1, -1)
    together = OneVsRestSVM(C=[0.1, 1.0, 10.0]).fit(X, signs)
    for k, C in enumerate((0.1, 1.0, 10.0)):
        alone = OneVsRestSVM(C=C).fit(X, signs)
        assert np.array_equal(together.coef_[k], alone.coef_[k])


def test_classes_that_cannot_be_told_get_the_C_that_is_best_for_the_others():
    """Scores of three classes at C 1, 2 and 3; the third has no validation pictures."""
    X, y = problem()
    signs = np.where(y[:, None] == np.arange(3), 1, -1)
    scores = iter([[0.1, 0.9, np.nan], [0.2, 0.5, np.nan], [0.3, 0.8, np.nan]])
    C, means = choose_C(
        OneVsRestSVM(),
        (X, signs),
        (X, signs),
        grid=(1.0, 2.0, 3.0),
        score=lambda svm, X, y: np.array(next(scores)),
    )
    assert C.tolist() == [3.0, 1.0, 3.0]
    assert means == {1.0: 0.5, 2.0: 0.35, 3.0: 0.55}


@pytest.mark.parametrize("C", C_GRID)
def test_the_benchmarks_solver_reaches_the_objective_on_wide_data(C):
    """Within 1e-4 of a far stricter solution, also at the largest C, where tol 1e-4 is not enough.

    The data are like descriptors: more dimensions than pictures, none negative, length one.
    """
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 300)
    centres = np.maximum(random.normal(size=(3, 900)), 0)
    X = np.maximum(random.normal(size=(300, 900)) + 0.35 * centres[y] - 0.3, 0)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    signs = np.where(y[:, None] == np.arange(3), 1, -1)

    def objective(svm, k):
        slack = np.maximum(0, 1 - signs[:, k] * (X @ svm.coef_[k] + svm.intercept_[k]))
        return (svm.coef_[k] ** 2).sum() / 2 + svm.intercept_[k] ** 2 / 2 + C * (slack**2).sum()

    ours = classifier(num_values=0).set_params(C=C).fit(X, signs)
    strict = OneVsRestSVM(C=C, tol=1e-10, max_iter=10**6).fit(X, signs)
    for k in range(3):
        assert objective(ours, k) == pytest.approx(objective(strict, k), rel=1e-4)


def test_threads_do_not_change_the_bits():
    """Wide data, many classes: with liblinear's dual solver two runs in threads differ."""
    X, y = problem(n=120, d=300, K=8)
    first, second = (OneVsRestSVM(C=1.0, n_jobs=2).fit(X, y) for _ in range(2))
    alone = OneVsRestSVM(C=1.0).fit(X, y)
    assert np.array_equal(first.coef_, second.coef_) and np.array_equal(first.coef_, alone.coef_)
