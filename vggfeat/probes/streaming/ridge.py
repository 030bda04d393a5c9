"""Ridge regression to vectors on disk: moments by one pass, then systems of d equations.

The objective is that of ridge.py, in closed form: w = (X'X + alpha)^-1 X'y of centred X, along the
axes of X'X, which all values of alpha share.

Shapes: n examples, d dimensions, P problems of two classes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.grid_search import can_be_trained
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.principal_axes import PrincipalAxes
from vggfeat.probes.probe import Fits
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.moments import GRAMS_BYTES, Moments, moments_of
from vggfeat.probes.streaming.scores import held_out_scores, scores_of

Factorised = tuple[np.ndarray, PrincipalAxes, Tensor, Tensor]  # of a group of classes, see `_solve`


class StreamedRidgeFits(Fits):
    """Fits to X [n, d]: a pass for the moments of the examples, then one for each alpha's scores.

    Where classes leave out examples of their own, each group of them has an X'X; those of several
    passes are computed again for each alpha.
    """

    def __init__(
        self, X: VectorBlocks, signs: np.ndarray, *, exclusive: bool = False, device: str = "cpu"
    ):
        self.X, self.signs, self.device = X, signs, device
        self.last: tuple[np.ndarray, list[Factorised]] | None = None

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        """NaN, in examples that all columns are trained on, where all hold out the same others."""
        trained = can_be_trained(signs)
        columns = signs if trained.all() else signs[:, trained]
        held_out = ~columns.any(axis=1)
        classifier = self._fit(columns, np.full(columns.shape[1], value))
        if columns[~held_out].all():
            scores = held_out_scores(classifier, self.X, held_out)
        else:
            scores = scores_of(classifier, self.X)
        if trained.all():
            return scores
        of_all = np.full(signs.shape, np.nan, dtype=np.float32)
        of_all[:, trained] = scores
        return of_all

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        return self._fit(self.signs, np.broadcast_to(value, self.signs.shape[1]).astype(float))

    def _fit(self, signs: np.ndarray, alphas: np.ndarray) -> LinearClassifier:
        coef = np.empty((signs.shape[1], self.X.shape[1]))
        intercept = np.empty(signs.shape[1])
        for classes, axes, on_axes, target_means in self._factorised(signs):
            of_classes = torch.as_tensor(alphas[classes], device=self.device)
            weights = (on_axes / (axes.eigenvalues[:, None] + of_classes)).T
            w, b = axes.in_dimensions(weights, target_means)
            coef[classes], intercept[classes] = w.cpu().numpy(), b.cpu().numpy()
        return LinearClassifier(coef=coef, intercept=intercept)

    def _factorised(self, signs: np.ndarray) -> Iterator[Factorised] | list[Factorised]:
        """The moments of each group of classes along their axes; those of the last time at once."""
        if self.last is not None and np.array_equal(signs, self.last[0]):
            return self.last[1]
        self.last = None
        factorised = map(_along_axes, moments_of(self.X, signs, device=self.device))
        kept: list[Factorised] = []
        for group in factorised:
            kept.append(group)
            if len(kept) * 8 * self.X.shape[1] ** 2 > GRAMS_BYTES and len(kept) > 1:
                return _chained(kept, factorised)
        self.last = signs.copy(), kept
        return kept


def _chained(kept: list[Factorised], rest: Iterator[Factorised]) -> Iterator[Factorised]:
    """All groups, of which those that were given are forgotten."""
    while kept:
        yield kept.pop(0)
    yield from rest


def _along_axes(moments: Moments) -> Factorised:
    """Classes, axes, products [r, P_g] of coordinates with targets, and the targets' means."""
    axes = moments.axes()
    return moments.classes, axes, axes.axes.T @ moments.with_targets, moments.target_means
