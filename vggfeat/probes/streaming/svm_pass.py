"""One pass over vectors that serves many linear SVMs: what holds at points, products of Hessians.

Shapes: n examples, P problems, Q of them, D dimensions with the 1, m rows of a block, s leading
axes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.svm_memory import ROWS_IN_FLOAT64, samples_of_a_block

SIGNS_AT_ONCE = 2**20  # values
NEAR = 0.05  # examples beyond the margin by no more than this are nearly in the active set


@dataclass(frozen=True)
class Points:
    """What a pass sums up at the weights w [Q, D] of these problems [Q].

    loss [Q] is sum c s^2, combination [Q, D] is X'b with b = 2 c y s, trace [Q] that of X_S' 2c X_S
    and hessian [Q, s, s] about its block along the leading axes; num_active [Q] is the size of the
    active set S, which num_changed [Q] of the examples have joined or left; num_near [Q] examples
    are in it or nearly.
    """

    problems: Tensor
    w: Tensor
    loss: Tensor
    combination: Tensor
    trace: Tensor
    hessian: Tensor
    num_active: Tensor
    num_changed: Tensor
    num_near: Tensor

    @classmethod
    def at(cls, problems: Tensor, w: Tensor, size: int) -> "Points":
        loss, trace, num_active, num_changed, num_near = w.new_zeros(5, len(w))
        hessian = w.new_zeros(len(w), size, size, dtype=torch.float32)
        sums = torch.zeros_like(w)
        return cls(problems, w, loss, sums, trace, hessian, num_active, num_changed, num_near)


@dataclass(frozen=True)
class Products:
    """The products X_S' 2c X_S v [Q, D] of these problems [Q] with v [Q, D]."""

    problems: Tensor
    v: Tensor
    product: Tensor

    @classmethod
    def of(cls, problems: Tensor, v: Tensor) -> "Products":
        return cls(problems, v, torch.zeros_like(v))


class Passes:
    """Passes over vectors for problems with signs [n, P].

    costs [2, P] are c of negative and of positive examples; leading [D, s] are the axes of
    `Points.hessian`. The active sets [n, P] are those of each problem's last point. scores [n, P],
    if wanted, receives those of each problem's last point.
    """

    def __init__(
        self,
        vectors: VectorBlocks,
        signs: np.ndarray,
        costs: Tensor,
        *,
        rows: int,
        leading: Tensor,
        scores: np.ndarray | None = None,
    ):
        self.vectors, self.signs, self.costs = vectors, signs, costs
        self.rows, self.leading, self.scores = rows, leading, scores
        self.most = samples_of_a_block(leading.shape[1], rows, len(signs))
        self.active = np.zeros(signs.shape, bool)
        self.count = 0

    def run(self, works: Sequence[tuple[torch.dtype, Points, Products]]) -> None:
        """One pass, in which these sums are made in these types."""
        self.count += 1
        for block, rows in self.vectors.blocks(self.rows):
            for dtype, points, products in works:
                for part, x in self._parts(block, rows, dtype):
                    if len(products.problems):
                        self._add_products(part, x, products)
                    if len(points.problems):
                        self._add_points(part, x, points)

    def objective_at_zero(self) -> Tensor:
        """The objectives [P] of no weights."""
        counts = torch.from_numpy(sign_counts(self.signs)).to(self.costs)
        return (self.costs * counts).sum(dim=0)

    def _parts(
        self, block: slice, rows: np.ndarray, dtype: torch.dtype
    ) -> Iterator[tuple[slice, Tensor]]:
        """A block in a type: in float64 a few rows at a time."""
        step = len(rows) if dtype == torch.float32 else ROWS_IN_FLOAT64
        for first in range(0, len(rows), step):
            x = torch.from_numpy(rows[first : first + step]).to(self.costs.device, dtype)
            yield slice(block.start + first, block.start + first + len(x)), x

    def _columns(self, matrix: np.ndarray, part: slice, problems: Tensor) -> Tensor:
        """The columns [m, Q] of these problems in some rows of a matrix [n, P]."""
        rows = matrix[part]
        if len(problems) < rows.shape[1]:
            rows = rows[:, problems.cpu().numpy()]
        return torch.from_numpy(rows).to(self.costs.device)

    def _set_columns(
        self, matrix: np.ndarray, part: slice, problems: Tensor, values: Tensor
    ) -> None:
        if len(problems) < matrix.shape[1]:
            matrix[part, problems.cpu().numpy()] = values.cpu().numpy()
        else:
            matrix[part] = values.cpu().numpy()

    def _add_points(self, part: slice, x: Tensor, points: Points) -> None:
        w, chosen = points.w.to(x.dtype), points.problems
        z = torch.addmm(w[:, -1], x, w[:, :-1].T)
        if self.scores is not None:
            self._set_columns(self.scores, part, chosen, z)
        y = self._columns(self.signs, part, chosen).to(x.dtype)
        margin = z.mul_(y)
        points.num_near.add_(((margin < 1 + NEAR) & (y != 0)).sum(dim=0))
        slack = margin.neg_().add_(1).clamp_(min=0).mul_(y.abs())
        active = slack > 0
        negative, positive = self.costs[:, chosen].to(x.dtype)
        c = torch.where(y > 0, positive, negative)
        curvature = 2 * c * active
        points.trace.add_(curvature.T @ ((x * x).sum(dim=1) + 1))
        self._add_hessians(x, curvature, active, points.hessian)
        c *= slack
        points.loss.add_(curvature.copy_(c).mul_(slack).sum(dim=0, dtype=torch.float64))
        b = c.mul_(y).mul_(2)
        points.combination[:, :-1] += b.T @ x
        points.combination[:, -1] += b.sum(dim=0, dtype=torch.float64)
        points.num_changed.add_((self._columns(self.active, part, chosen) != active).sum(dim=0))
        points.num_active.add_(active.sum(dim=0))
        self._set_columns(self.active, part, chosen, active)

    def _add_products(self, part: slice, x: Tensor, products: Products) -> None:
        v, chosen = products.v.to(x.dtype), products.problems
        z = torch.addmm(v[:, -1], x, v[:, :-1].T)
        negative, positive = 2 * self.costs[:, chosen].to(x.dtype)
        z *= torch.where(self._columns(self.signs, part, chosen) > 0, positive, negative)
        z *= self._columns(self.active, part, chosen)
        products.product[:, :-1] += z.T @ x
        products.product[:, -1] += z.sum(dim=0, dtype=torch.float64)

    def _add_hessians(self, x: Tensor, curvature: Tensor, active: Tensor, hessian: Tensor) -> None:
        """Add blocks along the leading axes, of some active examples that stand for all of x.

        Of each problem's active examples, the first of every equal share of them is taken.
        """
        rank = active.cumsum(dim=0, dtype=torch.int32)
        num_active = rank[-1].clone()
        most = max(1, self.most * len(x) // self.rows)
        rank.mul_(most).floor_divide_(num_active.clamp(min=most))
        taken = active.clone()
        taken[1:] &= rank[1:] != rank[:-1]
        taken[0] &= rank[0] > 0
        problem, row = taken.T.nonzero(as_tuple=True)
        num_taken = taken.sum(dim=0)
        place = torch.arange(len(row), device=x.device)
        place -= (num_taken.cumsum(dim=0) - num_taken)[problem]
        weight = curvature[row, problem] * (num_active / num_taken.clamp(min=1))[problem]
        along = x[row].to(self.leading) @ self.leading[:-1] + self.leading[-1]
        size = self.leading.shape[1]
        Z = self.leading.new_zeros(len(num_taken), int(num_taken.max()), size)
        Z[problem, place] = along * weight.sqrt()[:, None].to(along)
        hessian.baddbmm_(Z.transpose(1, 2), Z)


def sign_counts(signs: np.ndarray) -> np.ndarray:
    """The number of negatives and of positives in each column of signs [n, P]: [2, P]."""
    counts = np.zeros((2, signs.shape[1]), np.int64)
    step = max(1, SIGNS_AT_ONCE // signs.shape[1])
    for first in range(0, len(signs), step):
        block = signs[first : first + step]
        counts += [(block < 0).sum(axis=0), (block > 0).sum(axis=0)]
    return counts
