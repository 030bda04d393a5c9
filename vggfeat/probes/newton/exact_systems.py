"""Newton's systems of small problems, in as many unknowns as there are examples or dimensions.

With active examples S and costs c, the parabola of a problem is least

- in the weights w [d], where (I + X_S' 2c X_S) w = X_S' 2c y;
- in a [n], of which w = X'a is the combination, where (G_SS + 1/2c) a_S = y_S, and 0 elsewhere.

Shapes: P problems, n examples, d dimensions with the 1, m unknowns: the lesser of n and d.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator

import numpy as np

MAX_KEPT = 2**25  # values of X_S' X_S of all problems that are kept: 256 MiB


class Systems(ABC):
    """Newton's systems over X [n, d - 1], to each example of which a 1 is appended, in float64."""

    X: np.ndarray  # [n, d]
    size: int  # m

    @abstractmethod
    def scores(self, v: np.ndarray) -> np.ndarray:
        """f [P, n] at unknowns v [P, m]."""

    @abstractmethod
    def dot(self, u: np.ndarray, v: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Inner products of the weights at u and at v [P, m], whose scores are known: [P]."""

    @abstractmethod
    def gap(self, v: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Half the squared length of w - X'b [P], for b [P, n]."""

    @abstractmethod
    def weights(self, v: np.ndarray) -> np.ndarray:
        """w [P, d] at unknowns v [P, m]."""

    @abstractmethod
    def newton(
        self, problems: np.ndarray, S: np.ndarray, y: np.ndarray, weights: np.ndarray, C: np.ndarray
    ) -> np.ndarray:
        """Where the parabolas are least [P, m], for active examples S and costs C * weights.

        problems [P] are the rows of `solve_exactly` that these are. A system that cannot be
        factorised leads to 0.
        """


def systems_of(X: np.ndarray) -> Systems:
    """The systems with the fewer unknowns for X [n, d - 1]."""
    X = np.concatenate([X, np.ones((len(X), 1))], axis=1, dtype=np.float64)
    return InExamples(X) if X.shape[0] <= X.shape[1] else InWeights(X)


class InExamples(Systems):
    """Systems in a, with the Gram matrix G [n, n]."""

    def __init__(self, X: np.ndarray):
        self.X, self.gram, self.size = X, X @ X.T, len(X)

    def scores(self, v: np.ndarray) -> np.ndarray:
        return v @ self.gram

    def dot(self, u: np.ndarray, v: np.ndarray, scores: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", u, scores)

    def gap(self, v: np.ndarray, b: np.ndarray) -> np.ndarray:
        r = v - b
        return np.einsum("ij,ij->i", r, r @ self.gram) / 2

    def weights(self, v: np.ndarray) -> np.ndarray:
        return v @ self.X

    def newton(
        self, problems: np.ndarray, S: np.ndarray, y: np.ndarray, weights: np.ndarray, C: np.ndarray
    ) -> np.ndarray:
        v = np.zeros_like(y)
        for rows in _alike(S, weights, C):
            active = S[rows[0]].nonzero()[0]
            everything = len(active) == self.size
            system = self.gram.copy() if everything else self.gram[active[:, None], active]
            system.ravel()[:: len(active) + 1] += 0.5 / (C[rows[0]] * weights[rows[0], active])
            v[np.ix_(rows, active)] = _solution(system, y[np.ix_(rows, active)])
        return v


class InWeights(Systems):
    """Systems in w. X_S' X_S of problems is kept: a step changes it by few examples."""

    def __init__(self, X: np.ndarray):
        self.X, self.size = X, X.shape[1]
        self.products: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def scores(self, v: np.ndarray) -> np.ndarray:
        return v @ self.X.T

    def dot(self, u: np.ndarray, v: np.ndarray, scores: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", u, v)

    def gap(self, v: np.ndarray, b: np.ndarray) -> np.ndarray:
        gradient = v - b @ self.X
        return np.einsum("ij,ij->i", gradient, gradient) / 2

    def weights(self, v: np.ndarray) -> np.ndarray:
        return v

    def newton(
        self, problems: np.ndarray, S: np.ndarray, y: np.ndarray, weights: np.ndarray, C: np.ndarray
    ) -> np.ndarray:
        inside = weights * S
        right = (inside * y) @ self.X
        v = np.empty_like(right)
        for rows in _alike(S, weights, C):
            system = self._product(problems[rows], inside[rows[0]]).copy()
            system.ravel()[:: self.size + 1] += 0.5 / C[rows[0]]
            v[rows] = _solution(system, right[rows])
        return v

    def _product(self, problems: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """X' diag(inside) X [d, d] of problems that are alike, from the last one of the first of
        them if that is less work."""
        before, product = self.products.get(problems[0], (None, None))
        change = inside if before is None else inside - before
        rows = change.nonzero()[0]
        if before is not None and 2 * len(rows) > np.count_nonzero(inside):
            before, change, rows = None, inside, inside.nonzero()[0]
        X = self.X[rows]
        changed = (X.T * change[rows]) @ X
        product = changed if before is None else product + changed
        for problem in problems:
            if problem in self.products or len(self.products) < MAX_KEPT // self.size**2:
                self.products[problem] = inside, product
        return product


def _alike(S: np.ndarray, weights: np.ndarray, C: np.ndarray) -> Iterator[list[int]]:
    """Rows whose systems are the same, so that they share a factorisation."""
    groups: dict[Hashable, list[int]] = {}
    plain = ((weights == 0) | (weights == 1)).all()  # then S says all
    for row in range(len(S)):
        key = S[row].tobytes(), C[row], None if plain else weights[row].tobytes()
        groups.setdefault(key, []).append(row)
    yield from groups.values()


def _solution(system: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solutions [P, k] of a symmetric positive definite system [k, k] for right [P, k]."""
    from scipy.linalg.lapack import dposv  # 0.1 s to import

    _, solution, failed = dposv(system.T, right.T, lower=1, overwrite_a=1)
    return np.zeros_like(right) if failed else solution.T
