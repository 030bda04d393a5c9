"""Newton's directions of many linear SVMs over the same pictures (newton.py has the problems).

On the active pictures S the loss of a problem is taken for the parabola c (1 - y f)^2, elsewhere
for nothing. With r = a - 2c y (1 - y f) on S and r = a elsewhere, this model gains most by

    p = q - r,    where q is 0 outside of S and (G_SS + 1/2c) q_S = (G r)_S,

- by conjugate gradients, one product with G an iteration for all problems together, led by the
  directions in which all pictures differ most (gram.py), and no more exact than is of use;
- by factorising (Chapelle 2007): best where few pictures are active;
- or, with fewer dimensions than active pictures, by factorising I + X_S' 2c X_S, the same system
  seen from the weights.

Which is cheaper is not known beforehand, so gradients run until they have cost as much as the
factorisation would.

Shapes: P problems, n pictures, d dimensions with the 1. Everything is on one device.
"""

import torch
from torch import Tensor

from vggfeat.probes.newton.design_matrix import LEADING_COST, Pictures, dot, each_problem

ETA = 0.1  # gradients leave this part of the way, as the model measures it
MIN_BUDGET = 8  # iterations; below, gradients are not tried
ITERATION_COST = 1.3  # products that an iteration takes as long as


def newtons(
    pictures: Pictures, curvature: Tensor, r: Tensor, *, gap: Tensor, gradients: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Newton's p and G p [P, n], and for which problems gradients were tried in vain [P].

    curvature [P, n] is 2c on S and 0 elsewhere. Gradients are tried where `gradients` [P] allows
    it. They leave about a gap of `gap` [P], if S stays; where that is infinite, ETA of the way.
    """
    p, Gp = torch.empty_like(r), torch.empty_like(r)
    found = torch.zeros_like(gradients)
    budget = pictures.factorisation_cost((curvature > 0).sum(dim=1)) / pictures.product_cost()
    budget /= ITERATION_COST
    worth = gradients & (budget > MIN_BUDGET)
    if not pictures.has_leading:  # what leads them is to be found first
        worth &= budget[worth].sum() > LEADING_COST
    tried = worth.nonzero()[:, 0]
    if len(tried):
        p[tried], Gp[tried], found[tried] = by_gradients(
            pictures, curvature[tried], r[tried], gap=gap[tried], budget=budget[tried]
        )
    rest = (~found).nonzero()[:, 0]
    if len(rest):
        p[rest], Gp[rest] = by_factorising(pictures, curvature[rest], r[rest])
    return p, Gp, worth & ~found


def by_gradients(
    pictures: Pictures, curvature: Tensor, r: Tensor, *, gap: Tensor, budget: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Nearly p and G p [P, n], and which problems [P] got there within their budget."""
    p, Gp = torch.zeros_like(r), torch.zeros_like(r)
    found = torch.zeros(len(r), dtype=torch.bool, device=r.device)
    left = torch.arange(len(r), device=r.device)
    gradients = _Gradients(pictures, curvature, r, gap)
    used = 0
    while len(left):
        gradients.go_on()
        used += 1
        near = gradients.are_near()
        going = ~near & gradients.are_sound() & (used < budget[left])
        # Copying what goes on takes as long as several lines of an iteration: not for each problem.
        if going.double().mean() < 0.9 or used % 8 == 0:
            done = left[near]
            p[done], Gp[done], found[done] = gradients.p[near], gradients.Gp[near], True
            left = left[going]
            gradients.keep(going)
    return p, Gp, found


class _Gradients:
    """Conjugate gradients for q that begin at q = r, so that p is 0 on S at first, -r elsewhere."""

    def __init__(self, pictures: Pictures, curvature: Tensor, r: Tensor, gap: Tensor):
        active = curvature > 0
        self.pictures, self.curvature, self.r, self.gap = pictures, curvature, r, gap
        self.ridge = torch.where(active, 1 / curvature, 0)  # 1/2c
        self.p = torch.where(active, 0, -r)
        self.Gp = pictures.nearly_times(self.p)
        self.residual = torch.where(active, -self.Gp - self.ridge * r, 0)
        self.weights = pictures.leading.weights(curvature)
        self.inverses = pictures.leading.inverses(self.weights)
        self.direction = self._lead()

    def _lead(self) -> Tensor:
        """Nearly what q lacks [P, n]; learns its squared length [P], as the system measures it."""
        lacks = self.pictures.leading.solved(self.inverses, self.weights, self.residual)
        self.length = dot(self.residual, lacks)
        return lacks

    def go_on(self) -> None:
        """One iteration."""
        d, before = self.direction, self.length
        Gd = self.pictures.nearly_times(d)
        Kd = torch.where(self.curvature > 0, Gd + self.ridge * d, 0)
        bend = dot(Kd, d)
        step = _quotient(before, bend).to(d.dtype)
        self.p, self.Gp = self.p + step * d, self.Gp + step * Gd
        self.residual = self.residual - step * Kd
        lacks = self._lead()
        self.direction = lacks + _quotient(self.length, before).to(d.dtype) * d

    def are_sound(self) -> Tensor:
        """For which problems lengths are still positive numbers [P]."""
        return (self.length > 0) & self.length.isfinite()

    def are_near(self) -> Tensor:
        """Which problems are where they should be [P]."""
        change = self.curvature * self.residual  # that would be left in r
        lost = dot(change, self.residual)
        gap = (
            torch.minimum(lost, self.pictures.leading.squares(change)) / 2
        )  # by the bound at a + p, or about that by the gradient
        missing, way = lost - self.length, -dot(self.r, self.Gp)  # in the objective, twice
        open_ended = self.gap.isinf()
        return torch.where(open_ended, missing <= ETA**2 * way, gap <= self.gap)

    def keep(self, which: Tensor) -> None:
        """Go on with these problems only."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[which])


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b [P, 1], and 0 where nothing is left: some are near and go on with the others."""
    return torch.where(b > 0, a / b, 0)[:, None]


def by_factorising(pictures: Pictures, curvature: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """p and G p [P, n], a system for each problem."""
    active = int((curvature > 0).sum(dim=1).max())
    if pictures.gram is None and pictures.d < active:
        gradient = pictures.weights(r)
        pw = -torch.stack(
            each_problem(
                lambda c, g: _solution(pictures.hessian(c), g),
                curvature,
                gradient,
                num_bytes=2 * r.element_size() * pictures.d * (pictures.d + active),
            )
        )
        Gp = pictures.scores(pw)
        return -r - curvature * Gp, Gp

    def solved(c: Tensor, Gr: Tensor) -> Tensor:
        S = c.nonzero()[:, 0]
        system = pictures.among(S)
        system.diagonal().add_(1 / c[S])
        return torch.zeros_like(c).index_put_((S,), _solution(system, Gr[S]))

    Gr = pictures.times(r)
    q = torch.stack(each_problem(solved, curvature, Gr, num_bytes=2 * r.element_size() * active**2))
    p = q - r
    return p, pictures.times(p)


def _solution(system: Tensor, right: Tensor) -> Tensor:
    """The solution of a symmetric positive definite system; 0 where rounding made it another."""
    factor, failed = torch.linalg.cholesky_ex(system)
    if failed:
        return torch.zeros_like(right)
    return torch.cholesky_solve(right[:, None], factor)[:, 0]
