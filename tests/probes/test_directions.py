"""Newton's directions, by both ways, and their preconditioner, against dense matrices."""

import gc
import weakref

import numpy as np
import pytest
import torch

from vggfeat.probes.newton import conjugate_gradients, directions, preconditioner
from vggfeat.probes.newton.design_matrix import DesignMatrix

SHAPES = {"wide": (40, 60), "square": (60, 60), "tall": (90, 6)}  # the last without a Gram matrix
COSTS = (0.05, 3.0, 2000.0)


def case(shape, *, density=0.5, seed=0, num_problems=5):
    """Examples of few strong directions, their Gram matrix with the 1, r [P, n] and active ones."""
    random = np.random.default_rng(seed)
    n, d = SHAPES[shape]
    X = np.maximum(random.normal(size=(n, d)) * np.geomspace(3, 0.1, d), 0)
    X1 = np.column_stack([X, np.ones(n)])
    r, chance = random.normal(size=(num_problems, n)), random.random((num_problems, n))
    return DesignMatrix(torch.from_numpy(X)), X1 @ X1.T, torch.from_numpy(r), chance < density


def newtons(G, curvature, r):
    """p from (I + 2c G) p = -r, which is q - r and has q = 0 outside of S."""
    return np.linalg.solve(np.eye(len(G)) + curvature[:, None] * G, -r)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.03, 1])  # fewer and more active examples than dimensions
def test_both_ways_lead_in_newtons_direction(shape, density, cost):
    design, G, r, active = case(shape, density=density)
    curvature = torch.from_numpy(2 * cost * active)
    p, Gp = directions.by_factorising(design, curvature, r)
    q, Gq, converged = directions.by_conjugate_gradients(
        design, curvature, r, gap=torch.full((5,), 1e-18), budget=torch.full((5,), 1e4)
    )
    assert converged.all()
    for k in range(5):
        expected = newtons(G, curvature[k].numpy(), r[k].numpy())
        like = {"rtol": 1e-5, "atol": 1e-6 * np.abs(G @ expected).max()}
        np.testing.assert_allclose(p[k], expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
        np.testing.assert_allclose(Gp[k], G @ expected, **like)
        np.testing.assert_allclose(Gq[k], G @ expected, **like)
        np.testing.assert_allclose(G @ q[k].numpy(), Gq[k], **like)


@pytest.mark.parametrize("shape", SHAPES)
def test_conjugate_gradients_stop_within_their_part_of_the_way(shape):
    """Of what the model, which is P on S, still gains from there."""
    design, G, r, active = case(shape)
    curvature = torch.from_numpy(2 * 3.0 * active)
    open_ended, budget = torch.full((5,), torch.inf), torch.full((5,), 1e4)
    p, _, converged = directions.by_conjugate_gradients(
        design, curvature, r, gap=open_ended, budget=budget
    )
    assert converged.all()
    for k in range(5):
        bend = G + G @ (curvature[k].numpy()[:, None] * G)
        way = newtons(G, curvature[k].numpy(), r[k].numpy())
        missing = way - p[k].numpy()
        assert missing @ bend @ missing <= 2 * conjugate_gradients.ETA**2 * (way @ bend @ way)


def test_conjugate_gradients_end_with_their_budget_and_say_so():
    design, _, r, active = case("square")
    curvature = torch.from_numpy(2 * 3.0 * active)
    budget = torch.tensor([1.0, 1e4, 1e4, 1e4, 1.0])
    _, _, converged = directions.by_conjugate_gradients(
        design, curvature, r, gap=torch.full((5,), 1e-18), budget=budget
    )
    assert converged.tolist() == [False, True, True, True, False]


def test_problems_that_converged_stay_there_while_others_go_on():
    """What has come to the last digit has nothing left to divide by."""
    design, _, r, active = case("wide", num_problems=20)
    r[0] = 0
    curvature = torch.from_numpy(2 * 2000.0 * active)
    p, Gp, converged = directions.by_conjugate_gradients(
        design, curvature, r, gap=torch.zeros(20), budget=torch.full((20,), 40.0)
    )
    assert converged[0] and not p[0].any() and not Gp[0].any()
    assert p.isfinite().all() and Gp.isfinite().all()


def test_conjugate_gradients_are_tried_where_allowed_and_other_problems_are_factorised(monkeypatch):
    monkeypatch.setattr(directions, "MIN_BUDGET", 0)
    design, G, r, active = case("square")
    curvature = torch.from_numpy(2 * 3.0 * active)
    allowed = torch.tensor([True, False, True, False, True])
    assert design.preconditioner  # otherwise these few problems would not be worth it
    tried = []
    by_conjugate_gradients = directions.by_conjugate_gradients
    monkeypatch.setattr(
        directions,
        "by_conjugate_gradients",
        lambda *a, **b: tried.append(len(a[2])) or by_conjugate_gradients(*a, **b),
    )
    p, Gp, failed = directions.newton_directions(
        design, curvature, r, gap=torch.full((5,), 1e3), allow_gradients=allowed
    )
    assert tried == [3] and not failed.any()
    for k in (1, 3):
        expected = newtons(G, curvature[k].numpy(), r[k].numpy())
        np.testing.assert_allclose(p[k], expected, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(Gp[k], G @ expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_preconditioner_solves_the_system_of_its_low_rank_approximation(shape):
    design, G, r, active = case(shape)
    low_rank = design.preconditioner
    Z, residual = low_rank.Z.numpy(), low_rank.residual.numpy()
    np.testing.assert_allclose((Z**2).sum(axis=1) + residual, np.diag(G))
    curvature = torch.from_numpy(2 * 3.0 * active)
    inverse_diagonal = low_rank.inverse_diagonal(curvature)
    solved = low_rank.solve(low_rank.inverses(inverse_diagonal), inverse_diagonal, r).numpy()
    approximation = Z @ Z.T + np.diag(residual)
    for k, S in enumerate(active):
        system = approximation[np.ix_(S, S)] + np.eye(S.sum()) / 6
        np.testing.assert_allclose(solved[k, S], np.linalg.solve(system, r[k].numpy()[S]))
        assert not solved[k, ~S].any()
        assert low_rank.quadratic_form(r)[k].item() == pytest.approx(
            r[k].numpy() @ approximation @ r[k].numpy()
        )


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_approximate_products_are_close_in_bf16_and_exact_elsewhere(precision, monkeypatch):
    monkeypatch.setattr(preconditioner, "resolved_precision", lambda asked, device: precision)
    random = np.random.default_rng(0)
    X = np.maximum(random.normal(size=(300, 200)) - 0.3, 0).astype("float32")
    design = DesignMatrix(torch.from_numpy(X / np.linalg.norm(X, axis=1, keepdims=True)))
    a = torch.from_numpy(random.normal(size=(4, 300)).astype("float32"))
    exact, approximate = design.times(a), design.times_approximately(a)
    assert (approximate - exact).norm() <= (5e-3 if precision == "bf16" else 0) * exact.norm()
    assert (design.preconditioner.remainder is not None) == (precision == "bf16")
    assert design.in_float64.preconditioner.remainder is None  # what goes on in float64 stays there


def test_a_design_matrix_that_is_done_with_gives_its_memory_back_at_once():
    """The preconditioner does not refer to it: no Gram matrix waits for the garbage collector."""
    design, *_ = case("square")
    assert design.preconditioner.remainder is None
    gone = weakref.ref(design)
    gc.disable()
    try:
        del design
        assert gone() is None
    finally:
        gc.enable()
