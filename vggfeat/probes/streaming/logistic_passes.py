"""Logistic regressions of many classes by L-BFGS, each of whose evaluations is a pass over blocks.

logistic_solver.py has the objective F, the gap by which a problem counts as solved, and the
directions. There the scores of all examples stay in memory, so that step lengths cost no products;
here nothing of the examples stays, and a step length is tried by a pass. The first one is mostly
taken, so that an iteration is one pass, where there are two products in memory.

Shapes: P problems, k classes of each, n examples, d dimensions, r axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.logistic_solver import (
    LEAST_CURVATURE,
    MAX_TRIALS,
    ON_THE_WAY,
    Loss,
    Memory,
    Pair,
    as_column,
    binary_loss,
    dot,
    gap_of,
    plus,
    softmax_loss,
)
from vggfeat.probes.principal_axes import PrincipalAxes
from vggfeat.probes.streaming.block_size import block_rows
from vggfeat.probes.streaming.blocks import VectorBlocks

SLOPE_LEFT = 0.7  # of the slope at 0, where a line search ends: a further trial is a pass
KEPT_STEPS = 10  # of L-BFGS: half of those in memory, as they are the largest arrays


@dataclass
class Solution:
    """Weights and intercepts [P * k, r + 1], the gap relative to F and iterations [P]."""

    rows: Tensor
    gap: Tensor
    iterations: Tensor


@dataclass
class Point:
    """Weights W [P, k, r], intercepts b [P, k, 1], F [P] and its gradient.

    inverse is about the inverse of the diagonal of F's Hessian, for W and b.
    """

    W: Tensor
    b: Tensor
    F: Tensor
    gradient: Pair
    inverse: Pair

    @property
    def gap(self) -> Tensor:
        """About what can still be gained, relative to F [P]."""
        return gap_of(self.gradient, self.inverse, self.F)

    def where(self, problems: Tensor, other: "Point") -> "Point":
        """The other point in these problems (a mask [P]), this one in the rest."""

        def choose(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(problems if a.ndim == 1 else as_column(problems), a, b)

        pairs = ((other.gradient, self.gradient), (other.inverse, self.inverse))
        return Point(
            *(choose(getattr(other, name), getattr(self, name)) for name in ("W", "b", "F")),
            *(tuple(map(choose, theirs, ours)) for theirs, ours in pairs),
        )


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Logistic regressions over the examples X [n, d] in coordinates along their principal axes.

    signs [n, P * k] are those of the classes; of several classes a problem they exclude each other.
    """

    X: VectorBlocks
    axes: PrincipalAxes
    signs: np.ndarray
    C: Tensor
    num_rows: int  # k
    dtype: torch.dtype

    @classmethod
    def of(
        cls,
        X: VectorBlocks,
        axes: PrincipalAxes,
        signs: np.ndarray,
        C: float | Sequence[float],
        *,
        num_rows: int,
        dtype: torch.dtype,
    ) -> "Passes":
        """The problems with one value of C, or one for each."""
        costs = np.broadcast_to(C, signs.shape[1] // num_rows).copy()
        costs = torch.as_tensor(costs, dtype=dtype, device=axes.mean.device)
        return cls(X=X, axes=axes, signs=signs, C=costs, num_rows=num_rows, dtype=dtype)

    @property
    def loss(self) -> Loss:
        return softmax_loss if self.num_rows > 1 else binary_loss

    def at(self, W: Tensor, b: Tensor, problems: Tensor) -> Point:
        """F and its gradient at these points, by a pass for those of a mask [P] alone.

        The others have a gradient of 0.
        """
        chosen = problems.nonzero()[:, 0]
        axes, mean = self.axes.axes.to(self.dtype), self.axes.mean.to(self.dtype)
        coef = W[chosen].flatten(0, 1) @ axes.T
        sums = self._sums(coef, b[chosen].flatten()[:, None] - (coef @ mean)[:, None], chosen)
        losses, of_vectors, of_ones, curved = sums
        # The gradient in the coordinates (x - mean) A of an example x.
        in_W = ((of_vectors - torch.outer(of_ones, self.axes.mean)) @ self.axes.axes).to(W)
        C, n = as_column(self.C[chosen]), self.X.shape[0]
        bend = C * (curved / n).reshape(len(chosen), -1, 1).clamp(min=LEAST_CURVATURE).to(W)
        penalty = (W[chosen].double() ** 2).sum(dim=(1, 2)) / 2
        point = Point(
            W,
            b,
            torch.zeros_like(self.C),
            (torch.zeros_like(W), torch.zeros_like(b)),
            (torch.ones_like(W), torch.ones_like(b)),
        )
        point.F[chosen] = (penalty + self.C[chosen].double() * losses).to(W)
        point.gradient[0][chosen] = W[chosen] + C * in_W.reshape(len(chosen), -1, W.shape[2])
        point.gradient[1][chosen] = C * of_ones.reshape(len(chosen), -1, 1).to(W)
        point.inverse[0][chosen] = 1 / (1 + bend * self.axes.eigenvalues.to(W))
        point.inverse[1][chosen] = 1 / (bend * n)
        return point

    def _sums(
        self, coef: Tensor, intercept: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Over all examples: losses [P], derivatives times vectors [P * k, d], derivatives and
        curvatures [P * k], in float64; coef [P * k, d] and intercept [P * k, 1] give the scores."""
        zeros = {"dtype": torch.float64, "device": coef.device}
        losses, of_vectors = torch.zeros(len(chosen), **zeros), torch.zeros(coef.shape, **zeros)
        of_ones, curved = torch.zeros(len(coef), **zeros), torch.zeros(len(coef), **zeros)
        shape, k = (len(chosen), self.num_rows, -1), self.num_rows
        columns = (chosen[:, None] * k + torch.arange(k, device=chosen.device)).flatten().cpu()
        is_all = len(columns) == self.signs.shape[1]
        for rows, block in self.X.blocks(block_rows(self.X.shape[1], len(coef))):
            vectors = torch.from_numpy(block).to(device=coef.device, dtype=self.dtype)
            signs = self.signs[rows] if is_all else self.signs[rows][:, columns.numpy()]
            targets = torch.from_numpy(np.ascontiguousarray(signs.T)).to(vectors).reshape(shape)
            if self.num_rows > 1:
                targets.clamp_(min=0)
            f = torch.addmm(intercept, coef, vectors.T).reshape(shape)
            loss, derivatives, curvatures = self.loss(f, targets)
            losses += loss
            curved += (curvatures + ON_THE_WAY * derivatives.abs()).sum(dim=2).flatten()
            derivatives = derivatives.flatten(0, 1)
            of_vectors += derivatives @ vectors
            of_ones += derivatives.sum(dim=1)
        return losses, of_vectors, of_ones, curved

    def value_at_0(self) -> Tensor:
        """F [P] of weights of 0, which needs no pass."""
        k = self.num_rows
        used = (self.signs > 0) if k > 1 else (self.signs != 0)
        counts = used.sum(axis=0).reshape(-1, k).sum(axis=1)
        return self.C * torch.as_tensor(counts * np.log(max(k, 2))).to(self.C)


def solve(passes: Passes, start: Tensor, *, tol: float, max_iter: int) -> Solution:
    """The minima from rows [P * k, r + 1] of a start, where the gap is at most tol.

    Begins at 0 where the start is worse. Ends without that gap after max_iter, or where rounding
    leaves nothing to gain.
    """
    rows = start.reshape(len(passes.C), passes.num_rows, -1)
    W, b = rows[:, :, :-1].contiguous(), rows[:, :, -1:].contiguous()
    everywhere = torch.ones_like(passes.C, dtype=torch.bool)
    point, memory = passes.at(W, b, everywhere), Memory(KEPT_STEPS)
    worse = point.F > passes.value_at_0()
    if worse.any():
        W, b = (as_column(~worse) * each for each in (W, b))
        point = point.where(worse, passes.at(W, b, worse))
    iterations = torch.zeros_like(passes.C, dtype=torch.int64)
    stalled = ~everywhere
    for _ in range(max_iter):
        working = ~(point.gap <= tol) & ~stalled
        if not working.any():
            break
        new = _step(passes, point, memory.direction(point), working)
        # Without a gain the gradient is tried next; if that gains nothing, it is rounding.
        gained = working & (new.F < point.F)
        stalled |= memory.forget(working & ~gained)
        new = point.where(gained, new)
        change = plus(new.gradient, point.gradient, -torch.ones_like(point.F))
        memory.add((new.W - point.W, new.b - point.b), change)
        point = new
        iterations += working
    rows = torch.cat([point.W, point.b], dim=2).flatten(0, 1).double()
    return Solution(rows=rows, gap=point.gap, iterations=iterations)


def _step(passes: Passes, point: Point, direction: Pair, working: Tensor) -> Point:
    """A point along the direction at which F is less, with less slope left if that is found.

    The slope grows with the step length t: secants and halves between two bounds, as in memory.
    """
    slope_at_0 = dot(point.gradient, direction)
    working = working & (slope_at_0 < 0)
    t, best = torch.where(working, 1.0, 0.0).to(point.F), point
    low, high = torch.zeros_like(t), torch.full_like(t, torch.inf)
    slope_low, slope_high = slope_at_0, torch.zeros_like(t)
    for trial in range(MAX_TRIALS):
        if not working.any():
            break
        new = passes.at(*plus((point.W, point.b), direction, t), working)
        slope = dot(new.gradient, direction)
        best = best.where(working & (new.F < best.F), new)
        is_good = (slope.abs() <= -SLOPE_LEFT * slope_at_0) & ((slope <= 0) | (new.F <= point.F))
        working = working & ~is_good
        is_low = slope < 0
        low, slope_low = torch.where(is_low, t, low), torch.where(is_low, slope, slope_low)
        high, slope_high = torch.where(is_low, high, t), torch.where(is_low, slope_high, slope)
        secant = low - slope_low * (high - low) / (slope_high - slope_low)
        inner = (low + high) / 2 if trial % 3 == 2 else secant
        t = torch.where(working, torch.where(high.isinf(), 2 * t, inner), t)
    return best
