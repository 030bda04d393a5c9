"""Newton's directions, by both ways, and what leads gradients, against dense matrices."""

import gc
import weakref

import numpy as np
import pytest
import torch

from vggfeat.probes.newton import design_matrix, directions
from vggfeat.probes.newton.design_matrix import Pictures

SHAPES = {"wide": (40, 60), "square": (60, 60), "tall": (90, 6)}  # the last without a Gram matrix
COSTS = (0.05, 3.0, 2000.0)


def case(shape, *, density=0.5, seed=0, num_problems=5):
    """Pictures of few strong directions, their Gram matrix with the 1, r [P, n] and active ones."""
    random = np.random.default_rng(seed)
    n, d = SHAPES[shape]
    X = np.maximum(random.normal(size=(n, d)) * np.geomspace(3, 0.1, d), 0)
    X1 = np.column_stack([X, np.ones(n)])
    r, chance = random.normal(size=(num_problems, n)), random.random((num_problems, n))
    return Pictures(torch.from_numpy(X)), X1 @ X1.T, torch.from_numpy(r), chance < density


def newtons(G, curvature, r):
    """p from (I + 2c G) p = -r, which is q - r and has q = 0 outside of S."""
    return np.linalg.solve(np.eye(len(G)) + curvature[:, None] * G, -r)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.03, 1])  # fewer and more active pictures than dimensions
def test_both_ways_lead_in_newtons_direction(shape, density, cost):
    pictures, G, r, active = case(shape, density=density)
    curvature = torch.from_numpy(2 * cost * active)
    p, Gp = directions.by_factorising(pictures, curvature, r)
    q, Gq, found = directions.by_gradients(
        pictures, curvature, r, gap=torch.full((5,), 1e-18), budget=torch.full((5,), 1e4)
    )
    assert found.all()
    for k in range(5):
        expected = newtons(G, curvature[k].numpy(), r[k].numpy())
        like = {"rtol": 1e-5, "atol": 1e-6 * np.abs(G @ expected).max()}
        np.testing.assert_allclose(p[k], expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
        np.testing.assert_allclose(Gp[k], G @ expected, **like)
        np.testing.assert_allclose(Gq[k], G @ expected, **like)
        np.testing.assert_allclose(G @ q[k].numpy(), Gq[k], **like)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_stop_within_their_part_of_the_way(shape):
    """Of what the model, which is P on S, still gains from there."""
    pictures, G, r, active = case(shape)
    curvature = torch.from_numpy(2 * 3.0 * active)
    open_ended, budget = torch.full((5,), torch.inf), torch.full((5,), 1e4)
    p, _, found = directions.by_gradients(pictures, curvature, r, gap=open_ended, budget=budget)
    assert found.all()
    for k in range(5):
        bend = G + G @ (curvature[k].numpy()[:, None] * G)
        way = newtons(G, curvature[k].numpy(), r[k].numpy())
        missing = way - p[k].numpy()
        assert missing @ bend @ missing <= 2 * directions.ETA**2 * (way @ bend @ way)


def test_gradients_end_with_their_budget_and_say_so():
    pictures, _, r, active = case("square")
    curvature = torch.from_numpy(2 * 3.0 * active)
    budget = torch.tensor([1.0, 1e4, 1e4, 1e4, 1.0])
    _, _, found = directions.by_gradients(
        pictures, curvature, r, gap=torch.full((5,), 1e-18), budget=budget
    )
    assert found.tolist() == [False, True, True, True, False]


def test_those_that_are_near_stay_there_while_others_go_on():
    """What has come to the last digit has nothing left to divide by."""
    pictures, _, r, active = case("wide", num_problems=20)
    r[0] = 0
    curvature = torch.from_numpy(2 * 2000.0 * active)
    p, Gp, found = directions.by_gradients(
        pictures, curvature, r, gap=torch.zeros(20), budget=torch.full((20,), 40.0)
    )
    assert found[0] and not p[0].any() and not Gp[0].any()
    assert p.isfinite().all() and Gp.isfinite().all()


def test_gradients_are_tried_where_they_may_be_and_others_are_factorised(monkeypatch):
    monkeypatch.setattr(directions, "MIN_BUDGET", 0)
    pictures, G, r, active = case("square")
    curvature = torch.from_numpy(2 * 3.0 * active)
    allowed = torch.tensor([True, False, True, False, True])
    assert pictures.leading  # otherwise these few problems would not be worth it
    tried = []
    by_gradients = directions.by_gradients
    monkeypatch.setattr(
        directions, "by_gradients", lambda *a, **b: tried.append(len(a[2])) or by_gradients(*a, **b)
    )
    p, Gp, in_vain = directions.newtons(
        pictures, curvature, r, gap=torch.full((5,), 1e3), gradients=allowed
    )
    assert tried == [3] and not in_vain.any()
    for k in (1, 3):
        expected = newtons(G, curvature[k].numpy(), r[k].numpy())
        np.testing.assert_allclose(p[k], expected, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(Gp[k], G @ expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_leads_them_solves_the_system_that_the_leading_directions_make(shape):
    pictures, G, r, active = case(shape)
    leading = pictures.leading
    Z, rest = leading.Z.numpy(), leading.rest.numpy()
    np.testing.assert_allclose((Z**2).sum(axis=1) + rest, np.diag(G))
    curvature = torch.from_numpy(2 * 3.0 * active)
    weights = leading.weights(curvature)
    solved = leading.solved(leading.inverses(weights), weights, r).numpy()
    near = Z @ Z.T + np.diag(rest)
    for k, S in enumerate(active):
        system = near[np.ix_(S, S)] + np.eye(S.sum()) / 6
        np.testing.assert_allclose(solved[k, S], np.linalg.solve(system, r[k].numpy()[S]))
        assert not solved[k, ~S].any()
        assert leading.squares(r)[k].item() == pytest.approx(r[k].numpy() @ near @ r[k].numpy())


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_products_that_only_lead_are_near_in_bf16_and_exact_elsewhere(precision, monkeypatch):
    monkeypatch.setattr(design_matrix, "resolved_precision", lambda asked, device: precision)
    random = np.random.default_rng(0)
    X = np.maximum(random.normal(size=(300, 200)) - 0.3, 0).astype("float32")
    pictures = Pictures(torch.from_numpy(X / np.linalg.norm(X, axis=1, keepdims=True)))
    a = torch.from_numpy(random.normal(size=(4, 300)).astype("float32"))
    exact, found = pictures.times(a), pictures.nearly_times(a)
    assert (found - exact).norm() <= (5e-3 if precision == "bf16" else 0) * exact.norm()
    assert (pictures.leading.remainder is not None) == (precision == "bf16")
    assert pictures.exact.leading.remainder is None  # what goes on in float64 stays there


def test_pictures_that_are_done_with_give_their_memory_back_at_once():
    """What is found of them does not hold them: no Gram matrix waits for the garbage collector."""
    pictures, *_ = case("square")
    assert pictures.leading.remainder is None
    gone = weakref.ref(pictures)
    gc.disable()
    try:
        del pictures
        assert gone() is None
    finally:
        gc.enable()
