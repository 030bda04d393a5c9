"""Exact Newton steps on small problems, beside LinearSVC and conjugate gradients."""

import numpy as np
import pytest
from helpers.probes import problem, signs_of
from sklearn.svm import LinearSVC

from vggfeat.probes import svm_exact, svm_newton
from vggfeat.probes.grid_search import choose
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.newton import exact_steps, exact_systems
from vggfeat.probes.newton.exact_systems import InExamples, InWeights
from vggfeat.probes.registry import load_probe
from vggfeat.probes.svm import C_GRID
from vggfeat.probes.svm_exact import ExactFits, exact_steps_are_faster
from vggfeat.probes.svm_newton import NewtonFits

SHAPES = {"more dimensions": (40, 70), "more examples": (90, 20)}
BY_SHAPE = pytest.mark.parametrize("shape", SHAPES)


def never(*args, **options):
    raise AssertionError("exact steps have to do")


def exact(X, signs, *, tol=1e-10, otherwise=never, **options):
    return ExactFits(X, signs, tol=tol, max_iter=200, otherwise=otherwise, **options)


def several_labels(shape):
    """X [n, d] and signs [n, 4] with zeros, classes that are rare and examples that occur twice."""
    random = np.random.default_rng(0)
    n, d = SHAPES[shape]
    X = random.normal(size=(n, d))
    X[: n // 4] = X[n // 4 : 2 * (n // 4)]
    signs = np.where(random.random((n, 4)) < (0.5, 0.3, 0.1, 0.4), 1, -1)
    signs[:2, 2] = 1, -1
    signs[random.random((n, 4)) < (0, 0.3, 0, 0.5)] = 0
    return X, signs


def by_linear_svc(X, signs, C, class_weight=None):
    """Weights with the intercept [d + 1] of one class, at a tolerance that leaves nothing."""
    kept = signs != 0
    svc = LinearSVC(
        C=C, tol=1e-10, dual=False, max_iter=10**6, class_weight=class_weight
    ).fit(X[kept], signs[kept])  # fmt: skip
    return np.append(svc.coef_[0], svc.intercept_[0])


def weights_of(classifier):
    return np.column_stack([classifier.coef, classifier.intercept])


@BY_SHAPE
@pytest.mark.parametrize("class_weight", [None, {1: 3.0, -1: 0.5}, "balanced"])
def test_several_labels_with_zeros_and_a_C_for_each_class_equal_linear_svc(shape, class_weight):
    X, signs = several_labels(shape)
    C = [0.01, 1.0, 10.0, 100.0]
    fitted = exact(X, signs, class_weight=class_weight).fit(C)
    assert fitted.converged.all() and (fitted.gap <= 1e-10).all()
    for k in range(4):
        theirs = by_linear_svc(X, signs[:, k], C[k], class_weight)
        np.testing.assert_allclose(weights_of(fitted)[k], theirs, rtol=1e-4, atol=1e-5)


@BY_SHAPE
def test_separable_examples_at_a_large_C_equal_linear_svc(shape):
    X = several_labels(shape)[0][:24]
    side = X @ np.random.default_rng(1).normal(size=X.shape[1])
    signs = np.where(side > 0, 1, -1)[:, None]
    fitted = exact(X, signs).fit(1e4)
    theirs = by_linear_svc(X, signs[:, 0], 1e4)
    np.testing.assert_allclose(weights_of(fitted)[0], theirs, rtol=1e-3, atol=1e-4)
    assert (signs[:, 0] * fitted.decisions(X)[:, 0] > 0.99).all()


@BY_SHAPE
def test_both_forms_of_the_systems_and_conjugate_gradients_reach_one_minimum(shape):
    X, signs = several_labels(shape)
    X1 = np.column_stack([X, np.ones(len(X))])
    y, weights = signs.T.astype(float), (signs.T != 0).astype(float)
    theirs = NewtonFits(X, signs, tol=1e-12, max_iter=200).fit(3.0)
    for form in (InExamples, InWeights):
        systems = form(X1)
        solution = exact_steps.solve_exactly(
            systems, y, weights, np.full(4, 3.0), tol=1e-12, max_steps=200
        )
        w = systems.weights(solution.unknowns)
        np.testing.assert_allclose(w, weights_of(theirs), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(solution.scores, w @ X1.T, atol=1e-9)


@BY_SHAPE
def test_the_choice_of_C_scores_what_conjugate_gradients_score_and_its_start_changes_nothing(
    shape, monkeypatch
):
    """Each C starts from the one before, and the refit from the best; so do folds from others."""
    X, signs = several_labels(shape)
    folds = [np.arange(len(X))[i::3] for i in range(3)]
    for module in (svm_exact, svm_newton):  # how exact they are that only serve to choose C
        monkeypatch.setattr(module, "SELECTION_TOL", 1e-9)
    seen, fits = {}, {"exact": exact(X, signs)}
    fits["gradients"] = NewtonFits(X, signs, tol=1e-10, max_iter=200)
    for name, each in fits.items():
        seen[name] = []
        keep = seen[name].append
        choose(each, folds, grid=C_GRID, score=lambda s, rows, keep=keep: keep(s) or 0.0)
    for ours, theirs in zip(*seen.values(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    started = weights_of(fits["exact"].fit(1.0))
    np.testing.assert_allclose(started, weights_of(exact(X, signs).fit(1.0)), atol=1e-3)


@BY_SHAPE
def test_a_class_without_negatives_in_a_fold_leaves_the_others_as_they_are(shape):
    X, signs = several_labels(shape)
    alone = exact(X, signs).decisions(signs[:, :2], 1.0)
    signs[:, 2:] = 1, 0
    together = exact(X, signs).decisions(signs, 1.0)
    np.testing.assert_allclose(together[:, :2], alone, atol=1e-3)
    assert np.isfinite(together).all()


@pytest.mark.parametrize("form", [InExamples, InWeights])
def test_problems_that_differ_by_the_weights_of_examples_alone_have_systems_of_their_own(form):
    """Class weights of 1 and less, at the first step, when every example is active in each."""
    random = np.random.default_rng(0)
    X = np.column_stack([random.normal(size=(20, 19)), np.ones(20)])
    signs = random.choice([-1.0, 1.0], (3, 20))
    weights, C = np.where(signs > 0, 1, 0.25), np.full(3, 2.0)
    systems = form(X)
    v = systems.newton(np.arange(3), np.ones((3, 20), bool), signs, weights, C)
    for w, y, c in zip(systems.weights(v), signs, C[:, None] * weights, strict=True):
        right = np.linalg.solve(np.eye(20) + (X.T * 2 * c) @ X, X.T @ (2 * c * y))
        np.testing.assert_allclose(w, right, atol=1e-10)


def test_no_more_products_are_kept_than_memory_is_meant_for(monkeypatch):
    X, signs = several_labels("more examples")
    plenty = exact(X, signs).fit(1.0)
    monkeypatch.setattr(exact_systems, "MAX_KEPT", 2 * 21**2)
    fits = exact(X, signs)
    np.testing.assert_allclose(weights_of(fits.fit(1.0)), weights_of(plenty), atol=1e-6)
    assert len(fits.systems.products) == 2


@pytest.mark.parametrize("form", [InExamples, InWeights])
def test_a_step_that_leads_too_far_is_shortened_to_where_the_objective_is_least(form, monkeypatch):
    """Where nearly as many dimensions as examples tell random signs apart, at a large C."""
    random = np.random.default_rng(0)
    X = np.abs(random.normal(size=(40, 42)))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    signs = random.choice([-1, 1], (40, 4))
    shortened, best_steps = [], exact_steps.best_steps

    def watched(*parts):
        shortened.append(best_steps(*parts))
        return shortened[-1]

    monkeypatch.setattr(exact_steps, "best_steps", watched)
    systems = form(np.column_stack([X, np.ones(40)]))
    problems = signs.T.astype(float), np.ones((4, 40)), np.full(4, 1e3)
    solution = exact_steps.solve_exactly(systems, *problems, tol=1e-9, max_steps=200)
    assert shortened and all(((0 <= t) & (t < 1)).all() for t in shortened)
    theirs = NewtonFits(X, signs, tol=1e-10, max_iter=200).fit(1e3)
    np.testing.assert_allclose(systems.weights(solution.unknowns), weights_of(theirs), atol=1e-2)


def test_the_step_is_where_the_objective_is_least_on_the_way():
    random = np.random.default_rng(0)
    for _ in range(20):
        c, margin, change = random.uniform(0, 3, (3, 30)) - [[0], [1], [2]]
        pp = random.uniform(1, 50)
        downhill = random.uniform(0.01, 0.4) * pp
        wp = 2 * (c * np.maximum(margin, 0) * change).sum() - downhill

        def along(t, c=c, margin=margin, change=change, wp=wp, pp=pp):
            return t * wp + t * t * pp / 2 + (c * np.maximum(0, margin - t * change) ** 2).sum()

        if along(1) < along(0):
            continue  # then the whole step is taken
        parts = (np.array([each]) for each in (c, margin, change, wp, pp))
        (t,) = exact_steps.best_steps(*parts)
        least = min(along(t) for t in np.linspace(0, 1, 10_001))
        assert along(0) - along(t) >= 0.99 * (along(0) - least)


def test_where_the_digits_end_conjugate_gradients_go_on():
    """Of examples that are nearly the same the Gram matrix knows too little at C = 1e8."""
    random = np.random.default_rng(0)
    X = random.normal(size=(1, 40)) + 1e-5 * random.normal(size=(16, 40))
    signs = random.choice([-1, 1], (16, 3))
    handed_on = []

    def otherwise(X, signs, **options):
        handed_on.append(signs.shape[1])
        return NewtonFits(X, signs, **options)

    fitted = exact(X, signs, tol=1e-5, otherwise=otherwise).fit(1e8)
    assert handed_on and fitted.converged.all() and (fitted.gap <= 1e-5).all()


def test_no_more_steps_than_allowed_and_what_is_not_solved_says_so():
    X, signs = several_labels("more examples")
    fits = ExactFits(X, signs, tol=1e-10, max_iter=1, otherwise=never)
    fitted = fits.fit(1e4)
    assert (fitted.num_iterations == 1).all() and not fitted.converged.any()
    assert (fitted.gap > 1e-10).all()


@BY_SHAPE
def test_blocks_of_problems_on_several_threads_are_fitted_like_all_together(shape, monkeypatch):
    X, signs = several_labels(shape)
    together = weights_of(exact(X, signs).fit(1.0))
    monkeypatch.setattr(svm_exact, "BLOCK_VALUES", 2 * len(X))
    monkeypatch.setattr(svm_exact, "OPERATIONS_FOR_THREADS", 0)
    monkeypatch.setattr(svm_exact.torch, "get_num_threads", lambda: 3)
    np.testing.assert_allclose(weights_of(exact(X, signs).fit(1.0)), together, atol=1e-9)


def test_two_fits_give_the_same_bits():
    X, y = problem(n=60, d=80)
    first, second = (weights_of(exact(X, signs_of(y)).fit(10.0)) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "n, d, K, kind",
    [
        (50, 16, 5, ExactFits),
        (1797, 64, 10, ExactFits),
        (102, 4096, 102, ExactFits),
        (1000, 1000, 10, NewtonFits),
        (3000, 128, 50_000, NewtonFits),  # whose products would fill the memory
    ],
)
def test_the_probe_takes_what_is_faster_by_the_stated_costs(n, d, K, kind):
    assert exact_steps_are_faster(n, d, K) == (kind is ExactFits)
    if n * K < 10**5:
        signs = np.where(np.arange(n)[:, None] % K == np.arange(K), 1, -1)
        assert type(load_probe("svm").fits(np.ones((n, d), np.float32), signs)) is kind


def test_a_class_that_no_example_trains_is_fitted_without_a_warning():
    """Its objective is 0, and so is its gap."""
    X, labels = problem(30, 4)
    signs = signs_of(labels)
    signs[:, 0] = 0
    fitted = ExactFits(X, signs, tol=1e-5, max_iter=200, otherwise=NewtonFits).fit(1.0)
    assert not fitted.coef[0].any()
    assert fitted.gap[0] == 0
    assert fitted.converged.all()


class Uphill:
    """Fits whose weights are worse than none."""

    def __init__(self, X, signs, **options):
        self.shape = signs.shape[1], X.shape[1]

    def fit(self, value):
        num_classes = self.shape[0]
        return LinearClassifier(
            coef=np.full(self.shape, 1e9), intercept=np.zeros(num_classes),
            num_iterations=np.zeros(num_classes, int), converged=np.zeros(num_classes, bool),
            gap=np.ones(num_classes),
        )  # fmt: skip


@BY_SHAPE
def test_what_goes_on_where_digits_end_never_makes_it_worse(shape):
    X, signs = several_labels(shape)
    right = weights_of(exact(X, signs).fit(1.0))
    fitted = exact(X, signs, tol=0, otherwise=Uphill).fit(1.0)  # more than there are digits
    np.testing.assert_allclose(weights_of(fitted), right, rtol=1e-6, atol=1e-8)
    assert fitted.gap.max() < 1e-10
