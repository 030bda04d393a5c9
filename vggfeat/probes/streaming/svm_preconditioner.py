"""A preconditioner of the Hessians of SVMs, in coordinates along the vectors' principal axes.

Examples differ most along few directions, and there conjugate gradients are slow. The axes
Q [D, r] of X'X, taken from a sample of the examples, are those of all problems. Along the first s
of them each problem has its own block of its Hessian I + X_S' 2c X_S, summed over some of its
active examples, and inverted; along the others X'X counts with its eigenvalues, times a theta by
which the whole has the Hessian's trace; and with its mean beyond them.

Shapes: P problems, Q of them, D dimensions with the 1 for the intercept, r axes, s with a block.
"""

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.svm_memory import FACTORISED_AT_ONCE

READ_ROWS = 128
SMALLEST_EIGENVALUE = 1e-6  # of the largest; smaller ones are inaccurate in float32
TINY = torch.finfo(torch.float32).tiny


class PrincipalAxes:
    """Axes Q [D, r] of a sample of the vectors, and all examples' eigenvalues [r] along them.

    elsewhere is the mean eigenvalue beyond them. All is in float64, as the largest eigenvalue may
    be that of millions of examples beside a 1.
    """

    def __init__(self, vectors: VectorBlocks, device: str, *, num_axes: int, num_rows: int):
        sample = torch.from_numpy(_sample(vectors, num_rows)).to(device)
        num_rows, D = sample.shape
        by_dimension = num_rows > D
        G = sample.T @ sample if by_dimension else sample @ sample.T
        total = G.diagonal().sum(dtype=torch.float64)
        if by_dimension:
            del sample
        values, axes = torch.linalg.eigh(G)
        del G
        kept = (values > SMALLEST_EIGENVALUE * values[-1]).nonzero()[:, 0].flip(0)[:num_axes]
        values, axes = values[kept].double(), axes[:, kept]
        if not by_dimension:
            axes = sample.T @ axes
        self.Q = torch.linalg.qr(axes.double())[0]
        scale = vectors.shape[0] / num_rows
        self.eigenvalues = values * scale
        self.elsewhere = (total - values.sum()).clamp(min=0) * scale / max(1, D - len(kept))

    def leading(self, size: int) -> Tensor:
        """The first axes [D, s] in float32, at most so many."""
        return self.Q[:, :size].float()


class Preconditioner:
    """Approximate inverses of the Hessians of P problems, set anew at each point of a problem."""

    def __init__(self, axes: PrincipalAxes, num_problems: int, leading: Tensor):
        self.axes, self.leading, self.size = axes, leading, leading.shape[1]
        beyond = axes.eigenvalues[self.size :].sum()
        self.trace = beyond + axes.elsewhere * (axes.Q.shape[0] - axes.Q.shape[1])
        self.inverses = self.leading.new_zeros(num_problems, self.size, self.size)
        self.scales = axes.Q.new_zeros(num_problems, self.size)
        self.theta = axes.Q.new_zeros(num_problems)

    def set(self, problems: Tensor, blocks: Tensor, traces: Tensor) -> None:
        """Set the Hessians of these problems [Q], but for I: blocks [Q, s, s] and traces [Q]."""
        inside = blocks.diagonal(dim1=1, dim2=2).sum(dim=1, dtype=torch.float64)
        self.theta[problems] = (traces - inside).clamp(min=0) / self.trace.clamp(min=TINY)
        for first in range(0, len(problems), FACTORISED_AT_ONCE):
            some = slice(first, first + FACTORISED_AT_ONCE)
            inverses, scales = _inverse_plus_1(blocks[some])
            self.inverses[problems[some]] = inverses.to(blocks)
            self.scales[problems[some]] = scales

    def solve(self, problems: Tensor, right: Tensor) -> Tensor:
        """About H^-1 right [Q, D] of these problems [Q]."""
        theta, Q, size = self.theta[problems, None], self.axes.Q, self.size
        along = right @ Q
        elsewhere = 1 / (1 + theta * self.axes.elsewhere)
        solution = along / (1 + theta * self.axes.eigenvalues)
        scales, inverses = self.scales[problems], self.inverses[problems]
        scaled = (along[:, :size] * scales).float()
        solution[:, :size] = torch.bmm(inverses, scaled[:, :, None])[:, :, 0] * scales
        return right * elsewhere + (solution - along * elsewhere) @ Q.T


def _inverse_plus_1(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """(I + block)^-1 as s R s with scales s [Q, s] and inverses R [Q, s, s], in float64.

    The scaled matrix has a diagonal of 1, so that float32 has digits enough for its inverse. Where
    its factorisation fails, R is I.
    """
    H = blocks.double()
    diagonal = H.diagonal(dim1=1, dim2=2).add_(1)
    scales = diagonal.rsqrt()
    H *= scales[:, :, None] * scales[:, None, :]
    factors, failed = torch.linalg.cholesky_ex(H)
    factors[failed != 0] = torch.eye(H.shape[1], dtype=H.dtype, device=H.device)
    return torch.cholesky_inverse(factors), scales


def _sample(vectors: VectorBlocks, num_rows: int) -> np.ndarray:
    """Evenly spread examples, each with a 1 at its end."""
    n, d = vectors.shape
    num_rows = min(n, num_rows)
    chosen = np.arange(num_rows) * n // num_rows
    X = np.ones((num_rows, d + 1), np.float32)
    for block, rows in vectors.blocks(READ_ROWS):
        low, high = np.searchsorted(chosen, [block.start, block.stop])
        X[low:high, :-1] = rows[chosen[low:high] - block.start]
    return X
