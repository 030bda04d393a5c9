"""The SVM against scikit-learn's own, against its optimality condition, and as an estimator."""

import warnings

import numpy as np
import pytest
from helpers.probes import problem, signs_of
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from vggfeat.metrics import average_precisions
from vggfeat.probes.registry import load_probe
from vggfeat.probes.svm import C_GRID
from vggfeat.probes.svm_estimator import SOLVERS, OneVsRestSVM


def not_ours(_):
    return {"check_class_weight_classifiers": "weights are for positives and negatives, not labels"}


@parametrize_with_checks(
    [OneVsRestSVM(solver=solver, max_iter=10_000) for solver in SOLVERS],
    expected_failed_checks=not_ours,
)
def test_it_is_a_scikit_learn_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)  # raises
    # Checks that fit it do so with copies.
    assert estimator.get_params()["max_iter"] == 10_000 and not hasattr(estimator, "coef_")


@pytest.mark.parametrize("C", [0.01, 1.0, 30.0])
@pytest.mark.parametrize(
    "how",
    [
        {"tol": 1e-12},
        {"solver": "liblinear", "tol": 1e-8},
        {"solver": "liblinear", "tol": 1e-8, "n_jobs": 2},
    ],
)
def test_it_equals_linear_svc(C, how):
    X, y = problem()
    theirs = LinearSVC(C=C, tol=1e-8, random_state=0, max_iter=100_000).fit(X, y)
    ours = OneVsRestSVM(C=C, max_iter=100_000, **how).fit(X, y)
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(X), rtol=1e-5, atol=1e-5
    )
    assert np.array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("class_weight", [None, {1: 2.0, -1: 0.5}])
def test_the_stated_objective_is_at_its_minimum(class_weight, solver):
    """Its gradient, worked out here in float64 with the regularised intercept, vanishes."""
    X, y = problem(n=60, d=5)
    signs = signs_of(y)
    svm = OneVsRestSVM(
        C=2.0, tol=1e-12, max_iter=10**6, class_weight=class_weight, solver=solver
    ).fit(X, signs)
    weight = class_weight or {1: 1.0, -1: 1.0}
    for k in range(3):
        s = signs[:, k]
        slack = np.maximum(0, 1 - s * (X @ svm.coef_[k] + svm.intercept_[k]))
        pull = 2 * 2.0 * np.where(s > 0, weight[1], weight[-1]) * slack * s
        np.testing.assert_allclose(svm.coef_[k], X.T @ pull, atol=1e-5)
        np.testing.assert_allclose(svm.intercept_[k], pull.sum(), atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_pictures_with_sign_zero_do_not_count_for_that_class(solver):
    X, y = problem()
    signs = signs_of(y)
    signs[:30, 1] = 0
    svm, without, whole = (OneVsRestSVM(solver=solver, tol=1e-12) for _ in range(3))
    svm.fit(X, signs)
    without.fit(X[30:], signs[30:])
    whole.fit(X, signs_of(y))
    np.testing.assert_allclose(svm.coef_[1], without.coef_[1], rtol=1e-6)
    np.testing.assert_allclose(svm.coef_[0], whole.coef_[0], rtol=1e-6)
    assert set(np.unique(svm.predict(X))) == {-1, 1}


def test_signs_must_be_signs():
    with pytest.raises(ValueError, match="must be 1, 0 or -1"):
        OneVsRestSVM().fit(np.zeros((3, 2)), np.array([[1, 2], [0, 1], [-1, 1]]))


def test_labels_of_0_and_1_are_no_signs():
    X, y = problem()
    with pytest.raises(ValueError, match="-1 for the others; got no -1. A 0 leaves"):
        OneVsRestSVM().fit(X, (signs_of(y) > 0).astype(int))


@pytest.mark.parametrize("solver", SOLVERS)
def test_missing_convergence_is_reported(solver):
    X, y = problem()
    with pytest.warns(ConvergenceWarning, match="3 of 3 classes did not converge within 1"):
        svm = OneVsRestSVM(C=1e4, max_iter=1, tol=1e-12, solver=solver).fit(X, y)
    assert not svm.converged_.any()


def test_a_class_without_negatives_is_an_error():
    X, y = problem()
    signs = signs_of(y)
    signs[signs[:, 2] < 0, 2] = 0
    with pytest.raises(ValueError, match="positives and negatives"):
        OneVsRestSVM().fit(X, signs)


def test_an_unknown_solver_is_an_error():
    with pytest.raises(ValueError, match="newton, liblinear; got 'sgd'"):
        OneVsRestSVM(solver="sgd").fit(*problem())


@pytest.mark.parametrize("solver", SOLVERS)
def test_each_class_may_have_its_own_C(solver):
    X, y = problem()
    signs = signs_of(y)
    together = OneVsRestSVM(C=[0.1, 1.0, 10.0], solver=solver, tol=1e-10).fit(X, signs)
    for k, C in enumerate((0.1, 1.0, 10.0)):
        alone = OneVsRestSVM(C=C, solver=solver, tol=1e-10).fit(X, signs)
        np.testing.assert_allclose(together.coef_[k], alone.coef_[k], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("C", C_GRID)
def test_the_benchmarks_solver_reaches_the_objective_on_wide_data(C, solver):
    """Within 1e-4 of a far stricter solution, also at the largest C, where tol 1e-4 is not enough.

    The data are like descriptors: more dimensions than pictures, none negative, length one.
    """
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 300)
    centres = np.maximum(random.normal(size=(3, 900)), 0)
    X = np.maximum(random.normal(size=(300, 900)) + 0.35 * centres[y] - 0.3, 0)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    signs = signs_of(y)

    def objective(w, b, k):
        slack = np.maximum(0, 1 - signs[:, k] * (X @ w + b))
        return (w @ w + b * b) / 2 + C * (slack**2).sum()

    ours = load_probe(solver=solver).fits(X, signs).fit(C)
    strict = OneVsRestSVM(C=C, tol=1e-10, max_iter=10**6, solver="liblinear").fit(X, signs)
    for k in range(3):
        least = objective(strict.coef_[k], strict.intercept_[k], k)
        assert objective(ours.coef[k], ours.intercept[k], k) == pytest.approx(least, rel=1e-4)


def test_threads_do_not_change_the_bits():
    """Wide data, many classes: with liblinear's dual solver two runs in threads differ."""
    X, y = problem(n=120, d=300, K=8)
    first, second = (OneVsRestSVM(solver="liblinear", n_jobs=2).fit(X, y) for _ in range(2))
    alone = OneVsRestSVM(solver="liblinear").fit(X, y)
    assert np.array_equal(first.coef_, second.coef_) and np.array_equal(first.coef_, alone.coef_)


def benchmark_like(n=600, d=400, K=12, seed=0):
    """Pictures of length one, as descriptors are, to train on and to test with, and their signs."""
    random = np.random.default_rng(seed)
    signs = np.where(random.random((2 * n, K)) < 0.1, 1, -1)
    X = np.maximum(random.normal(size=(2 * n, d)) + (signs > 0) @ random.normal(size=(K, d)), 0)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X[:n].astype(np.float32), signs[:n], X[n:].astype(np.float32), signs[n:]


@pytest.mark.parametrize("C", [1.0, 100.0])
def test_both_solvers_rank_and_decide_alike_on_data_like_a_benchmarks(C):
    """To 0.05 points of average precision, and but for one decision in a thousand."""
    X, signs, X_test, truth = benchmark_like()
    decisions = []
    for solver in SOLVERS:
        svm = load_probe(solver=solver).fits(X, signs).fit(C)
        assert svm.converged.all()
        decisions.append(svm.decisions(X_test))
    ours, theirs = decisions
    assert ((ours > 0) == (theirs > 0)).mean() >= 0.999
    for k in range(signs.shape[1]):
        ap, their_ap = (average_precisions(truth[:, k], each[:, k]) for each in decisions)
        for rule, value in ap.items():
            assert value == pytest.approx(their_ap[rule], abs=0.0005)


@pytest.mark.parametrize("class_weight", ["balanced", {1: 3.0, -1: 0.5}, {1: 2.0}])
@pytest.mark.parametrize("with_zeros", [False, True])
def test_class_weights_are_those_of_linear_svc(class_weight, with_zeros):
    """Balanced for each class by the pictures that count for it."""
    X, y = problem()
    signs = signs_of(y)
    if with_zeros:
        signs[:30, 1] = 0
    svm = OneVsRestSVM(class_weight=class_weight, tol=1e-9).fit(X, signs)
    for k, column in enumerate(signs.T):
        theirs = LinearSVC(class_weight=class_weight, tol=1e-9, dual=False, max_iter=10**5)
        theirs.fit(X[column != 0], column[column != 0])
        np.testing.assert_allclose(svm.coef_[k], theirs.coef_[0], atol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("C", [0.0, -1.0, np.nan, np.inf, [1.0, 0.0, 1.0]])
def test_C_must_be_a_positive_number(C, solver):
    with pytest.raises(ValueError, match="C"):
        OneVsRestSVM(C=C, solver=solver).fit(*problem())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pictures_of_any_size_have_weights_and_gaps_that_are_numbers(dtype):
    X, y = problem()
    for size in (1e-6, 1.0, 1e3):
        svm = OneVsRestSVM().fit((size * X).astype(dtype), y)
        assert svm.converged_.all() and np.isfinite(svm.coef_).all()


def test_all_newton_steps_are_counted():
    """Also those in float32, where float64 goes on from them."""
    X, y = problem()
    svm = OneVsRestSVM(tol=1e-7).fit(X.astype(np.float32), y)
    assert svm.converged_.all() and (svm.n_iter_ > 3).all()


def test_newton_gives_the_same_bits_each_time():
    X, signs, *_ = benchmark_like(n=100, d=60)
    first, second = (OneVsRestSVM(C=10.0).fit(X, signs) for _ in range(2))
    for name in ("coef_", "intercept_", "gap_", "n_iter_"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_what_one_solver_says_of_itself_is_gone_after_the_other():
    X, y = problem()
    svm = OneVsRestSVM().fit(X, y)
    assert svm.gap_.shape == (3,) and (svm.gap_ <= svm.tol).all()
    svm.set_params(solver="liblinear").fit(X, y)
    assert not hasattr(svm, "gap_")
