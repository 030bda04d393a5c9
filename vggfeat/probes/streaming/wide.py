"""Ridge and logistic regression of few examples of many dimensions, whose vectors stream from disk.

Both see the examples by their products with each other alone. So X X', which is small here, gives
coordinates of the examples, as many as there are examples at most, which are fitted to in memory;
the weights in all dimensions follow from those by a pass.

Shapes: n examples, d dimensions, r <= n coordinates, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.principal_axes import NEGLIGIBLE
from vggfeat.probes.probe import Fits
from vggfeat.probes.streaming.block_size import block_rows
from vggfeat.probes.streaming.blocks import VectorBlocks

WIDE = 2  # dimensions for each example, from where on products [n, n] take less than [d, d]


def is_wide(n: int, d: int) -> bool:
    """Whether examples are few beside their dimensions."""
    return d > WIDE * n


class WideFits(Fits):
    """Fits to coordinates of X [n, d]; make gives those in memory, of coordinates [n, r]."""

    def __init__(self, X: VectorBlocks, signs: np.ndarray, make: Callable[[np.ndarray], Fits]):
        self.X, self.signs = X, signs
        products = _products(X)
        means = products.mean(axis=0)
        products += means.mean() - means - means[:, None]
        eigenvalues, vectors = np.linalg.eigh(products)
        del products
        kept = eigenvalues > NEGLIGIBLE * max(eigenvalues[-1], np.finfo(float).tiny)
        self.lengths, self.vectors = np.sqrt(eigenvalues[kept]), vectors[:, kept]
        self.fits = make(self.vectors * self.lengths)

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        return self.fits.decisions(signs, value)

    def start_from(self, classes: np.ndarray) -> None:
        self.fits.start_from(classes)

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        fitted = self.fits.fit(value)
        shares = (self.vectors / self.lengths) @ fitted.coef.T  # [n, K]: w is made of so much of x
        (n, d), num_classes = self.X.shape, len(fitted.coef)
        coef, mean = np.zeros((num_classes, d)), np.zeros(d)
        for rows, block in self.X.blocks(block_rows(d, num_classes)):
            coef += shares[rows].T @ block
            mean += block.sum(axis=0, dtype=np.float64) / n
        coef -= shares.sum(axis=0)[:, None] * mean
        return replace(fitted, coef=coef, intercept=fitted.intercept - coef @ mean)


def _products(X: VectorBlocks) -> np.ndarray:
    """X X' [n, n] in float64, a block of rows by all blocks before it."""
    n, d = X.shape
    rows_at_once = block_rows(d, n // 6)  # 8 bytes of a row for each of the n
    products = np.empty((n, n))
    for start in range(0, n, rows_at_once):
        here, vectors = slice(start, min(start + rows_at_once, n)), None
        for rows, block in X.blocks(rows_at_once):
            if rows.start >= here.stop:
                break
            others = block.astype(np.float64)
            if vectors is None:
                vectors = _rows_of(X, here)
            products[here, rows] = vectors @ others.T
            products[rows, here] = products[here, rows].T
    return products


def _rows_of(X: VectorBlocks, here: slice) -> np.ndarray:
    """These rows [m, d] in float64."""
    vectors = np.empty((here.stop - here.start, X.shape[1]))
    for rows, block in X.blocks(here.stop - here.start):
        first, stop = max(rows.start, here.start), min(rows.stop, here.stop)
        if first < stop:
            vectors[first - here.start : stop - here.start] = block[
                first - rows.start : stop - rows.start
            ]
        if rows.stop >= here.stop:
            break
    return vectors
