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

Newton's direction p solves (I + X_S' 2c X_S) p = -gradient over the active set S, where s_i > 0:

- by conjugate gradients (Keerthi & DeCoste 2005), one product with G an iteration for all problems
  together, led by the directions in which all pictures differ most (gram.py): best while S is large
  or still changes, as a step need not be exact then;
- by factorising what is left of the system on S (Chapelle 2007): p = -r + q, where q is 0 outside
  of S and (G_SS + 1/2c) q_S = (G r)_S. Best at large C, when few pictures are active;
- or, with fewer dimensions than active pictures, by factorising I + X_S' 2c X_S itself.

Which is cheaper is not known beforehand, so gradients run until they have cost as much as the
factorisation would. From then on the problem's systems are factorised, as they are where gradients
gain too little.

Shapes: P problems, n pictures, d dimensions with the 1. Everything is on one device.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from vggfeat.gram import Pictures, each_problem

ETA = 0.1  # gradients reduce the length of the residual to this part: the gap to its square
MIN_BUDGET = 20  # iterations; below, gradients are not tried
ITERATION_COST = 2.5  # products that an iteration takes as long as
MAX_AGAIN = 3  # times that a gap larger than it seemed is worked on again
SETTLED = 0.02  # an active set that changed by no more than this part of it
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
        rest = (~(found.gap <= tol * found.objective)).nonzero()[:, 0]
        steps_left = max_steps - int(found.steps[rest].max()) if len(rest) else 0
        if steps_left <= 0:
            break
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
        loss += _dot(c * slack, slack)
        at_b += part.weights(2 * c * y * slack)
        near_a.add(part, y, c, a[:, rows].double(), f)
    objective = _dot(w, w) / 2 + loss
    gap = torch.minimum(_dot(w - at_b, w - at_b) / 2, objective - near_a.value(_dot(w, w)))
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
        self.linear += _dot(y, allowed) - _dot(allowed, allowed / (4 * c).masked_fill(c == 0, 1))
        self.product += _dot(change, f)
        self.length += change.abs() @ pictures.lengths

    def value(self, squared: Tensor) -> Tensor:
        """The bound [P]; squared is w'w of a."""
        return self.linear - (squared + 2 * self.product + self.length**2) / 2


def _solved(
    pictures: Pictures, signs: Tensor, costs: Tensor, a: Tensor, tol: float, max_steps: int
) -> Solution:
    problems = _Problems(pictures, signs, costs, a, tol)
    problems.run(max_steps)
    found, rest = problems.solution, problems.exhausted
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
        worse = ~(_dot(a, f) / 2 + _dot(costs * slack, slack) <= costs.sum(dim=1))  # than w = 0
        a[worse], f[worse] = 0, 0
        self.solution = Solution(a, f, unknown, unknown.clone(), none)
        self.least = unknown.clone()  # objective so far
        self.wasted = none.clone()
        self.factorise = torch.zeros_like(none, dtype=torch.bool)
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

    def _measure(self, which: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Objective and gap of these problems; their slack, r and G r [P, n]."""
        y, c, a, f = (
            self.signs[which],
            self.costs[which],
            self.solution.a[which],
            self.solution.f[which],
        )
        slack = (1 - y * f).clamp_(min=0).masked_fill_(c == 0, 0)
        r = a - 2 * c * y * slack
        Gr = self.pictures.times(r)
        objective = _dot(a, f) / 2 + _dot(c * slack, slack)
        resolved = LEAST_GAIN * torch.finfo(f.dtype).eps * objective
        near_a = DualBound()
        near_a.add(self.pictures, y, c, a, f)
        gap = torch.minimum(_dot(r, Gr) / 2, objective - near_a.value(_dot(a, f)))
        gap = gap.clamp_(min=resolved)
        gained = self.least[which] - objective
        self.least[which] = torch.fmin(self.least[which], objective)
        wasted = ~(gained >= resolved)  # so written, what is not a number is wasted, too
        self.wasted[which] = torch.where(wasted, self.wasted[which] + 1, 0)
        # Directions that are nearly Newton's may lead on too slowly.
        self.factorise[which] |= gained < self.tol * objective
        self.solution.objective[which], self.solution.gap[which] = objective, gap
        return slack, r, Gr

    def _step(self, left: Tensor) -> Tensor:
        """One step of each of these problems; which of them are not solved yet."""
        slack, r, Gr = self._measure(left)
        gap, objective = self.solution.gap[left], self.solution.objective[left]
        solved = gap <= self.tol * objective
        at_rounding = gap <= 2 * LEAST_GAIN * torch.finfo(r.dtype).eps * objective
        self.wasted[left[~solved & at_rounding]] = MAX_WASTED
        going = ~solved & (self.wasted[left] < MAX_WASTED)
        left, slack, r, Gr = left[going], slack[going], r[going], Gr[going]
        if not len(left):
            return left
        y, c = self.signs[left], self.costs[left]
        needed = (self.tol * objective / gap)[going] / 2  # what the gap must still shrink by
        p, Gp = self._direction(left, torch.where(slack > 0, 2 * c, 0), r, Gr, needed)
        f, a = self.solution.f[left], self.solution.a[left]
        t = _best_step(c, 1 - y * f, y * Gp, _dot(a, Gp), _dot(p, Gp))
        # A direction that is nearly Newton's should lead about as far.
        self.factorise[left] |= (t < SHORT_STEP) | (t > LONG_STEP)
        a = a + _column(t, p) * p
        # Not f + t G p: what rounding leaves of the large values of the first steps would stay.
        self.solution.a[left], self.solution.f[left] = a, self.pictures.times(a)
        self.solution.steps[left] += 1
        return left

    def _direction(
        self, which: Tensor, curvature: Tensor, r: Tensor, Gr: Tensor, needed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Newton's p and G p [P, n]; curvature [P, n] is 2c on the active set and 0 elsewhere."""
        p, Gp = torch.empty_like(r), torch.empty_like(r)
        active = curvature > 0
        moved = (active != self.active[which]).sum(dim=1)
        self.active[which] = active
        size = active.sum(dim=1)
        settled = moved <= SETTLED * size
        budget = self.pictures.factorisation_cost(size) / self.pictures.product_cost()
        budget /= ITERATION_COST
        solved = torch.zeros_like(settled)
        tried = ((budget > MIN_BUDGET) & ~self.factorise[which]).nonzero()[:, 0]
        if len(tried):
            p[tried], Gp[tried], solved[tried] = _by_gradients(
                self.pictures,
                curvature[tried],
                r[tried],
                Gr[tried],
                reduction=needed[tried].clamp(min=ETA**2).masked_fill(~settled[tried], torch.inf),
                budget=budget[tried],
            )
            self.factorise[which[tried]] |= ~solved[tried]
        rest = (~solved).nonzero()[:, 0]
        if len(rest):
            p[rest], Gp[rest] = _by_factorising(self.pictures, curvature[rest], r[rest], Gr[rest])
        return p, Gp


def _by_gradients(
    pictures: Pictures,
    curvature: Tensor,
    r: Tensor,
    Gr: Tensor,
    *,
    reduction: Tensor,
    budget: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Nearly p and G p [P, n], and which problems [P] got there within their budget of iterations.

    The squared length of the residual is to fall to `reduction` [P] of what it was; where that is
    infinite, its squared length as `Leading` measures it to ETA^2, which takes fewer iterations.
    """
    p, Gp = torch.zeros_like(r), torch.zeros_like(r)
    solved = torch.zeros(len(r), dtype=torch.bool, device=r.device)
    left = torch.arange(len(r), device=r.device)
    x, Gx, r, Gr = torch.zeros_like(r), torch.zeros_like(r), -r, -Gr
    inverse = pictures.leading.inverses(curvature)
    d, Gd = pictures.leading.applied(inverse, r, Gr)  # the direction of this iteration
    length = _dot(r, Gd)
    loose = reduction.isinf()
    target = torch.where(loose, ETA**2 * length, -torch.inf)
    exact_target = torch.where(loose, -torch.inf, reduction * _dot(r, Gr))
    for used in itertools.count(1):
        Hd = d + curvature * Gd
        bend = _dot(Hd, Gd)
        step = _column(torch.where(bend > 0, length / bend, 0), r)
        x, Gx, r = x + step * d, Gx + step * Gd, r - step * Hd
        Gr = pictures.times(r)
        z, Gz = pictures.leading.applied(inverse, r, Gr)
        before, length = length, _dot(r, Gz)
        # So written, what is not a number is done, too.
        done = ~((length > target) & (_dot(r, Gr) > exact_target))
        stopped = done | (used >= budget)
        # Copying what is left costs as much as several of these lines: not for every problem.
        if stopped.double().mean() > 0.1 or used % 8 == 0:
            p[left[done]], Gp[left[done]], solved[left[done]] = x[done], Gx[done], True
            going = ~stopped
            left = left[going]
            if not len(left):
                return p, Gp, solved
            (x, Gx, r, z, Gz, d, Gd, curvature, inverse, length, before, target, exact_target,
             budget) = (each[going] for each in (
                 x, Gx, r, z, Gz, d, Gd, curvature, inverse, length, before, target, exact_target,
                 budget))  # fmt: skip
        again = _column(length / before, r)
        d, Gd = z + again * d, Gz + again * Gd
    raise AssertionError("budgets are finite")


def _by_factorising(
    pictures: Pictures, curvature: Tensor, r: Tensor, Gr: Tensor
) -> tuple[Tensor, Tensor]:
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

    q = torch.stack(each_problem(solved, curvature, Gr, num_bytes=2 * r.element_size() * active**2))
    return q - r, pictures.times(q) - Gr


def _solution(system: Tensor, right: Tensor) -> Tensor:
    """The solution of a symmetric positive definite system; 0 where rounding made it another."""
    factor, failed = torch.linalg.cholesky_ex(system)
    if failed:
        return torch.zeros_like(right)
    return torch.cholesky_solve(right[:, None], factor)[:, 0]


def _best_step(c: Tensor, margin: Tensor, change: Tensor, ap: Tensor, pp: Tensor) -> Tensor:
    """The t [P] > 0 at which P(w + t p) is least, but for 1 % of its slope at 0.

    margin [P, n] is 1 - y f, change [P, n] is y G p; ap and pp [P] are w'p and p'p.
    P's slope along p grows with t and is piecewise linear: Newton's method between two bounds.
    """
    t = torch.ones_like(ap)
    low, high = torch.zeros_like(t), torch.full_like(t, torch.inf)
    at_0 = (ap - 2 * _dot(c * margin.clamp(min=0), change)).abs()
    loss = _dot(c * margin.clamp(min=0), margin.clamp(min=0))
    for _ in range(MAX_SEARCH):
        slack = (margin - _column(t, change) * change).clamp_(min=0)
        slope = ap + t * pp - 2 * _dot(c * slack, change)
        gained = loss - _dot(c * slack, slack) - t * ap - t * t * pp / 2
        found = (slope.abs() <= 0.01 * at_0) & (gained >= 0)
        if found.all():
            break
        low, high = torch.where(slope < 0, t, low), torch.where(slope < 0, high, t)
        middle = torch.where(high.isinf(), 2 * low, (low + high) / 2)
        rise = pp + 2 * _dot(c * (slack > 0) * change, change)
        tangent = t - slope / rise
        inside = (tangent > low) & (tangent < high)  # false where there is no rise
        # Others' search must not lead a problem away from what it has found.
        t = torch.where(found, t, torch.where(inside, tangent, middle))
    return t


def _dot(u: Tensor, v: Tensor) -> Tensor:
    """Inner products of the rows of u and v [P, n], summed in float64: [P]."""
    return (u * v).sum(dim=1, dtype=torch.float64)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values[:, None].to(like.dtype)
