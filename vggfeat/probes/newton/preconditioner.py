"""A low-rank preconditioner of the systems of Newton's directions.

Conjugate gradients are slow along the few directions in which examples differ most. With the
first eigenvectors U [n, m] of G and their eigenvalues, Z = U sqrt(eigenvalues) [n, m] are the
examples' coordinates along them, and

    G ~ Z Z' + diag(residual),    residual [n]: the squared length of each example beyond Z.

With this in place of G a system G_SS + 1/2c is solved by Woodbury's formula, nearly for nothing.

Shapes: P problems, n examples, m directions.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vggfeat.devices import resolved_precision
from vggfeat.probes.newton.batched import dot, map_problems

if TYPE_CHECKING:
    from vggfeat.probes.newton.design_matrix import DesignMatrix

RANK, SUBSPACE_ITERATIONS = 64, 3
SETUP_COST = RANK * (SUBSPACE_ITERATIONS + 2)  # in products of G with a vector
SMALLEST_EIGENVALUE = 1e-5  # of the largest; smaller ones are inaccurate in float32
ROWS_AT_ONCE = 1024


class LowRankPreconditioner:
    """Z [n, m], the residual diagonal [n], and G - Z Z' in bf16 [n, n] or None."""

    def __init__(self, design: "DesignMatrix"):
        X, n = design.X, design.n
        rank = min(RANK, n // 2, design.d)
        generator = torch.Generator().manual_seed(0)
        U = torch.randn(n, rank, generator=generator, dtype=torch.float64).to(X)
        for _ in range(SUBSPACE_ITERATIONS):
            U = torch.linalg.qr(design.times(U.T).T)[0]
        eigenvalues, rotation = torch.linalg.eigh((design.times(U.T) @ U).double())
        accurate = eigenvalues > SMALLEST_EIGENVALUE * eigenvalues.max()
        U = U @ rotation[:, accurate].to(X.dtype)
        # As U is not exact, U times the root is not Z.
        self.Z = design.times(U.T).T / eigenvalues[accurate].sqrt().to(X.dtype)
        self.residual = (design.squared_norms - (self.Z**2).sum(dim=1)).clamp(min=0)
        self.remainder = None if design.gram is None else self._remainder(design.gram)

    def _remainder(self, G: Tensor) -> Tensor | None:
        """G - Z Z' in bf16 [n, n], where bf16 is multiplied faster than the type of G."""
        if G.dtype != torch.float32 or resolved_precision("auto", G.device.type) != "bf16":
            return None
        blocks = zip(G.split(ROWS_AT_ONCE), self.Z.split(ROWS_AT_ONCE), strict=True)
        return torch.cat([(rows - Z @ self.Z.T).bfloat16() for rows, Z in blocks])

    def inverse_diagonal(self, curvature: Tensor) -> Tensor:
        """1 / (residual + 1/2c) on S, 0 elsewhere [P, n]; curvature [P, n] is 2c on S, else 0."""
        return curvature / (1 + curvature * self.residual)

    def inverses(self, inverse_diagonal: Tensor) -> Tensor:
        """(I + Z_S' diag(inverse_diagonal) Z_S)^-1 [P, m, m]; 0 if the factorisation failed."""
        systems = torch.stack(map_problems(self._system, inverse_diagonal)).double()
        systems.diagonal(dim1=1, dim2=2).add_(1)
        factors, failed = torch.linalg.cholesky_ex(systems)
        failed = (failed != 0)[:, None, None]
        identity = torch.eye(factors.shape[-1], dtype=factors.dtype, device=factors.device)
        inverses = torch.cholesky_inverse(torch.where(failed, identity, factors))
        return inverses.masked_fill_(failed, 0).to(self.Z.dtype)

    def _system(self, inverse_diagonal: Tensor) -> Tensor:
        S = inverse_diagonal.nonzero()[:, 0]
        Z = self.Z[S]
        return (Z * inverse_diagonal[S, None]).T @ Z

    def solve(self, inverses: Tensor, inverse_diagonal: Tensor, right: Tensor) -> Tensor:
        """The solution [P, n] for this right-hand side [P, n], by Woodbury's formula."""
        v = inverse_diagonal * right
        along = torch.bmm(inverses, (v @ self.Z)[:, :, None])[:, :, 0]
        return v - inverse_diagonal * (along @ self.Z.T)

    def quadratic_form(self, a: Tensor) -> Tensor:
        """a' (Z Z' + diag(residual)) a, about a'Ga [P], for a [P, n]."""
        along = a @ self.Z
        return dot(along, along) + dot(a, a * self.residual)
