"""Many linear SVMs with squared hinge loss at once: Newton's method over one shared Gram matrix.

A problem is a row of signs y [n]: +1, -1, or 0 for a picture that it leaves out, so that classes,
values of C and folds are all rows over the same pictures. It minimises over w, with costs c_i >= 0,

    P(w) = w'w / 2 + sum_i c_i s_i^2,    s_i = max(0, 1 - y_i w'x_i),

where each x_i ends with a 1: the intercept is the last weight, and regularised like the others.

The weights are a combination of pictures, w = sum_i a_i x_i, so that the scores are f = G a with
the Gram matrix G of the pictures. Let b_i = 2 c_i y_i s_i, a point that the dual problem allows,
and r = a - b. Then X'r is the gradient of P, and half its squared length, r'Gr / 2, is exactly the
gap between P(w) and the dual objective at b: what is still to be gained is never more. At large C a
rounding error of f grows in b, and the dual objective at a itself bounds it better.

Newton's method goes along directions (directions.py) to the least P. Each supposes which pictures
will have slack: the active set. These are the pictures that have slack, but near the minimum at
large C it is next to nothing, so that errors of f decide who has some. Hence pictures count as
active, too, that would have slack without what they contribute to their own score: those whose a_i
would not become 0 if it alone were changed for the best. Where this does not lead on, only slack
counts.

Shapes: P problems, n pictures, d dimensions with the 1. Everything is on one device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vggfeat.probes.newton import directions
from vggfeat.probes.newton.design_matrix import Pictures, dot

MAX_AGAIN = 3  # times that a gap larger than it seemed is worked on again
SETTLED = 0.02  # an active set that changed by no more than this part of it
LIKELY = 1.5  # times the gap that is asked for: an estimate that is worth a product
SHORT_STEP, LONG_STEP = 0.3, 2  # times the step that Newton's direction itself would be
MAX_SEARCH = 20  # trials of a step length
# So many steps in turn that gain no more than rounding would: the digits are exhausted.
MAX_WASTED, LEAST_GAIN = 4, 10  # LEAST_GAIN counts units of the last place of the objective
FOR_ROUNDING = 0.9  # the part of tol that a gap in the pictures' digits may be, to hold in float64
ROWS_AT_ONCE = 1024  # of pictures that are made float64
BLOCK_VALUES = 2**26  # of each P x n matrix that is worked on; about ten are alive


@dataclass
class Solution:
    """Where problems stand: a and f = a G [P, n]; P(w), its gap and the Newton steps taken [P]."""

    a: Tensor
    f: Tensor
    objective: Tensor
    gap: Tensor
    steps: Tensor

    def __setitem__(self, problems: Tensor, other: "Solution") -> None:
        for name, part in vars(self).items():
            part[problems] = getattr(other, name).to(part.dtype)


def solve(
    pictures: Pictures,
    signs: Tensor,
    costs: Tensor,
    *,
    tol: float,
    max_steps: int,
    start: Tensor | None = None,
) -> Solution:
    """Minimise P for each row of signs [P, n] with these costs [P, n], 0 where the sign is 0.

    A problem is solved when its gap is at most tol times its objective. start [P, n] may be the a
    of other costs or signs. Where the digits of the pictures' type do not suffice, float64 goes on.
    max_steps limits Newton's steps; the gap says how far a problem came.
    """
    count = max(1, BLOCK_VALUES // pictures.n)
    blocks = []
    for first in range(0, len(signs), count):
        block = slice(first, first + count)
        a = torch.zeros_like(signs[block]) if start is None else start[block].clone()
        blocks.append(_solved(pictures, signs[block], costs[block], a, tol, max_steps))
    return Solution(
        **{name: torch.cat([vars(block)[name] for block in blocks]) for name in vars(blocks[0])}
    )


@dataclass
class Minimum:
    """Weights w [P, d], P(w), its gap and the Newton steps taken [P], worked out in float64."""

    w: Tensor
    objective: Tensor
    gap: Tensor
    steps: Tensor


def minimise(
    pictures: Pictures,
    signs: Tensor,
    costs: Tensor,
    *,
    tol: float,
    max_steps: int,
    start: Tensor | None = None,
) -> Minimum:
    """The weights that `solve` comes to, to be used and not only to start from.

    The gap is that of the weights themselves, and float64 goes on, from scores worked out anew,
    where rounding left too much.
    """
    solution = solve(
        pictures, signs, costs, tol=FOR_ROUNDING * tol, max_steps=max_steps, start=start
    )
    found = _measured(pictures, signs, costs, solution)
    for _ in range(MAX_AGAIN):
        unsolved = ~(found.gap <= tol * found.objective) & (found.steps < max_steps)
        rest = unsolved.nonzero()[:, 0]
        if not len(rest):
            break
        steps_left = max_steps - int(found.steps[rest].max())
        exactly = [each[rest].double() for each in (signs, costs, solution.a)]
        again = _solved(pictures.exact, *exactly, FOR_ROUNDING * tol, steps_left)
        again.steps += solution.steps[rest]
        solution[rest] = again
        better = _measured(pictures.exact, *exactly[:2], again)
        for name, value in vars(found).items():
            value[rest] = getattr(better, name)
    return found


def _measured(pictures: Pictures, signs: Tensor, costs: Tensor, solution: Solution) -> Minimum:
    a = solution.a
    blocks = [slice(i, i + ROWS_AT_ONCE) for i in range(0, pictures.n, ROWS_AT_ONCE)]
    w = sum(pictures.part(rows).weights(a[:, rows].double()) for rows in blocks)
    at_b, loss, near_a = torch.zeros_like(w), 0, DualBound()
    for rows in blocks:
        part, y, c = pictures.part(rows), signs[:, rows].double(), costs[:, rows].double()
        f = part.scores(w)
        slack = (1 - y * f).clamp(min=0)
        loss += dot(c * slack, slack)
        at_b += part.weights(2 * c * y * slack)
        near_a.add(part, y, c, a[:, rows].double(), f)
    objective = dot(w, w) / 2 + loss
    gap = torch.minimum(dot(w - at_b, w - at_b) / 2, objective - near_a.value(dot(w, w)))
    return Minimum(w, objective, gap, solution.steps)


class DualBound:
    """A lower bound of the dual objective near a [P, n], at the nearest point that it allows.

    No product with G is needed for what is changed: by Cauchy and Schwarz its length is at most the
    sum of its parts' lengths, and it is next to nothing at last.
    """

    def __init__(self):
        self.linear, self.product, self.length = 0, 0, 0

    def add(self, pictures: Pictures, y: Tensor, c: Tensor, a: Tensor, f: Tensor) -> None:
        """Count these pictures in; y, c, a and f are [P, pictures.n]."""
        change = torch.where((y * a < 0) | (c == 0), -a, 0)
        allowed = a + change
        self.linear += dot(y, allowed) - dot(allowed, allowed / (4 * c).masked_fill(c == 0, 1))
        self.product += dot(change, f)
        self.length += change.abs() @ pictures.squared_lengths.sqrt()

    def value(self, squared: Tensor) -> Tensor:
        """The bound [P]; squared is w'w of a."""
        return self.linear - (squared + 2 * self.product + self.length**2) / 2


def _solved(
    pictures: Pictures, signs: Tensor, costs: Tensor, a: Tensor, tol: float, max_steps: int
) -> Solution:
    problems = _Problems(pictures, signs, costs, a, tol)
    problems.run(max_steps)
    found, rest = problems.solution, problems.exhausted
    rest = rest[found.steps[rest] < max_steps]
    if len(rest) and pictures.exact is not pictures:
        exactly = (each[rest].double() for each in (signs, costs, found.a))
        more = _Problems(pictures.exact, *exactly, tol)
        more.run(max_steps - int(found.steps[rest].max()))
        more.solution.steps += found.steps[rest]
        found[rest] = more.solution
    return found


class _Problems:
    """A block of problems and where they stand."""

    def __init__(self, pictures: Pictures, signs: Tensor, costs: Tensor, a: Tensor, tol: float):
        self.pictures, self.signs, self.costs, self.tol = pictures, signs, costs, tol
        unknown = a.new_full((len(a),), torch.inf, dtype=torch.float64)
        none = torch.zeros_like(unknown, dtype=torch.long)
        f = pictures.times(a)
        slack = (1 - signs * f).clamp(min=0)
        worse = ~(dot(a, f) / 2 + dot(costs * slack, slack) <= costs.sum(dim=1))  # than w = 0
        a[worse], f[worse] = 0, 0
        self.solution = Solution(a, f, unknown, unknown.clone(), none)
        self.least = unknown.clone()  # objective so far
        self.wasted = none.clone()
        self.factorise = torch.zeros_like(none, dtype=torch.bool)
        self.misled = torch.zeros_like(self.factorise)  # by the last direction
        self.only_slack = torch.zeros_like(self.factorise)  # whether it alone makes pictures active
        self.active = torch.zeros_like(a, dtype=torch.bool)  # of the last step

    @property
    def exhausted(self) -> Tensor:
        """The problems whose digits do not suffice."""
        return (self.wasted >= MAX_WASTED).nonzero()[:, 0]

    def run(self, max_steps: int) -> None:
        """Newton's method for all problems until they are solved or stand still."""
        left = torch.arange(len(self.signs), device=self.signs.device)
        for _ in range(max_steps):
            left = self._step(left)
            if not len(left):
                return
        self._measure(left)

    def _measure(self, which: Tensor) -> None:
        """Objective and gap of these problems, and what the last step has gained."""
        y, c = self.signs[which], self.costs[which]
        a, f = self.solution.a[which], self.solution.f[which]
        slack = (1 - y * f).clamp_(min=0).masked_fill_(c == 0, 0)
        objective = dot(a, f) / 2 + dot(c * slack, slack)
        resolved = LEAST_GAIN * torch.finfo(f.dtype).eps * objective.abs()
        near_a = DualBound()
        near_a.add(self.pictures, y, c, a, f)
        gap = objective - near_a.value(dot(a, f))
        aim = self.tol * objective
        rest = (~(gap <= aim)).nonzero()[:, 0]
        if len(rest):
            r = a[rest] - (2 * c * y * slack)[rest]
            if self.pictures.has_leading:  # tells whether the other bound is worth a product
                likely = self.pictures.leading.squares(r) / 2 <= LIKELY * aim[rest]
                rest, r = rest[likely], r[likely]
            gap[rest] = torch.fmin(gap[rest], dot(r, self.pictures.times(r)) / 2)
        gained = self.least[which] - objective
        self.least[which] = torch.fmin(self.least[which], objective)
        wasted = ~(gained >= resolved)  # so written, what is not a number is wasted, too
        self.wasted[which] = torch.where(wasted, self.wasted[which] + 1, 0)
        # A good direction leads about as far as it says, and not too slowly.
        misled, slow = self.misled[which], gained < aim
        self.factorise[which] |= torch.where(misled, self.only_slack[which], slow)
        self.only_slack[which] |= misled
        self.solution.objective[which] = objective
        self.solution.gap[which] = gap.clamp_(min=resolved)

    def _step(self, left: Tensor) -> Tensor:
        """One step of each of these problems; which of them are not solved yet."""
        self._measure(left)
        gap, objective = self.solution.gap[left], self.solution.objective[left]
        solved = gap <= self.tol * objective
        eps = torch.finfo(self.solution.f.dtype).eps
        at_rounding = gap <= 2 * LEAST_GAIN * eps * objective
        self.wasted[left[~solved & at_rounding]] = MAX_WASTED
        left = left[~solved & (self.wasted[left] < MAX_WASTED)]
        if not len(left):
            return left
        y, c, a = self.signs[left], self.costs[left], self.solution.a[left]
        margin = 1 - y * self.solution.f[left]
        p, Gp = self._direction(left, y, c, a, margin)
        t = _best_step(c, margin, y * Gp, dot(a, Gp), dot(p, Gp))
        self.misled[left] = (t < SHORT_STEP) | (t > LONG_STEP)
        a = a + _column(t, p) * p
        # Not f + t G p: what rounding leaves of the large values of the first steps would stay.
        self.solution.a[left], self.solution.f[left] = a, self.pictures.times(a)
        self.solution.steps[left] += 1
        return left

    def _direction(
        self, which: Tensor, y: Tensor, c: Tensor, a: Tensor, margin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Newton's p and G p [P, n] at a; margin is 1 - y f."""
        own = (y * a).clamp(min=0) * self.pictures.squared_lengths  # of the score
        active = (c > 0) & (margin + own.masked_fill(self.only_slack[which, None], 0) > 0)
        moved = (active != self.active[which]).sum(dim=1)
        self.active[which] = active
        settled = moved <= SETTLED * active.sum(dim=1)
        half = self.tol * self.solution.objective[which] / 2  # of the gap that is asked for
        curvature = torch.where(active, 2 * c, 0)
        p, Gp, in_vain = directions.newtons(
            self.pictures,
            curvature,
            a - curvature * y * margin,
            gap=half.masked_fill(~settled, torch.inf),
            gradients=~self.factorise[which],
        )
        self.factorise[which] |= in_vain
        return p, Gp


def _best_step(c: Tensor, margin: Tensor, change: Tensor, ap: Tensor, pp: Tensor) -> Tensor:
    """The t [P] at which P(w + t p) is least, but for 1 % of its slope at 0; 0 if p leads nowhere.

    margin [P, n] is 1 - y f, change [P, n] is y G p; ap and pp [P] are w'p and p'p.
    P's slope along p grows with t and is piecewise linear: Newton's method between two bounds.
    """
    t = torch.ones_like(ap)
    low, high = torch.zeros_like(t), torch.full_like(t, torch.inf)
    at_0 = ap - 2 * dot(c * margin.clamp(min=0), change)
    loss = dot(c * margin.clamp(min=0), margin.clamp(min=0))
    for _ in range(MAX_SEARCH):
        slack = (margin - _column(t, change) * change).clamp_(min=0)
        slope = ap + t * pp - 2 * dot(c * slack, change)
        gained = loss - dot(c * slack, slack) - t * ap - t * t * pp / 2
        found = (slope.abs() <= -0.01 * at_0) & (gained >= 0)
        if found.all():
            break
        low, high = torch.where(slope < 0, t, low), torch.where(slope < 0, high, t)
        middle = torch.where(high.isinf(), 2 * low, (low + high) / 2)
        rise = pp + 2 * dot(c * (slack > 0) * change, change)
        tangent = t - slope / rise
        inside = (tangent > low) & (tangent < high)  # false where there is no rise
        # Others' search must not lead a problem away from what it has found.
        t = torch.where(found, t, torch.where(inside, tangent, middle))
    # Uphill, or down without an end, which is rounding: nowhere.
    return torch.where((at_0 >= 0) | (high.isinf() & ~found), 0, t)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values[:, None].to(like.dtype)
