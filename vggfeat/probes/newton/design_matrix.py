"""Pictures and their Gram matrix: the products that linear SVMs of the same pictures share.

Shapes: P problems, n pictures, d dimensions with the 1, m leading directions. Everything is on one
device.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import torch
from torch import Tensor

from vggfeat.devices import resolved_precision

NUM_LEADING, LEADING_ROUNDS = 64, 3  # directions that lead gradients, and how they are found
LEADING_COST = NUM_LEADING * (LEADING_ROUNDS + 2)  # products
LEAST_LEADING = 1e-5  # of the first: smaller eigenvalues are not sound in float32
# A factorisation reaches this part of the speed of a product, and a value of G_SS takes as long to
# gather as so many operations of a product. Measured on CPUs; only speed hangs on them.
FACTORISING_SPEED, GATHERING_COST = 0.4, 400
ROWS_AT_ONCE = 1024
SYSTEMS_BYTES = 2 * 2**30  # of systems and their factors that are worked on at once


class Pictures:
    """Pictures X [n, d - 1], to each of which a 1 is appended, and the products with them.

    Their Gram matrix is kept if it is not larger than twice the pictures themselves, unless they
    are for a few problems only, which it would take longer to work out than all else.
    """

    def __init__(self, X: Tensor, *, for_few: bool = False):
        self.X, self.for_few = X, for_few
        self.n, self.d = X.shape[0], X.shape[1] + 1

    @cached_property
    def gram(self) -> Tensor | None:
        """G [n, n], or None where products through the pictures are cheaper."""
        if self.for_few or self.n > 2 * self.d:
            return None
        if self.X.device.type == "cpu":  # NumPy sees that it is symmetric, which is half the work
            X = self.X.numpy()
            return torch.from_numpy(X @ X.T).add_(1)
        return self.X @ self.X.T + 1

    @cached_property
    def squared_lengths(self) -> Tensor:
        """Of each picture with its 1 [n]: the diagonal of G."""
        return (self.X**2).sum(dim=1) + 1

    @cached_property
    def leading(self) -> "Leading":
        return Leading(self)

    @cached_property
    def exact(self) -> "Pictures":
        """The same in float64, which few problems need."""
        return self if self.X.dtype == torch.float64 else Pictures(self.X.double(), for_few=True)

    def part(self, rows: slice) -> "Pictures":
        """These pictures, in float64."""
        return Pictures(self.X[rows].double())

    def weights(self, a: Tensor) -> Tensor:
        """a [P, n] -> w [P, d]."""
        return torch.cat([a @ self.X, a.sum(dim=1, keepdim=True)], dim=1)

    def scores(self, w: Tensor) -> Tensor:
        """w [P, d] -> f [P, n]."""
        return w[:, :-1] @ self.X.T + w[:, -1:]

    def times(self, a: Tensor) -> Tensor:
        """a [P, n] -> a G [P, n]."""
        return self.scores(self.weights(a)) if self.gram is None else a @ self.gram

    def nearly_times(self, a: Tensor) -> Tensor:
        """a [P, n] -> about a G [P, n]: in bf16, but for leading directions, where that is faster.

        What bf16 lacks of the remainder, its 9th digit in base 2, is little beside what it adds to.
        """
        Z, remainder = self.leading.Z, self.leading.remainder
        if remainder is None:
            return self.times(a)
        return (a.bfloat16() @ remainder).to(a.dtype) + a @ Z @ Z.T

    @property
    def has_leading(self) -> bool:
        """Whether the leading directions were found already."""
        return "leading" in vars(self)

    def among(self, rows: Tensor) -> Tensor:
        """G of these pictures [len(rows), len(rows)]."""
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
        """Operations of a product with one vector."""
        return 2 * self.n * (self.n if self.gram is not None else 2 * self.d)

    def factorisation_cost(self, active: Tensor) -> Tensor:
        """Operations of a product that take as long as factorising so many active pictures [P]."""
        size, gathering = active.double(), GATHERING_COST
        if self.gram is None:
            size, gathering = size.clamp(max=self.d), 2 * size.clamp(min=self.d)
        return size**3 / 3 / FACTORISING_SPEED + size**2 * gathering


class Leading:
    """The few directions in which pictures differ most, where gradients are slow without help.

    With the first eigenvectors U [n, m] of G and their eigenvalues, Z = U sqrt(eigenvalues) [n, m]
    are the pictures' coordinates along them. What Z Z' lacks of G is taken for diagonal: for `rest`
    [n], the squared length of what the coordinates lack of each picture. A system G_SS + 1/2c that
    is taken for Z_S Z_S' + diag(rest + 1/2c) is solved in next to no time.
    """

    def __init__(self, pictures: Pictures):
        X, n = pictures.X, pictures.n
        count = min(NUM_LEADING, n // 2, pictures.d)
        draw = torch.Generator().manual_seed(0)
        U = torch.randn(n, count, generator=draw, dtype=torch.float64).to(X)
        for _ in range(LEADING_ROUNDS):  # subspace iteration
            U = torch.linalg.qr(pictures.times(U.T).T)[0]
        eigenvalues, turned = torch.linalg.eigh((pictures.times(U.T) @ U).double())
        sound = eigenvalues > LEAST_LEADING * eigenvalues.max()
        U = U @ turned[:, sound].to(X.dtype)
        # As U is not exact, U times the root is not Z.
        self.Z = pictures.times(U.T).T / eigenvalues[sound].sqrt().to(X.dtype)
        self.rest = (pictures.squared_lengths - (self.Z**2).sum(dim=1)).clamp(min=0)
        self.remainder = None if pictures.gram is None else self._remainder(pictures.gram)

    def _remainder(self, G: Tensor) -> Tensor | None:
        """G - Z Z' in bf16 [n, n], where bf16 is multiplied faster than the pictures' type."""
        if G.dtype != torch.float32 or resolved_precision("auto", G.device.type) != "bf16":
            return None
        parts = zip(G.split(ROWS_AT_ONCE), self.Z.split(ROWS_AT_ONCE), strict=True)
        return torch.cat([(rows - Z @ self.Z.T).bfloat16() for rows, Z in parts])

    def weights(self, curvature: Tensor) -> Tensor:
        """1 / (rest + 1/2c) on S, 0 elsewhere [P, n]; curvature [P, n] is 2c on S, 0 elsewhere."""
        return curvature / (1 + curvature * self.rest)

    def inverses(self, weights: Tensor) -> Tensor:
        """(I + Z_S' diag(weights) Z_S)^-1 of each problem [P, m, m]; 0 where rounding forbids."""
        systems = torch.stack(each_problem(self._system, weights)).double()
        systems.diagonal(dim1=1, dim2=2).add_(1)
        factors, failed = torch.linalg.cholesky_ex(systems)
        failed = (failed != 0)[:, None, None]
        identity = torch.eye(factors.shape[-1], dtype=factors.dtype, device=factors.device)
        inverses = torch.cholesky_inverse(torch.where(failed, identity, factors))
        return inverses.masked_fill_(failed, 0).to(self.Z.dtype)

    def solved(self, inverses: Tensor, weights: Tensor, right: Tensor) -> Tensor:
        """The solution [P, n] of the system with this right-hand side, by Woodbury's formula."""
        v = weights * right
        along = torch.bmm(inverses, (v @ self.Z)[:, :, None])[:, :, 0]
        return v - weights * (along @ self.Z.T)

    def squares(self, a: Tensor) -> Tensor:
        """Nearly a'Ga [P]."""
        along = a @ self.Z
        return dot(along, along) + dot(a, a * self.rest)

    def _system(self, weights: Tensor) -> Tensor:
        S = weights.nonzero()[:, 0]
        Z = self.Z[S]
        return (Z * weights[S, None]).T @ Z


def each_problem(
    function: Callable[..., Tensor], *of_problems: Tensor, num_bytes: float = 0
) -> list[Tensor]:
    """What function makes of each problem's rows, on a CPU of several problems at once.

    Several cores for one small system would mostly wait for each other. num_bytes is what the
    largest takes: as many are worked on at once as SYSTEMS_BYTES holds.
    """
    threads, count = torch.get_num_threads(), len(of_problems[0])
    workers = int(min(threads, count, max(1, SYSTEMS_BYTES // max(1, num_bytes))))
    if of_problems[0].device.type != "cpu" or workers == 1:
        return list(map(function, *of_problems))
    own = [threads // workers]
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=own) as pool:
            return list(pool.map(function, *of_problems))
    finally:
        torch.set_num_threads(threads)


def dot(u: Tensor, v: Tensor) -> Tensor:
    """Inner products of the rows of u and v [P, n], summed in float64: [P]."""
    return (u * v).sum(dim=1, dtype=torch.float64)
