"""The design matrix of linear SVMs over the same examples, and the products that they share.

Shapes: P problems, n examples, d dimensions with the 1. Everything is on one device.
"""

from functools import cached_property

import torch
from torch import Tensor

from vggfeat.probes.newton.preconditioner import LowRankPreconditioner

# A factorisation reaches this part of the speed of a product, and gathering a value of G_SS takes
# as long as so many operations of a product. Measured on CPUs; they decide nothing but speed.
FACTORISING_SPEED, GATHERING_COST = 0.4, 400


class DesignMatrix:
    """Examples X [n, d - 1], to each of which a 1 is appended for the intercept.

    The Gram matrix G = X X' is kept if it is not larger than twice X. keep_gram=False is for a few
    problems only, for which computing it would take longer than everything else.
    """

    def __init__(self, X: Tensor, *, keep_gram: bool = True):
        self.X, self.keep_gram = X, keep_gram
        self.n, self.d = X.shape[0], X.shape[1] + 1

    @cached_property
    def gram(self) -> Tensor | None:
        """G [n, n], or None where products through X are cheaper."""
        if not self.keep_gram or self.n > 2 * self.d:
            return None
        if self.X.device.type == "cpu":  # NumPy sees that it is symmetric, which is half the work
            X = self.X.numpy()
            return torch.from_numpy(X @ X.T).add_(1)
        return self.X @ self.X.T + 1

    @cached_property
    def squared_norms(self) -> Tensor:
        """Squared length of each example with its 1 [n]: the diagonal of G."""
        return (self.X**2).sum(dim=1) + 1

    @cached_property
    def preconditioner(self) -> LowRankPreconditioner:
        """The preconditioner of every system in G, computed at first use."""
        return LowRankPreconditioner(self)

    @property
    def has_preconditioner(self) -> bool:
        """Whether the preconditioner is computed already."""
        return "preconditioner" in vars(self)

    @cached_property
    def in_float64(self) -> "DesignMatrix":
        """The same matrix in float64, which few problems need."""
        if self.X.dtype == torch.float64:
            return self
        return DesignMatrix(self.X.double(), keep_gram=False)

    def rows_in_float64(self, rows: slice) -> "DesignMatrix":
        """These examples alone, in float64."""
        return DesignMatrix(self.X[rows].double())

    def weights(self, a: Tensor) -> Tensor:
        """w = a X [P, d] for a [P, n]; the intercept is last."""
        return torch.cat([a @ self.X, a.sum(dim=1, keepdim=True)], dim=1)

    def scores(self, w: Tensor) -> Tensor:
        """f = w X' [P, n] for w [P, d]."""
        return w[:, :-1] @ self.X.T + w[:, -1:]

    def times(self, a: Tensor) -> Tensor:
        """a G [P, n] for a [P, n]."""
        return self.scores(self.weights(a)) if self.gram is None else a @ self.gram

    def times_approximately(self, a: Tensor) -> Tensor:
        """a G [P, n] for a [P, n]; in bf16 where that is faster, but for the low-rank part.

        The rounding of bf16, its 9th binary digit, is of the remainder only, and small beside the
        low-rank part that it is added to.
        """
        Z, remainder = self.preconditioner.Z, self.preconditioner.remainder
        if remainder is None:
            return self.times(a)
        return (a.bfloat16() @ remainder).to(a.dtype) + a @ Z @ Z.T

    def gram_among(self, rows: Tensor) -> Tensor:
        """G of these examples [len(rows), len(rows)], always a copy."""
        if self.gram is None:
            X = self.X[rows]
            return X @ X.T + 1
        return self.gram[rows[:, None], rows]

    def hessian(self, curvature: Tensor) -> Tensor:
        """I + X_S' diag(curvature) X_S [d, d]; curvature [n] is 0 outside of S."""
        S = curvature.nonzero()[:, 0]
        X = torch.cat([self.X[S], self.X.new_ones(len(S), 1)], dim=1) * curvature[S, None].sqrt()
        H = X.T @ X
        H.diagonal().add_(1)
        return H

    def product_cost(self) -> float:
        """Operations of a product of G with one vector."""
        return 2 * self.n * (self.n if self.gram is not None else 2 * self.d)

    def factorisation_cost(self, num_active: Tensor) -> Tensor:
        """Operations of a product that take as long as factorising G_SS + 1/2c: [P].

        num_active [P] is the size of S.
        """
        size, gathering = num_active.double(), GATHERING_COST
        if self.gram is None:
            size, gathering = size.clamp(max=self.d), 2 * size.clamp(min=self.d)
        return size**3 / 3 / FACTORISING_SPEED + size**2 * gathering
