"""Many linear SVMs with squared hinge loss over vectors from disk: Newton's method, pass by pass.

A problem minimises P(w) as in newton/solver.py. With b_i = 2 c_i y_i s_i its gradient is
g = w - X'b, and as b is feasible for the dual problem, half the squared length of g is exactly the
duality gap between P(w) and the dual objective at b: no more than that can still be gained.

What costs is a pass over the vectors. So one pass serves all problems, whatever each needs next
(svm_pass.py): objective, gradient and active set S at a point, or the product of the Hessian there,
I + X_S' 2c X_S, with a direction. Newton's directions are found by conjugate gradients with a
preconditioner that has blocks of the Hessian (svm_preconditioner.py), no more exact than is of use.
A whole step is tried; where P's slope at its end says that it leads too far, a shorter one is: the
slope is piecewise linear. Problems that are solved leave the passes.

Vectors are multiplied in float32, and what blocks come to is summed in float64. Where the digits of
float32 do not suffice, and where a gap is to be confirmed, float64 goes on.

Shapes: P problems, Q of them, n examples, D dimensions with the 1 for the intercept.
"""

import torch
from torch import Tensor

from vggfeat.probes.newton.batched import dot
from vggfeat.probes.streaming.svm_memory import ENOUGH
from vggfeat.probes.streaming.svm_pass import Passes, Points, Products
from vggfeat.probes.streaming.svm_preconditioner import Preconditioner

FOR_ROUNDING = 0.9  # the share of tol that a gap in float32 may be, to hold in float64
# The distance to the quadratic model's minimum that may be left, in the norm of the preconditioner,
# as long as the active set changes by more than SETTLED, a share of it.
ETA, SETTLED = 0.1, 0.02
MAX_PRODUCTS = 200  # of a direction
SLOPE_LEFT = 0.5  # of the slope at 0, beyond which a step led too far
MAX_TRIALS = 12  # step lengths
# So many steps in turn that gain no more than rounding would: the digits are exhausted.
MAX_STALLED_STEPS, LEAST_GAIN = 2, 10  # LEAST_GAIN counts units of the objective's last place
# What a problem may still take: so many steps like the last, or passes; and a working set.
STEPS_LEFT, PASSES_LEFT, PASSES_OF_A_SET = 3, 30, 3
POINT, DIRECTION, FEW_EXAMPLES, DONE = range(4)  # what a problem waits for


class Problems:
    """SVMs and where each stands: weights w [P, D], objective, gap and Newton steps taken [P].

    start [P, D] in float64 is where they begin, or at 0 if that is better. A problem is solved when
    its gap is at most tol times its objective: in float64, if that is to be confirmed. It is left
    for a working set once that is better: room says how many examples that may have.
    """

    def __init__(
        self,
        passes: Passes,
        preconditioner: Preconditioner,
        start: Tensor,
        *,
        tol: float,
        confirm: bool,
        room: int = 0,
    ):
        self.passes, self.preconditioner = passes, preconditioner
        self.tol, self.confirm, self.room = tol, confirm, room
        self.at_zero = at_zero = passes.objective_at_zero()
        nothing, count = torch.zeros_like(at_zero), torch.zeros_like(at_zero, dtype=torch.long)
        # The point that is tried is w + t p; at first p is the start, and w is 0.
        self.w, self.p, self.t = torch.zeros_like(start), start.clone(), nothing + 1
        self.gradient, self.residual, self.v = (torch.zeros_like(start) for _ in range(3))
        self.objective, self.gap = nothing + torch.inf, nothing + torch.inf
        self.norm, self.first_norm = nothing.clone(), nothing.clone()  # of the residual
        # The bounds of the step length, and P's slopes there.
        self.low, self.high, self.slope_0 = nothing.clone(), nothing.clone(), nothing.clone()
        self.slope_low, self.slope_high = nothing.clone(), nothing.clone()
        self.steps, self.stalled_steps = count.clone(), count.clone()
        self.num_trials, self.num_products = count.clone(), count.clone()
        self.waits_for, self.num_near = count + POINT, count.clone()
        self.is_anew = count == 0  # the point is not the end of a step
        self.is_settled, self.in_float64 = count > 0, count > 0

    def run(self, max_steps: int) -> None:
        """Newton's method for all problems until they are solved, stand still, or have few."""
        while (self.waits_for < FEW_EXAMPLES).any():
            works = list(filter(None, map(self._work, (torch.float32, torch.float64))))
            self.passes.run(works)
            for dtype, points, products in works:
                if len(products.problems):
                    self._take_products(products)
                if len(points.problems):
                    self._take_points(points, torch.finfo(dtype).eps, max_steps)

    def _work(self, dtype: torch.dtype) -> tuple[torch.dtype, Points, Products] | None:
        """What the next pass has to find in this type."""
        of_type = self.in_float64 == (dtype == torch.float64)
        at = (of_type & (self.waits_for == POINT)).nonzero()[:, 0]
        along = (of_type & (self.waits_for == DIRECTION)).nonzero()[:, 0]
        if not len(at) and not len(along):
            return None
        w = self.w[at] + self.t[at, None] * self.p[at]
        points = Points.at(at, w, self.preconditioner.size)
        return dtype, points, Products.of(along, self.v[along])

    def _take_points(self, points: Points, eps: float, max_steps: int) -> None:
        """Go on from these points, or shorten the steps that led there."""
        chosen, w = points.problems, points.w
        objective = dot(w, w) / 2 + points.loss
        resolution = LEAST_GAIN * eps * objective.abs()
        gradient = w - points.combination
        slope = dot(gradient, self.p[chosen])
        is_anew, before = self.is_anew[chosen], self.objective[chosen]
        is_worse_than_0 = is_anew & ~(objective <= self.at_zero[chosen] + resolution)
        led_too_far = ~is_anew & ~(
            (slope <= -SLOPE_LEFT * self.slope_0[chosen]) & (objective <= before + resolution)
        )
        self._start_again(chosen[is_worse_than_0])
        self._shorten(chosen[led_too_far], slope[led_too_far])
        accepted = ~is_worse_than_0 & ~led_too_far
        at, gap = chosen[accepted], dot(gradient, gradient)[accepted] / 2
        self.w[at], self.gradient[at] = w[accepted], gradient[accepted]
        self.objective[at], self.gap[at] = objective[accepted], gap
        self.steps[at] += (~is_anew[accepted]).long()
        self.is_anew[at] = False
        self.is_settled[at] = (points.num_changed <= SETTLED * points.num_active)[accepted]
        is_stalled = (~is_anew & ~(before - objective > resolution))[accepted]
        self.stalled_steps[at] = torch.where(is_stalled, self.stalled_steps[at] + 1, 0)
        self.num_near[at] = points.num_near[accepted].long()
        going = self._going(at, max_steps)
        where = accepted.nonzero()[:, 0][going]
        self.preconditioner.set(at[going], points.hessian[where], points.trace[where])
        self._begin_direction(at[going])

    def _going(self, at: Tensor, max_steps: int) -> Tensor:
        """Which of these problems [Q] need another step in their type; others are seen to."""
        in_float64 = self.in_float64[at] | (not self.confirm)
        share = torch.where(in_float64, 1.0, FOR_ROUNDING)
        solved = self.gap[at] <= share * self.tol * self.objective[at]
        exhausted = ~solved & (self.stalled_steps[at] >= MAX_STALLED_STEPS)
        over = ~solved & (self.steps[at] >= max_steps)
        self.waits_for[at[(solved & in_float64) | over]] = DONE
        self._to_float64(at[solved & ~in_float64])
        self._exhausted(at[exhausted & ~over])
        going = ~solved & ~exhausted & ~over
        have_few = going & self._have_few(at)
        self.waits_for[at[have_few]] = FEW_EXAMPLES
        return going & ~have_few

    def _have_few(self, at: Tensor) -> Tensor:
        """Which of these problems [Q] would take less time on a working set, about.

        As many of them as there is room for share its passes, which take no more than reading.
        Passes for all take as long for ENOUGH problems.
        """
        sharing = self.room / self.num_near[at].clamp(min=1)
        passes_left = (STEPS_LEFT * self.num_products[at]).clamp(min=PASSES_LEFT)
        passes_of_each = PASSES_OF_A_SET * min(len(self.w), ENOUGH) / sharing
        return (passes_of_each <= passes_left) & (sharing >= 1)

    def _start_again(self, problems: Tensor) -> None:
        """Start from 0: what was given is worse."""
        self.w[problems], self.p[problems] = 0, 0

    def _exhausted(self, problems: Tensor) -> None:
        """Go on in float64, or leave problems as they are that are in float64 already."""
        in_float64 = self.in_float64[problems]
        self.waits_for[problems[in_float64]] = DONE
        self._to_float64(problems[~in_float64])

    def _to_float64(self, problems: Tensor) -> None:
        """See the same points in float64."""
        self.p[problems], self.stalled_steps[problems] = 0, 0
        self.in_float64[problems], self.is_anew[problems] = True, True
        self.waits_for[problems] = POINT

    def _shorten(self, problems: Tensor, slope: Tensor) -> None:
        """Try a point nearer on the way: where a line through the slopes at both ends is 0."""
        self.high[problems], self.slope_high[problems] = self.t[problems], slope.clamp(min=0)
        low, high = self.low[problems], self.high[problems]
        of_low, of_high = self.slope_low[problems], self.slope_high[problems]
        share = (of_low / (of_low - of_high)).nan_to_num(0.5).clamp(0.05, 0.95)
        share = torch.where(of_high > 0, share, 0.5)  # not there: rounding, or not a number
        self.t[problems] = low + (high - low) * share
        self.num_trials[problems] += 1
        self._exhausted(problems[self.num_trials[problems] >= MAX_TRIALS])

    def _begin_direction(self, problems: Tensor) -> None:
        """Begin conjugate gradients for H p = -g at p = 0."""
        residual = -self.gradient[problems]
        v = self.preconditioner.solve(problems, residual)
        self.p[problems], self.residual[problems], self.v[problems] = 0, residual, v
        self.norm[problems] = self.first_norm[problems] = dot(residual, v)
        self.num_products[problems] = 0
        self.waits_for[problems] = DIRECTION

    def _take_products(self, products: Products) -> None:
        """An iteration of conjugate gradients, and the end of those that are near enough."""
        chosen, v = products.problems, products.v
        Hv, norm = v + products.product, self.norm[chosen]
        length = _quotient(norm, dot(v, Hv))
        self.p[chosen] += length * v
        residual = self.residual[chosen] - length * Hv
        z = self.preconditioner.solve(chosen, residual)
        new_norm = dot(residual, z)
        self.residual[chosen], self.norm[chosen] = residual, new_norm
        self.v[chosen] = z + _quotient(new_norm, norm) * v
        self.num_products[chosen] += 1
        # If the active set stays, the residual is the gradient at the end of the step.
        near = dot(residual, residual) / 2 <= self.tol * self.objective[chosen] / 2
        near |= ~self.is_settled[chosen] & (new_norm <= ETA**2 * self.first_norm[chosen])
        near |= ~(new_norm > 0) | (self.num_products[chosen] >= MAX_PRODUCTS)
        self._try_step(chosen[near])

    def _try_step(self, problems: Tensor) -> None:
        """Try a whole step along p."""
        self.t[problems], self.num_trials[problems] = 1, 0
        slope = dot(self.gradient[problems], self.p[problems])
        self.slope_0[problems] = self.slope_low[problems] = slope
        self.low[problems] = 0
        self.waits_for[problems] = POINT


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b [Q, 1], and 0 where b is 0: a converged problem stays where it is."""
    return torch.where(b > 0, a / b, 0)[:, None]
