"""Newton's directions by preconditioned conjugate gradients, all problems together.

One product with G an iteration. A problem leaves the batch once it has converged or has used up
its budget of iterations.

Shapes: P problems, n examples.
"""

import torch
from torch import Tensor

from vggfeat.probes.newton.batched import dot
from vggfeat.probes.newton.design_matrix import DesignMatrix

# Without a gap to reach: the distance to the minimum that may be left, as the quadratic model
# measures it, as a share of the whole way.
ETA = 0.1
COMPACT_BELOW, COMPACT_EVERY = 0.9, 8  # the share of problems still going; iterations


def by_conjugate_gradients(
    design: DesignMatrix, curvature: Tensor, r: Tensor, *, gap: Tensor, budget: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Approximate p and G p [P, n], and which problems [P] converged within their budget [P].

    The equation of p is in directions.py. gap [P] is the duality gap that may be left; where it is
    infinite, ETA decides.
    """
    p, Gp = torch.zeros_like(r), torch.zeros_like(r)
    has_converged = torch.zeros(len(r), dtype=torch.bool, device=r.device)
    problems = torch.arange(len(r), device=r.device)
    iteration = ConjugateGradients(design, curvature, r, gap)
    num_steps = 0
    while len(problems):
        iteration.step()
        num_steps += 1
        converged = iteration.converged()
        going = ~converged & iteration.is_finite() & (num_steps < budget[problems])
        # Copying those that go on takes as long as several lines of a step: not for each problem.
        if going.double().mean() < COMPACT_BELOW or num_steps % COMPACT_EVERY == 0:
            done = problems[converged]
            p[done], Gp[done] = iteration.p[converged], iteration.Gp[converged]
            has_converged[done] = True
            problems = problems[going]
            iteration.keep(going)
    return p, Gp, has_converged


class ConjugateGradients:
    """The iteration for q from q = r, so that p = q - r is 0 on S at first and -r elsewhere."""

    def __init__(self, design: DesignMatrix, curvature: Tensor, r: Tensor, gap: Tensor):
        active = curvature > 0
        self.design, self.curvature, self.r, self.gap = design, curvature, r, gap
        self.ridge = torch.where(active, 1 / curvature, 0)  # 1/2c
        self.p = torch.where(active, 0, -r)
        self.Gp = design.times_approximately(self.p)
        self.residual = torch.where(active, -self.Gp - self.ridge * r, 0)
        self.inverse_diagonal = design.preconditioner.inverse_diagonal(curvature)
        self.inverses = design.preconditioner.inverses(self.inverse_diagonal)
        self.direction = self._precondition()

    def _precondition(self) -> Tensor:
        """The preconditioned residual z [P, n]; sets residual'z [P]."""
        z = self.design.preconditioner.solve(self.inverses, self.inverse_diagonal, self.residual)
        self.residual_norm = dot(self.residual, z)
        return z

    def step(self) -> None:
        """One iteration of all problems."""
        d, norm = self.direction, self.residual_norm
        Gd = self.design.times_approximately(d)
        Kd = torch.where(self.curvature > 0, Gd + self.ridge * d, 0)
        length = _quotient(norm, dot(Kd, d)).to(d.dtype)
        self.p, self.Gp = self.p + length * d, self.Gp + length * Gd
        self.residual = self.residual - length * Kd
        z = self._precondition()
        self.direction = z + _quotient(self.residual_norm, norm).to(d.dtype) * d

    def is_finite(self) -> Tensor:
        """For which problems the residual's norm is still a positive finite number [P]."""
        return (self.residual_norm > 0) & self.residual_norm.isfinite()

    def converged(self) -> Tensor:
        """Which problems are as close to their minimum as they have to be [P]."""
        change = self.curvature * self.residual  # that would be left in r
        residual_loss = dot(change, self.residual)
        # By the dual bound at a + p, or about that by the squared gradient.
        gap = torch.minimum(residual_loss, self.design.preconditioner.quadratic_form(change)) / 2
        missing = residual_loss - self.residual_norm  # of the objective, twice
        way = -dot(self.r, self.Gp)
        return torch.where(self.gap.isinf(), missing <= ETA**2 * way, gap <= self.gap)

    def keep(self, problems: Tensor) -> None:
        """Go on with these problems only; problems [P] is a mask."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[problems])


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b [P, 1], and 0 where b is 0: a converged problem stays where it is."""
    return torch.where(b > 0, a / b, 0)[:, None]
