"""Many linear SVMs with squared hinge loss at once: Newton's method over one shared Gram matrix.

A problem is a row of signs y [n]: +1, -1, or 0 for an example that it leaves out, so that classes,
values of C and folds are all rows over the same examples. It minimises over w, with costs c_i >= 0,

    P(w) = w'w / 2 + sum_i c_i s_i^2,    s_i = max(0, 1 - y_i w'x_i),

where each x_i ends with a 1: the intercept is the last weight, and regularised like the others.

The weights are a combination of examples, w = sum_i a_i x_i, so that the scores are f = G a with
the Gram matrix G of the examples. Let b_i = 2 c_i y_i s_i, a feasible point of the dual problem,
and r = a - b. Then X'r is the gradient of P, and half its squared length, r'Gr / 2, is exactly the
duality gap between P(w) and the dual objective at b: no more than that can still be gained. At
large C a rounding error of f grows in b, and the dual objective at a itself is a tighter bound
(dual_bound.py).

Newton's method goes along directions (directions.py) by an exact line search (line_search.py). Each
direction supposes which examples will have slack: the active set. These are the examples that have
slack, but near the minimum at large C it is next to nothing, so that errors of f decide who has
some. Hence examples are active, too, that would have slack without what they contribute to their
own score: those whose a_i would not become 0 if it alone were changed for the best. Where this
gives poor directions, only slack counts.

Shapes: P problems, n examples, d dimensions with the 1. Everything is on one device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vggfeat.probes.newton.batched import as_column, dot
from vggfeat.probes.newton.design_matrix import DesignMatrix
from vggfeat.probes.newton.directions import newton_directions
from vggfeat.probes.newton.dual_bound import DualBound
from vggfeat.probes.newton.line_search import best_step

SETTLED = 0.02  # an active set that changed by no more than this share of it
PROMISING = 1.5  # times the gap that is asked for: an estimate that is worth a product
SHORT_STEP, LONG_STEP = 0.3, 2  # steps beyond these, times Newton's own, are of a poor direction
# So many steps in turn that gain no more than rounding would: the digits are exhausted.
MAX_STALLED_STEPS, LEAST_GAIN = 4, 10  # LEAST_GAIN counts units of the objective's last place
BLOCK_VALUES = 2**26  # of each P x n matrix in memory; about ten are alive


@dataclass
class Solution:
    """Where problems stand: a and f = a G [P, n]; P(w), its gap and the Newton steps taken [P]."""

    a: Tensor
    f: Tensor
    objective: Tensor
    gap: Tensor
    steps: Tensor

    def __setitem__(self, problems: Tensor, solution: "Solution") -> None:
        for name, values in vars(self).items():
            values[problems] = getattr(solution, name).to(values.dtype)


def solve(
    design: DesignMatrix,
    signs: Tensor,
    costs: Tensor,
    *,
    tol: float,
    max_steps: int,
    start: Tensor | None = None,
) -> Solution:
    """Minimise P for each row of signs [P, n] with these costs [P, n], 0 where the sign is 0.

    A problem is solved when its gap is at most tol times its objective. start [P, n] may be the a
    of other costs or signs. Where the digits of the matrix's type do not suffice, float64 goes on.
    max_steps limits Newton's steps; the gap says how far a problem came.
    """
    count = max(1, BLOCK_VALUES // design.n)
    blocks = []
    for first in range(0, len(signs), count):
        block = slice(first, first + count)
        a = torch.zeros_like(signs[block]) if start is None else start[block].clone()
        blocks.append(solve_block(design, signs[block], costs[block], a, tol, max_steps))
    return Solution(
        **{name: torch.cat([vars(block)[name] for block in blocks]) for name in vars(blocks[0])}
    )


def solve_block(
    design: DesignMatrix, signs: Tensor, costs: Tensor, a: Tensor, tol: float, max_steps: int
) -> Solution:
    """`solve` for problems that fit into memory together; a [P, n] is the start, and changed."""
    problems = _Problems(design, signs, costs, a, tol)
    problems.run(max_steps)
    solution, exhausted = problems.solution, problems.exhausted
    exhausted = exhausted[solution.steps[exhausted] < max_steps]
    if len(exhausted) and design.in_float64 is not design:
        in_float64 = (each[exhausted].double() for each in (signs, costs, solution.a))
        more = _Problems(design.in_float64, *in_float64, tol)
        more.run(max_steps - int(solution.steps[exhausted].max()))
        more.solution.steps += solution.steps[exhausted]
        solution[exhausted] = more.solution
    return solution


class _Problems:
    """A block of problems and the state of Newton's method for each."""

    def __init__(self, design: DesignMatrix, signs: Tensor, costs: Tensor, a: Tensor, tol: float):
        self.design, self.signs, self.costs, self.tol = design, signs, costs, tol
        unknown = a.new_full((len(a),), torch.inf, dtype=torch.float64)
        none = torch.zeros_like(unknown, dtype=torch.long)
        f = design.times(a)
        slack = (1 - signs * f).clamp(min=0)
        worse_than_0 = ~(dot(a, f) / 2 + dot(costs * slack, slack) <= costs.sum(dim=1))
        a[worse_than_0], f[worse_than_0] = 0, 0
        self.solution = Solution(a, f, unknown, unknown.clone(), none)
        self.least_objective = unknown.clone()
        self.stalled_steps = none.clone()
        self.factorise = torch.zeros_like(none, dtype=torch.bool)
        self.poor_direction = torch.zeros_like(self.factorise)  # the last one
        self.only_slack = torch.zeros_like(self.factorise)  # whether it alone makes one active
        self.active = torch.zeros_like(a, dtype=torch.bool)  # in the last step

    @property
    def exhausted(self) -> Tensor:
        """The problems whose digits do not suffice."""
        return (self.stalled_steps >= MAX_STALLED_STEPS).nonzero()[:, 0]

    def run(self, max_steps: int) -> None:
        """Newton's method for all problems until they are solved or stand still."""
        unsolved = torch.arange(len(self.signs), device=self.signs.device)
        for _ in range(max_steps):
            unsolved = self._step(unsolved)
            if not len(unsolved):
                return
        self._measure(unsolved)

    def _measure(self, chosen: Tensor) -> None:
        """Objective and gap of these problems, and what the last step has gained."""
        y, c = self.signs[chosen], self.costs[chosen]
        a, f = self.solution.a[chosen], self.solution.f[chosen]
        slack = (1 - y * f).clamp_(min=0).masked_fill_(c == 0, 0)
        objective = dot(a, f) / 2 + dot(c * slack, slack)
        resolution = LEAST_GAIN * torch.finfo(f.dtype).eps * objective.abs()
        bound = DualBound()
        bound.add(self.design, y, c, a, f)
        gap = objective - bound.value(dot(a, f))
        goal = self.tol * objective
        self._tighten(gap, goal, a, 2 * c * y * slack)
        gained = self.least_objective[chosen] - objective
        self.least_objective[chosen] = torch.fmin(self.least_objective[chosen], objective)
        stalled = ~(gained >= resolution)  # so written, what is not a number is stalled, too
        self.stalled_steps[chosen] = torch.where(stalled, self.stalled_steps[chosen] + 1, 0)
        # A good direction leads about as far as it says, and not too slowly.
        poor, slow = self.poor_direction[chosen], gained < goal
        self.factorise[chosen] |= torch.where(poor, self.only_slack[chosen], slow)
        self.only_slack[chosen] |= poor
        self.solution.objective[chosen] = objective
        self.solution.gap[chosen] = gap.clamp_(min=resolution)

    def _tighten(self, gap: Tensor, goal: Tensor, a: Tensor, b: Tensor) -> None:
        """Replace gaps [P] above the goal [P] by the squared gradient's bound where it is lower."""
        above = (~(gap <= goal)).nonzero()[:, 0]
        if not len(above):
            return
        r = a[above] - b[above]
        if self.design.has_preconditioner:  # estimates whether the bound is worth a product
            estimate = self.design.preconditioner.quadratic_form(r) / 2
            promising = estimate <= PROMISING * goal[above]
            above, r = above[promising], r[promising]
        gap[above] = torch.fmin(gap[above], dot(r, self.design.times(r)) / 2)

    def _step(self, unsolved: Tensor) -> Tensor:
        """One step of each of these problems; returns which of them were not solved before it."""
        self._measure(unsolved)
        gap, objective = self.solution.gap[unsolved], self.solution.objective[unsolved]
        solved = gap <= self.tol * objective
        eps = torch.finfo(self.solution.f.dtype).eps
        at_rounding = gap <= 2 * LEAST_GAIN * eps * objective
        self.stalled_steps[unsolved[~solved & at_rounding]] = MAX_STALLED_STEPS
        unsolved = unsolved[~solved & (self.stalled_steps[unsolved] < MAX_STALLED_STEPS)]
        if not len(unsolved):
            return unsolved
        y, c, a = self.signs[unsolved], self.costs[unsolved], self.solution.a[unsolved]
        margin = 1 - y * self.solution.f[unsolved]
        p, Gp = self._direction(unsolved, y, c, a, margin)
        t = best_step(c, margin, y * Gp, dot(a, Gp), dot(p, Gp))
        self.poor_direction[unsolved] = (t < SHORT_STEP) | (t > LONG_STEP)
        a = a + as_column(t, p) * p
        # Not f + t G p: what rounding leaves of the large values of the first steps would stay.
        self.solution.a[unsolved], self.solution.f[unsolved] = a, self.design.times(a)
        self.solution.steps[unsolved] += 1
        return unsolved

    def _direction(
        self, chosen: Tensor, y: Tensor, c: Tensor, a: Tensor, margin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Newton's p and G p [P, n] at a; margin is 1 - y f."""
        contribution = (y * a).clamp(min=0) * self.design.squared_norms  # to its own score
        contribution = contribution.masked_fill(self.only_slack[chosen, None], 0)
        active = (c > 0) & (margin + contribution > 0)
        num_changed = (active != self.active[chosen]).sum(dim=1)
        self.active[chosen] = active
        settled = num_changed <= SETTLED * active.sum(dim=1)
        half = self.tol * self.solution.objective[chosen] / 2  # of the gap that is asked for
        curvature = torch.where(active, 2 * c, 0)
        p, Gp, failed = newton_directions(
            self.design,
            curvature,
            a - curvature * y * margin,
            gap=half.masked_fill(~settled, torch.inf),
            allow_gradients=~self.factorise[chosen],
        )
        self.factorise[chosen] |= failed
        return p, Gp
