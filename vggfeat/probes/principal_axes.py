"""Examples in coordinates along their principal axes: what factorises a Gram matrix once for all.

Along these axes the examples' covariance is diagonal, and of few examples with many dimensions only
as many coordinates are left as there are examples.

Shapes: n examples, d dimensions, r <= min(n, d) axes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NEGLIGIBLE = 1e-13  # of the largest eigenvalue: rounding of float64


@dataclass(frozen=True, kw_only=True)
class PrincipalAxes:
    """The mean [d] of examples, their orthonormal axes [d, r], and eigenvalues [r], in float64.

    An eigenvalue is the sum of the squared coordinates of all examples along its axis.
    """

    mean: Tensor
    axes: Tensor
    eigenvalues: Tensor

    @classmethod
    def of(cls, X: Tensor) -> "PrincipalAxes":
        """The axes of X [n, d] in float64, by the smaller of its two Gram matrices."""
        mean = X.mean(dim=0)
        centred = X - mean
        is_wide = X.shape[1] > X.shape[0]
        products = gram(centred if is_wide else centred.T)
        eigenvalues, vectors = torch.linalg.eigh(products)
        kept = eigenvalues > NEGLIGIBLE * eigenvalues.max().clamp(min=torch.finfo(X.dtype).tiny)
        eigenvalues, vectors = eigenvalues[kept], vectors[:, kept]
        axes = centred.T @ (vectors / eigenvalues.sqrt()) if is_wide else vectors
        return cls(mean=mean, axes=axes, eigenvalues=eigenvalues)

    def coordinates(self, X: Tensor) -> Tensor:
        """The coordinates [m, r] of X [m, d]."""
        return (X - self.mean) @ self.axes

    def in_dimensions(self, weights: Tensor, intercept: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [K, r] of coordinates and intercepts [K], as those of X: [K, d] and [K]."""
        coef = weights @ self.axes.T
        return coef, intercept - coef @ self.mean


def gram(A: Tensor) -> Tensor:
    """A A'; of a CPU's by NumPy, which sees that it is symmetric: half the work."""
    if A.device.type == "cpu":
        rows = A.numpy()
        return torch.from_numpy(rows @ rows.T)
    return A @ A.T
