"""Logistic regressions of many classes at once: L-BFGS over shared coordinates of the examples.

A problem has k rows of weights W [k, r] and intercepts b [k]: k classes that exclude each other
(softmax), or k = 1, one class against the rest. It minimises, over examples that it is trained on,

    F(W, b) = |W|^2 / 2 + C * sum_i loss_i,    loss_i = log sum_k exp(f_ik) - f_iy, or
                                               loss_i = log(1 + exp(-y_i f_i)),

with f = W z + b; the intercepts are not regularised. Minimised over b alone, F is strongly
convex in W: where the gradient in b is 0, no more than |dF/dW|^2 / 2 can still be gained. That is
the gap by which a problem counts as solved.

L-BFGS (Nocedal & Wright 2006, algorithm 7.4) starts each direction from the inverse of a diagonal
Hessian, which is close as z are coordinates along principal axes: 1 + C * h * eigenvalue, with h
the mean curvature of the class's losses. As scores are linear in the step, its length is searched
for without further products with the examples.

Shapes: P problems, k classes of each, n examples, r coordinates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

MEMORY = 20  # pairs of steps and changes of the gradient that directions are made of
MAX_TRIALS = 30  # step lengths of a line search
SLOPE_LEFT = 0.2  # of the slope at 0, where a line search ends
ON_THE_WAY = 0.1  # curvature for each unit of a derivative
LEAST_CURVATURE = 1e-6  # of a mean, so that no class's diagonal vanishes

Pair = tuple[Tensor, Tensor]  # of weights [P, k, r] and intercepts [P, k, 1]
# Scores f and targets [P, k, n] -> losses [P], derivatives and curvatures [P, k, n].
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def softmax_loss(f: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of classes that exclude each other; targets are 1 for the class, all 0 where left out."""
    used = targets.sum(dim=1, keepdim=True)
    log_sum = f.logsumexp(dim=1, keepdim=True)
    p = (f - log_sum).exp() * used
    losses = ((log_sum - (f * targets).sum(dim=1, keepdim=True)) * used).sum(dim=(1, 2))
    return losses, p - targets, p * (1 - p)


def binary_loss(f: Tensor, signs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of one class against the rest; a sign of 0 leaves an example out."""
    used = signs.abs()
    miss = (-signs * f).sigmoid() * used  # the probability of the other sign
    return (softplus(-signs * f) * used).sum(dim=(1, 2)), -signs * miss, miss * (1 - miss)


@dataclass(frozen=True)
class Problems:
    """Logistic regressions over the examples Z [n, r], whose Z'Z has these eigenvalues [r].

    targets [P, k, n] are those of the loss; C is [P].
    """

    Z: Tensor
    eigenvalues: Tensor
    targets: Tensor
    C: Tensor
    loss: Loss

    def scores(self, W: Tensor, b: Tensor) -> Tensor:
        """f [P, k, n] of weights W [P, k, r] and intercepts b [P, k, 1]."""
        return W @ self.Z.T + b


@dataclass
class Point:
    """Weights W [P, k, r], intercepts b [P, k, 1] and scores f, with F [P] and its gradient there.

    inverse is about the inverse of the diagonal of F's Hessian, for W and b.
    """

    W: Tensor
    b: Tensor
    f: Tensor
    F: Tensor
    gradient: tuple[Tensor, Tensor]
    inverse: tuple[Tensor, Tensor]

    @classmethod
    def at(cls, problems: Problems, W: Tensor, b: Tensor, f: Tensor) -> "Point":
        losses, derivatives, curvatures = problems.loss(f, problems.targets)
        C = as_column(problems.C)
        # Where f is far on the wrong side nothing curves, and yet it does on the way back.
        curved = curvatures + ON_THE_WAY * derivatives.abs()
        bend = C * curved.mean(dim=2, keepdim=True).clamp(min=LEAST_CURVATURE)
        return cls(
            W=W,
            b=b,
            f=f,
            F=(W * W).sum(dim=(1, 2)) / 2 + problems.C * losses,
            gradient=(W + C * (derivatives @ problems.Z), C * derivatives.sum(dim=2, keepdim=True)),
            inverse=(1 / (1 + bend * problems.eigenvalues), 1 / (bend * len(problems.Z))),
        )

    @property
    def gap(self) -> Tensor:
        """About what can still be gained, relative to F [P]: in W, and by the intercepts' steps."""
        return gap_of(self.gradient, self.inverse, self.F)


def gap_of(gradient: Pair, inverse: Pair, F: Tensor) -> Tensor:
    """The gap [P] relative to F [P], of the gradient and about the inverse Hessian's diagonal."""
    (dW, db), (_, inverse_b) = gradient, inverse
    return ((dW * dW).sum(dim=(1, 2)) + (db * inverse_b * db).sum(dim=(1, 2))) / (2 * F)


class Memory:
    """The last steps of L-BFGS and what they changed in the gradient: the direction from there."""

    def __init__(self, num_steps: int = MEMORY):
        self.num_steps = num_steps
        self.pairs: list[tuple[Pair, Pair, Tensor]] = []

    def add(self, step: Pair, change: Pair) -> None:
        """A problem that stood still has no share in it: the inverse of s'y is 0 there."""
        product = dot(step, change)
        self.pairs.append((step, change, torch.where(product > 0, 1 / product, 0)))
        del self.pairs[: -self.num_steps]

    def forget(self, problems: Tensor) -> Tensor:
        """Forget all of these problems [P]; which of them there was nothing of, [P]."""
        was_empty = torch.ones_like(problems)
        for _, _, inverse in self.pairs:
            was_empty &= inverse == 0
            inverse[problems] = 0
        return problems & was_empty

    def direction(self, point: Point) -> Pair:
        """The direction [P, k, r] and [P, k, 1] of the next step."""
        q, shares = point.gradient, []
        for step, change, inverse in reversed(self.pairs):
            shares.append(inverse * dot(step, q))
            q = plus(q, change, -shares[-1])
        q = tuple(each * inverse for each, inverse in zip(q, point.inverse, strict=True))
        if self.pairs:
            _, change, inverse = self.pairs[-1]
            bent = tuple(y * each for y, each in zip(change, point.inverse, strict=True))
            scale = torch.where(inverse > 0, 1 / (inverse * dot(change, bent)), 1)
            q = tuple(as_column(scale) * each for each in q)
        for (step, change, inverse), share in zip(self.pairs, reversed(shares), strict=True):
            q = plus(q, step, share - inverse * dot(change, q))
        return tuple(-each for each in q)


def solve(
    problems: Problems, W: Tensor, b: Tensor, *, tol: float, max_iter: int
) -> tuple[Point, Tensor]:
    """The minima from these W and b, where the gap is at most tol, and iterations of each [P].

    Begins at 0 where these are worse. Ends without that gap after max_iter, or where rounding
    leaves nothing to gain.
    """
    F = Point.at(problems, W, b, problems.scores(W, b)).F
    F_at_0 = Point.at(problems, 0 * W, 0 * b, torch.zeros_like(problems.targets)).F
    W, b = (as_column(F <= F_at_0) * each for each in (W, b))
    point, memory = Point.at(problems, W, b, problems.scores(W, b)), Memory()
    iterations = torch.zeros_like(problems.C, dtype=torch.int64)
    stalled = torch.zeros_like(problems.C, dtype=torch.bool)
    for _ in range(max_iter):
        working = ~(point.gap <= tol) & ~stalled
        if not working.any():
            break
        direction = memory.direction(point)
        change = problems.scores(*direction)
        t = torch.where(working, _step_length(problems, point, direction, change), 0)
        W, b = plus((point.W, point.b), direction, t)
        new = Point.at(problems, W, b, point.f + as_column(t) * change)
        # Without a gain the gradient is tried next; if that gains nothing, it is rounding.
        stalled |= memory.forget(working & ~(new.F < point.F))
        memory.add(
            (W - point.W, b - point.b), plus(new.gradient, point.gradient, -torch.ones_like(t))
        )
        point = new
        iterations += working
    return point, iterations


def _step_length(problems: Problems, point: Point, direction: Pair, change: Tensor) -> Tensor:
    """A t [P] at which F(point + t direction) is less, with little slope left if that is found.

    change [P, k, n] is that of the scores. The slope grows with t: secants and halves between two
    bounds. 0 where no such t is found.
    """
    t = torch.ones_like(problems.C)
    slope_at_0 = dot(point.gradient, direction)
    low, high = torch.zeros_like(t), torch.full_like(t, torch.inf)
    slope_low, slope_high = slope_at_0, torch.zeros_like(t)
    along, squared = ((each * direction[0]).sum(dim=(1, 2)) for each in (point.W, direction[0]))
    penalty = (point.W**2).sum(dim=(1, 2)) / 2
    for trial in range(MAX_TRIALS):
        losses, derivatives, _ = problems.loss(point.f + as_column(t) * change, problems.targets)
        slope = along + t * squared + problems.C * (derivatives * change).sum(dim=(1, 2))
        F = penalty + t * along + t * t * squared / 2 + problems.C * losses
        is_good = (slope.abs() <= -SLOPE_LEFT * slope_at_0) & ((slope <= 0) | (F <= point.F))
        if is_good.all():
            break
        is_low = slope < 0
        low, slope_low = torch.where(is_low, t, low), torch.where(is_low, slope, slope_low)
        high, slope_high = torch.where(is_low, high, t), torch.where(is_low, slope_high, slope)
        secant = low - slope_low * (high - low) / (slope_high - slope_low)
        inner = (low + high) / 2 if trial % 3 == 2 else secant
        # A problem keeps its step while the search of others goes on.
        t = torch.where(is_good, t, torch.where(high.isinf(), 2 * t, inner))
    return torch.where(slope_at_0 < 0, torch.where(is_good, t, low), 0)


def dot(a: Pair, b: Pair) -> Tensor:
    """The product of each problem's [P]."""
    return sum((x * y).sum(dim=(1, 2)) for x, y in zip(a, b, strict=True))


def plus(a: Pair, b: Pair, factor: Tensor) -> Pair:
    """a + factor b, where factor is [P]."""
    return tuple(x + as_column(factor) * y for x, y in zip(a, b, strict=True))


def as_column(values: Tensor) -> Tensor:
    """Values [P] beside what is [P, k, n]."""
    return values[:, None, None]
