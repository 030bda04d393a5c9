"""Pictures and their Gram matrix: the products that linear SVMs of the same pictures share.

Shapes: P problems, n pictures, d dimensions with the 1, m leading directions. Everything is on one
device.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import torch
from torch import Tensor

NUM_LEADING, LEADING_ROUNDS = 64, 3  # directions that lead gradients, and how they are found
LEAST_LEADING = 1e-5  # of the first: smaller eigenvalues are not sound in float32
# A factorisation reaches this part of the speed of a product, and a value of G_SS takes as long to
# gather as so many operations of a product. Measured on CPUs; only speed hangs on them.
FACTORISING_SPEED, GATHERING_COST = 0.4, 400
SYSTEMS_BYTES = 2 * 2**30  # of systems and their factors that are worked on at once


class Pictures:
    """Pictures X [n, d - 1], to each of which a 1 is appended, and the products with them.

    Their Gram matrix is kept if it is not larger than twice the pictures themselves.
    """

    def __init__(self, X: Tensor):
        self.X = X
        self.n, self.d = X.shape[0], X.shape[1] + 1

    @cached_property
    def gram(self) -> Tensor | None:
        """G [n, n], or None where products through the pictures are cheaper."""
        if self.n > 2 * self.d:
            return None
        if self.X.device.type == "cpu":  # NumPy sees that it is symmetric, which is half the work
            X = self.X.numpy()
            return torch.from_numpy(X @ X.T).add_(1)
        return self.X @ self.X.T + 1

    @cached_property
    def lengths(self) -> Tensor:
        """The length of each picture [n]."""
        return ((self.X**2).sum(dim=1) + 1).sqrt()

    @cached_property
    def leading(self) -> "Leading":
        return Leading(self)

    @cached_property
    def exact(self) -> "Pictures":
        """The same in float64."""
        return self if self.X.dtype == torch.float64 else Pictures(self.X.double())

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

    With the first eigenvectors U [n, m] of G and their eigenvalues l, V = X'U / sqrt(l) are
    orthonormal directions of w. Over them the Hessian is I + T, T = Z_S' diag(curvature) Z_S with
    Z = U sqrt(l), and elsewhere it is taken for I: M = I + V T V'. What M^-1 makes of a gradient
    costs next to nothing, and gradients that it leads need a third of the products.
    """

    def __init__(self, pictures: Pictures):
        X, n = pictures.X, pictures.n
        count = min(NUM_LEADING, n // 2)
        draw = torch.Generator().manual_seed(0)
        U = torch.randn(n, count, generator=draw, dtype=torch.float64).to(X)
        for _ in range(LEADING_ROUNDS):  # subspace iteration
            U = torch.linalg.qr(pictures.times(U.T).T)[0]
        eigenvalues, turned = torch.linalg.eigh((pictures.times(U.T) @ U).double())
        sound = eigenvalues > LEAST_LEADING * eigenvalues.max()
        self.root = eigenvalues[sound].sqrt().to(X.dtype)
        self.U = U @ turned[:, sound].to(X.dtype)
        self.Z = pictures.times(self.U.T).T / self.root  # as U is not exact, U times root is not Z

    def inverses(self, curvature: Tensor) -> Tensor:
        """(I + T)^-1 - I of each problem [P, m, m]."""
        T = torch.stack(each_problem(self._hessian, curvature)).double()
        identity = torch.eye(len(self.root), dtype=torch.float64, device=T.device)
        return (torch.linalg.inv(identity + T) - identity).to(self.Z.dtype)

    def applied(self, inverses: Tensor, r: Tensor, Gr: Tensor) -> tuple[Tensor, Tensor]:
        """z and G z [P, n], where X'z = M^-1 X'r."""
        t = torch.bmm(inverses, (r @ self.Z)[:, :, None])[:, :, 0]
        return r + t / self.root @ self.U.T, Gr + t @ self.Z.T

    def _hessian(self, curvature: Tensor) -> Tensor:
        S = curvature.nonzero()[:, 0]
        Z = self.Z[S]
        return (Z * curvature[S, None]).T @ Z


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
