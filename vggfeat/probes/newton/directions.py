"""Newton's directions of many linear SVMs over the same examples (solver.py has the problems).

On the active examples S the loss of a problem is modelled by the parabola c (1 - y f)^2, elsewhere
by 0. With r = a - 2c y (1 - y f) on S and r = a elsewhere, this model is least at

    p = q - r,    where q is 0 outside of S and (G_SS + 1/2c) q_S = (G r)_S,

- by conjugate gradients (conjugate_gradients.py), no more exact than is of use;
- by factorising the system (Chapelle 2007): best where few examples are active;
- or, with fewer dimensions than active examples, by factorising I + X_S' 2c X_S, the same system
  in the weights.

Which is cheaper is not known beforehand, so conjugate gradients run until they have cost as much
as the factorisation would.

Shapes: P problems, n examples, d dimensions with the 1. Everything is on one device.
"""

import torch
from torch import Tensor

from vggfeat.probes.newton.batched import map_problems
from vggfeat.probes.newton.conjugate_gradients import by_conjugate_gradients
from vggfeat.probes.newton.design_matrix import DesignMatrix
from vggfeat.probes.newton.preconditioner import SETUP_COST

MIN_BUDGET = 8  # iterations; with fewer, conjugate gradients are not tried
ITERATION_COST = 1.3  # in products of G with a vector


def newton_directions(
    design: DesignMatrix,
    curvature: Tensor,
    r: Tensor,
    *,
    gap: Tensor,
    allow_gradients: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Newton's p and G p [P, n], and for which problems conjugate gradients failed [P].

    curvature [P, n] is 2c on S and 0 elsewhere. Conjugate gradients are tried where
    allow_gradients [P] is true. They leave about a gap of `gap` [P], if S stays; where that is
    infinite, ETA of the way.
    """
    p, Gp = torch.empty_like(r), torch.empty_like(r)
    converged = torch.zeros_like(allow_gradients)
    budget = design.factorisation_cost((curvature > 0).sum(dim=1)) / design.product_cost()
    budget /= ITERATION_COST
    worth_trying = allow_gradients & (budget > MIN_BUDGET)
    if not design.has_preconditioner:
        worth_trying &= budget[worth_trying].sum() > SETUP_COST
    tried = worth_trying.nonzero()[:, 0]
    if len(tried):
        p[tried], Gp[tried], converged[tried] = by_conjugate_gradients(
            design, curvature[tried], r[tried], gap=gap[tried], budget=budget[tried]
        )
    factorised = (~converged).nonzero()[:, 0]
    if len(factorised):
        p[factorised], Gp[factorised] = by_factorising(design, curvature[factorised], r[factorised])
    return p, Gp, worth_trying & ~converged


def by_factorising(design: DesignMatrix, curvature: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """p and G p [P, n] by a Cholesky factorisation for each problem."""
    num_active = int((curvature > 0).sum(dim=1).max())
    if design.gram is None and design.d < num_active:
        return _in_the_weights(design, curvature, r, num_active)

    def solve(c: Tensor, Gr: Tensor) -> Tensor:
        S = c.nonzero()[:, 0]
        system = design.gram_among(S)
        system.diagonal().add_(1 / c[S])
        return torch.zeros_like(c).index_put_((S,), _solution(system, Gr[S]))

    num_bytes = 2 * r.element_size() * num_active**2
    q = torch.stack(map_problems(solve, curvature, design.times(r), num_bytes=num_bytes))
    p = q - r
    return p, design.times(p)


def _in_the_weights(
    design: DesignMatrix, curvature: Tensor, r: Tensor, num_active: int
) -> tuple[Tensor, Tensor]:
    """p and G p [P, n] from Newton's direction of the weights [P, d]."""
    directions = -torch.stack(
        map_problems(
            lambda c, g: _solution(design.hessian(c), g),
            curvature,
            design.weights(r),
            num_bytes=2 * r.element_size() * design.d * (design.d + num_active),
        )
    )
    Gp = design.scores(directions)
    return -r - curvature * Gp, Gp


def _solution(system: Tensor, right: Tensor) -> Tensor:
    """The solution of a symmetric positive definite system; 0 if the factorisation failed."""
    factor, failed = torch.linalg.cholesky_ex(system)
    if failed:
        return torch.zeros_like(right)
    return torch.cholesky_solve(right[:, None], factor)[:, 0]
