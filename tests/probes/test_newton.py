"""The solver of many SVMs against others: its minimum, its gap, its ways, and where digits end."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from sklearn.svm import LinearSVC

from vggfeat.probes.newton import design_matrix, directions, line_search, solver
from vggfeat.probes.newton.design_matrix import DesignMatrix
from vggfeat.probes.newton.dual_bound import DualBound
from vggfeat.probes.newton.minimise import Minimum, minimise

TOL = 1e-5
SHAPES = {"wide": (16, 40), "square": (36, 30), "tall": (80, 5)}  # the last without a Gram matrix


def normal(random, n, d):
    return random.normal(size=(n, d))


def descriptors(random, n, d):
    X = np.abs(normal(random, n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def duplicated(random, n, d):
    return normal(random, n, d)[random.integers(0, n // 4, n)]


def partly_constant(random, n, d):
    X = normal(random, n, d)
    X[:, : d // 2] = 3
    return X


def partly_zero(random, n, d):
    return normal(random, n, d) * (random.random((n, 1)) < 0.6)


def all_zero(random, n, d):
    return np.zeros((n, d))


def collinear(random, n, d):
    return normal(random, n, 1) * normal(random, 1, d)


def nearly_identical(random, n, d):
    return normal(random, 1, d) + 1e-5 * normal(random, n, d)


def whole_numbers(random, n, d):
    return random.integers(-2, 3, size=(n, d)).astype(float)


KINDS = [
    normal, descriptors, duplicated, partly_constant, partly_zero, all_zero, collinear,
    nearly_identical, whole_numbers,
]  # fmt: skip


def problems(kind=normal, shape="square", dtype="float64", seed=0):
    """Pictures [n, d] and the signs [5, n] of problems of every sort."""
    random = np.random.default_rng(seed)
    n, d = SHAPES[shape]
    X = kind(random, n, d).astype(dtype)
    signs = np.stack(
        [
            random.choice([-1, 1], n),
            random.choice([-1, -1, -1, -1, 1], n),
            random.choice([-1, 0, 1], n),  # some left out
            np.where(X @ random.normal(size=d) > 0, 1, -1),  # separable, if the pictures differ
            np.ones(n),  # one class only
        ]
    )
    return X, signs.astype(dtype)


def design_and(X, *arrays):
    return DesignMatrix(torch.from_numpy(X)), *map(torch.from_numpy, arrays)


def minimised(X, signs, costs, *, tol=TOL, max_steps=200, start=None):
    """What `minimise` finds, as arrays."""
    design, *rows = design_and(X, signs, costs)
    minimum = minimise(design, *rows, tol=tol, max_steps=max_steps, start=start)
    return Minimum(*(value.numpy() for value in vars(minimum).values()))


def solved(X, signs, costs, *, tol=TOL):
    design, *rows = design_and(X, signs, costs)
    return solver.solve(design, *rows, tol=tol, max_steps=200)


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))]).astype(float)


def objective(X, y, c, w):
    """P(w), as the module's docstring has it, in float64."""
    slack = np.maximum(0, 1 - y * (with_ones(X) @ w))
    return w @ w / 2 + (c.astype(float) * slack**2).sum()


def least(X, y, c):
    """P at its minimum by plain Newton on the weights in float64, with backtracking."""
    X1, c = with_ones(X), c.astype(float)
    w = np.zeros(X1.shape[1])
    for _ in range(200):
        slack = np.maximum(0, 1 - y * (X1 @ w))
        gradient = w - X1.T @ (2 * c * y * slack)
        before = objective(X, y, c, w)
        if gradient @ gradient / 2 <= 1e-12 * before:
            break
        S = slack > 0
        H = np.eye(len(w)) + X1[S].T @ (2 * c[S, None] * X1[S])
        p, t = -np.linalg.solve(H, gradient), 1.0
        while t > 1e-9 and objective(X, y, c, w + t * p) > before + 1e-4 * t * (gradient @ p):
            t /= 2
        if t <= 1e-9:
            break
        w = w + t * p
    return objective(X, y, c, w)


def check(X, signs, costs, minimum, *, tol=TOL):
    """That the weights are at the minimum, and that what is said of them is true."""
    values = zip(signs, costs, minimum.w, minimum.objective, minimum.gap, strict=True)
    for y, c, w, value, gap in values:
        check_gap(X, y, c, w, value, gap)
        assert gap <= tol * value


def check_gap(X, y, c, w, value, gap):
    assert np.isfinite(w).all() and value == pytest.approx(objective(X, y, c, w), rel=1e-8)
    assert value - least(X, y, c) <= gap + 1e-9 * value


# The minimum


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_minimum_is_reached(kind, shape, dtype):
    X, signs = problems(kind, shape, dtype)
    for C in (0.01, 100.0):
        costs = (C * np.abs(signs)).astype(dtype)
        check(X, signs, costs, minimised(X, signs, costs))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [normal, descriptors, duplicated, partly_zero])
def test_linear_svc_finds_nothing_lower(kind, shape):
    X, signs = problems(kind, shape)
    for C in (0.1, 10.0):
        costs = C * np.abs(signs)
        minimum = minimised(X, signs, costs)
        for k, y in enumerate(signs[:4]):
            svc = LinearSVC(C=C, tol=1e-10, dual=False, max_iter=10**6).fit(X[y != 0], y[y != 0])
            theirs = objective(X, y, costs[k], np.append(svc.coef_, svc.intercept_))
            assert minimum.objective[k] == pytest.approx(theirs, rel=TOL)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_general_minimiser_finds_nothing_lower_with_a_cost_for_each_picture(shape):
    X, signs = problems(shape=shape)
    costs = np.abs(signs) * np.random.default_rng(1).uniform(0, 2, signs.shape)
    minimum = minimised(X, signs, costs, tol=1e-8)
    for k, (y, c) in enumerate(zip(signs, costs, strict=True)):

        def value_and_gradient(w, y=y, c=c):
            slack = np.maximum(0, 1 - y * (with_ones(X) @ w))
            return objective(X, y, c, w), w - with_ones(X).T @ (2 * c * y * slack)

        start = np.zeros(X.shape[1] + 1)
        theirs = minimize(
            value_and_gradient, start, jac=True, method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 10**4, "maxfun": 10**5},
        )  # fmt: skip
        assert minimum.objective[k] == pytest.approx(theirs.fun, rel=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("C", [1e-8, 1e4, 1e6, 1e8])
def test_tiny_and_huge_C(C, shape, dtype):
    X, signs = problems(shape=shape, dtype=dtype)
    costs = (C * np.abs(signs)).astype(dtype)
    check(X, signs, costs, minimised(X, signs, costs))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1e-6, 1e3])
def test_pictures_need_not_be_normalised(size, shape, dtype):
    X, signs = problems(shape=shape, dtype=dtype)
    X = X * np.array(size, dtype)
    check(X, signs, np.abs(signs), minimised(X, signs, np.abs(signs)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_dimensions_may_differ_in_size(shape, dtype):
    X, signs = problems(shape=shape, dtype=dtype)
    X = (X * np.where(np.arange(X.shape[1]) % 2, 1e-6, 1e4)).astype(dtype)
    costs = (0.1 * np.abs(signs)).astype(dtype)
    check(X, signs, costs, minimised(X, signs, costs))


def test_problems_do_not_disturb_each_other():
    """Also not those without any picture, which are solved at 0."""
    X, signs = problems()
    signs[2] = 0
    costs = np.abs(signs) * np.array([[1e-4], [1e4], [1], [1], [1]])
    together = minimised(X, signs, costs)
    assert together.objective[2] == together.gap[2] == 0 and not together.w[2].any()
    for k in range(len(signs)):
        alone = minimised(X, signs[k : k + 1], costs[k : k + 1])
        assert together.objective[k] == pytest.approx(alone.objective[0], rel=TOL)


def test_two_runs_give_the_same_bits():
    X, signs = problems(dtype="float32")
    costs = 100 * np.abs(signs)
    first, second = (minimised(X, signs, costs) for _ in range(2))
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(second, name))


# Where it starts


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [1e-4, 0.1, 1e4])
def test_it_may_start_from_another_C(factor, shape, dtype):
    X, signs = problems(shape=shape, dtype=dtype)
    costs = np.abs(signs)
    start = solved(X, signs, (factor * costs).astype(dtype)).a
    check(X, signs, costs, minimised(X, signs, costs, start=start))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_may_start_from_another_fold_or_class(shape, dtype):
    X, signs = problems(shape=shape, dtype=dtype)
    fold = signs * (np.arange(len(X)) % 3 > 0).astype(dtype)
    of_fold = solved(X, fold, np.abs(fold)).a
    for start in (of_fold, of_fold.flip(0)):
        check(X, signs, np.abs(signs), minimised(X, signs, np.abs(signs), start=start))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_bad_start_does_not_stand_in_the_way(shape):
    """It is worth less than none: P there is larger than at 0."""
    X, signs = problems(shape=shape, dtype="float32")
    start = torch.from_numpy(1e9 * np.random.default_rng(1).normal(size=signs.shape)).float()
    check(X, signs, np.abs(signs), minimised(X, signs, np.abs(signs), start=start))


def test_a_start_is_left_as_it_was():
    X, signs = problems()
    start = torch.ones(signs.shape, dtype=torch.float64)
    minimised(X, signs, np.abs(signs), start=start)
    assert (start == 1).all()


def test_from_the_solution_there_is_nothing_left_to_do():
    X, signs = problems()
    start = solved(X, signs, np.abs(signs), tol=1e-8).a
    assert not minimised(X, signs, np.abs(signs), tol=1e-6, start=start).steps.any()


# Which way it goes


@pytest.mark.parametrize("values", [1, 80])
def test_blocks_of_problems_are_solved_like_all_together(values, monkeypatch):
    X, signs = problems()
    together = minimised(X, signs, np.abs(signs))
    monkeypatch.setattr(solver, "BLOCK_VALUES", values)
    of_blocks = minimised(X, signs, np.abs(signs), start=torch.zeros(signs.shape).double())
    check(X, signs, np.abs(signs), of_blocks)
    np.testing.assert_allclose(of_blocks.objective, together.objective, rtol=TOL)


def never(*args, **options):
    raise AssertionError("this way was closed")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_by_conjugate_gradients_wherever_they_converge(shape, dtype, monkeypatch):
    monkeypatch.setattr(design_matrix, "FACTORISING_SPEED", 1e-6)
    X, signs = problems(shape=shape, dtype=dtype)
    check(X, signs, np.abs(signs), minimised(X, signs, np.abs(signs)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_by_factorising_alone(shape, dtype, monkeypatch):
    monkeypatch.setattr(directions, "MIN_BUDGET", np.inf)
    monkeypatch.setattr(directions, "by_conjugate_gradients", never)
    X, signs = problems(shape=shape, dtype=dtype)
    check(X, signs, np.abs(signs), minimised(X, signs, np.abs(signs)))


def test_a_problem_that_leads_nowhere_takes_no_others_along():
    """Where rounding makes the slope of a line endless, its objective once became negative."""
    X, signs = problems(nearly_identical, "square", "float32", seed=1)
    costs = (1e3 * np.abs(signs)).astype("float32")
    minimum = minimised(X, signs, costs)
    check(X, signs, costs, minimum)
    assert minimum.steps.max() < 100


def test_what_has_weight_stays_active_where_slack_is_next_to_nothing():
    """By slack alone one step would drop many of the active pictures and the next win few back."""
    random = np.random.default_rng(0)
    X = descriptors(random, 300, 500).astype("float32")
    signs = np.where(random.random((8, 300)) < 0.3, 1, -1).astype("float32")
    design, y = design_and(X, signs)
    start = solver.solve(design, y, 100 * y.abs(), tol=1e-4, max_steps=100).a
    solution = solver.solve(design, y, 1e4 * y.abs(), tol=1e-4, max_steps=100, start=start)
    assert solution.steps.max() <= 6  # by slack alone it takes 20 to 30


def lines():
    """Twenty lines, downhill at 0, and P along each: t -> its value."""
    random = np.random.default_rng(0)
    c, margin, change = random.uniform(0, 3, (3, 20, 30))
    change = change - 1.5
    pp = random.uniform(1, 5, 20) * np.logspace(-3, 3, 20)
    downhill = random.uniform(1, 100, 20)
    ap = 2 * (c * margin * change).sum(axis=1) - downhill

    def along(t, k):
        slack = np.maximum(0, margin[k] - t * change[k])
        return t * ap[k] + t * t * pp[k] / 2 + (c[k] * slack**2).sum()

    return [torch.from_numpy(each) for each in (c, margin, change, ap, pp)], along


def test_the_step_is_where_the_objective_is_least_along_a_line():
    parts, along = lines()
    t = line_search.best_step(*parts).tolist()
    for k in range(20):
        best = minimize_scalar(along, args=(k,), bounds=(0, 1e4), options={"xatol": 1e-10})
        assert along(0, k) - along(t[k], k) >= 0.99 * (along(0, k) - best.fun)


def test_the_step_of_a_problem_does_not_wait_for_others():
    """It is no longer changed where it was found."""
    parts, _ = lines()
    t = line_search.best_step(*parts)
    alone = [line_search.best_step(*(each[k : k + 1] for each in parts)) for k in range(20)]
    assert torch.equal(t, torch.cat(alone))


def test_a_problem_takes_as_many_steps_among_others_as_alone():
    X, signs = problems(shape="wide")
    costs = 1e4 * np.abs(signs)
    together = minimised(X, signs, costs)
    alone = [minimised(X, signs[k : k + 1], costs[k : k + 1]).steps[0] for k in range(5)]
    np.testing.assert_allclose(together.steps, alone, atol=5)


# What it says of itself


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("max_steps", [0, 1, 2, 4])
def test_the_gap_is_true_wherever_it_stops(max_steps, shape, dtype):
    X, signs = problems(shape=shape, dtype=dtype)
    costs = 10 * np.abs(signs)
    minimum = minimised(X, signs, costs, max_steps=max_steps)
    for k in range(len(signs)):
        check_gap(X, signs[k], costs[k], minimum.w[k], minimum.objective[k], minimum.gap[k])


@pytest.mark.parametrize("kind", [normal, nearly_identical])
def test_no_more_steps_than_allowed_are_taken_and_all_are_counted(kind, monkeypatch):
    """In both types together: where float32 does not suffice, float64 goes on."""
    X, signs = problems(kind, "tall", "float32")
    taken = []
    best_step = line_search.best_step

    def counted(c, *rest):
        taken.append(len(c))
        return best_step(c, *rest)

    monkeypatch.setattr(solver, "best_step", counted)
    for max_steps in (3, 100):
        taken.clear()
        minimum = minimised(X, signs, 1e3 * np.abs(signs), tol=1e-7, max_steps=max_steps)
        assert minimum.steps.max() <= max_steps
        assert minimum.steps.sum() == sum(taken)


@pytest.mark.parametrize("shape", ["square", "tall"])
@pytest.mark.parametrize("kind", KINDS)
def test_where_float32_does_not_suffice_float64_goes_on(kind, shape):
    X, signs = problems(kind, shape, "float32")
    costs = np.abs(signs)
    design, *rows = design_and(X, signs, costs)
    minimum = minimise(design, *rows, tol=1e-9, max_steps=200)
    assert "in_float64" in vars(design)
    check(X, signs, costs, Minimum(*(v.numpy() for v in vars(minimum).values())), tol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tolerance_beyond_all_digits_ends_without_nan(kind, shape):
    for dtype in ("float32", "float64"):
        X, signs = problems(kind, shape, dtype)
        minimum = minimised(X, signs, np.abs(signs), tol=0)
        for k in range(len(signs)):
            value, gap = minimum.objective[k], minimum.gap[k]
            check_gap(X, signs[k], np.abs(signs[k]), minimum.w[k], value, gap)
            assert gap <= 1e-9 * value


@pytest.mark.parametrize("shape", ["square", "tall"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_scores_of_a_solution_are_those_of_its_combination_of_pictures(kind, shape):
    """Though every step only adds to them, and with them objective and gap are true."""
    X, signs = problems(kind, shape)
    costs = 1e4 * np.abs(signs)
    solution = solved(X, signs, costs, tol=1e-6)
    a, f = solution.a.numpy(), solution.f.numpy()
    np.testing.assert_allclose(f, a @ with_ones(X) @ with_ones(X).T, rtol=1e-6, atol=1e-8)
    for k, y in enumerate(signs):
        value = objective(X, y, costs[k], a[k] @ with_ones(X))
        assert solution.objective[k].item() == pytest.approx(value, rel=1e-6)


def test_the_dual_bound_is_below_the_dual_objective_which_is_below_the_minimum():
    X, signs = problems()
    design, y = design_and(X, signs)
    c = y.abs() * 0.7
    for noise in (0.0, 1e-3, 1.0):  # the best a, and such as the dual problem does not allow
        a = solver.solve(design, y, c, tol=1e-12, max_steps=100).a
        a = a + noise * torch.from_numpy(np.random.default_rng(0).normal(size=a.shape))
        f = design.times(a)
        bound = DualBound()
        bound.add(design, y, c, a, f)
        value = bound.value((a * f).sum(dim=1))
        allowed = torch.where((y * a < 0) | (c == 0), 0, a)
        dual = (y * allowed).sum(dim=1) - (allowed * design.times(allowed)).sum(dim=1) / 2
        dual -= (allowed**2 / (4 * c).masked_fill(c == 0, 1)).sum(dim=1)
        lowest = np.array([least(X, *row) for row in zip(signs, c.numpy(), strict=True)])
        assert (value <= dual + 1e-9).all() and (dual.numpy() <= lowest + 1e-9).all()
        if not noise:
            np.testing.assert_allclose(value, lowest, rtol=1e-6)


# The design matrix


@pytest.mark.parametrize("shape, kept", [("wide", True), ("square", True), ("tall", False)])
def test_products_are_those_with_a_one_at_the_end_of_each_picture(shape, kept):
    X, signs = problems(shape=shape)
    design, a = design_and(X, signs)
    X1 = with_ones(X)
    assert (design.gram is not None) == kept
    np.testing.assert_allclose(design.weights(a), signs @ X1)
    np.testing.assert_allclose(design.times(a), signs @ X1 @ X1.T, atol=1e-9)
    rows = torch.tensor([3, 0, 5])
    np.testing.assert_allclose(design.gram_among(rows), X1[rows] @ X1[rows].T, atol=1e-12)
    np.testing.assert_allclose(design.squared_norms, (X1**2).sum(axis=1))
    curvature = np.arange(len(X)) % 4.0
    np.testing.assert_allclose(
        design.hessian(torch.from_numpy(curvature)),
        np.eye(X1.shape[1]) + X1.T @ (curvature[:, None] * X1),
        atol=1e-9,
    )


def test_what_is_worked_on_does_not_change_the_gram_matrix():
    """`among` is a copy, to which a diagonal may be added."""
    X, signs = problems()
    design, *rows = design_and(X, signs, 1e3 * np.abs(signs))
    before = design.gram.clone()
    solver.solve(design, *rows, tol=TOL, max_steps=100)
    assert torch.equal(design.gram, before)


def test_what_float32_claims_is_true_of_its_weights_also_far_from_the_start():
    """The first steps at a large C are large; what rounding leaves of them must not stay."""
    random = np.random.default_rng(0)
    X = np.maximum(random.normal(size=(400, 600)) - 0.3, 0).astype("float32")
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    signs = np.where(random.random((4, 400)) < 0.3, 1, -1).astype("float32")
    design, y = design_and(X, signs)
    solution = solver.solve(design, y, 100 * y.abs(), tol=1e-4, max_steps=200)
    a = solution.a.double().numpy()
    w = np.concatenate([a @ X, a.sum(axis=1, keepdims=True)], axis=1)
    f = w[:, :-1] @ X.T + w[:, -1:]
    loss = 100 * (np.maximum(0, 1 - signs * f) ** 2).sum(axis=1)
    np.testing.assert_allclose(solution.objective, (w**2).sum(axis=1) / 2 + loss, rtol=1e-5)
