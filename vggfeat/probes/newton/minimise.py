"""The weights of many linear SVMs, with a duality gap that holds in float64.

Shapes: P problems, n examples, d dimensions with the 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vggfeat.probes.newton.batched import dot
from vggfeat.probes.newton.design_matrix import DesignMatrix
from vggfeat.probes.newton.dual_bound import DualBound
from vggfeat.probes.newton.solver import Solution, solve, solve_block

MAX_REFINEMENTS = 3  # times that a gap which turned out larger is worked on again
FOR_ROUNDING = 0.9  # the share of tol that a gap in the matrix's type may be, to hold in float64
ROWS_AT_ONCE = 1024  # examples in float64


@dataclass
class Minimum:
    """Weights w [P, d], P(w), its gap and the Newton steps taken [P], computed in float64."""

    w: Tensor
    objective: Tensor
    gap: Tensor
    steps: Tensor


def minimise(
    design: DesignMatrix,
    signs: Tensor,
    costs: Tensor,
    *,
    tol: float,
    max_steps: int,
    start: Tensor | None = None,
) -> Minimum:
    """The weights that `solve` finds, with the same arguments.

    The gap is that of the weights themselves, and float64 goes on, from scores computed anew, where
    rounding left too much.
    """
    solution = solve(design, signs, costs, tol=FOR_ROUNDING * tol, max_steps=max_steps, start=start)
    minimum = _measure(design, signs, costs, solution)
    for _ in range(MAX_REFINEMENTS):
        is_unsolved = ~(minimum.gap <= tol * minimum.objective) & (minimum.steps < max_steps)
        unsolved = is_unsolved.nonzero()[:, 0]
        if not len(unsolved):
            break
        steps_left = max_steps - int(minimum.steps[unsolved].max())
        in_float64 = [each[unsolved].double() for each in (signs, costs, solution.a)]
        refined = solve_block(design.in_float64, *in_float64, FOR_ROUNDING * tol, steps_left)
        refined.steps += solution.steps[unsolved]
        solution[unsolved] = refined
        better = _measure(design.in_float64, *in_float64[:2], refined)
        for name, values in vars(minimum).items():
            values[unsolved] = getattr(better, name)
    return minimum


def _measure(design: DesignMatrix, signs: Tensor, costs: Tensor, solution: Solution) -> Minimum:
    a = solution.a
    blocks = [slice(i, i + ROWS_AT_ONCE) for i in range(0, design.n, ROWS_AT_ONCE)]
    w = sum(design.rows_in_float64(rows).weights(a[:, rows].double()) for rows in blocks)
    at_b, loss, bound = torch.zeros_like(w), 0, DualBound()
    for rows in blocks:
        X, y, c = design.rows_in_float64(rows), signs[:, rows].double(), costs[:, rows].double()
        f = X.scores(w)
        slack = (1 - y * f).clamp(min=0)
        loss += dot(c * slack, slack)
        at_b += X.weights(2 * c * y * slack)
        bound.add(X, y, c, a[:, rows].double(), f)
    objective = dot(w, w) / 2 + loss
    gap = torch.minimum(dot(w - at_b, w - at_b) / 2, objective - bound.value(dot(w, w)))
    return Minimum(w, objective, gap, solution.steps)
