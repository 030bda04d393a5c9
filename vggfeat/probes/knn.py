"""Nearest neighbours by cosine as a probe: the votes of the k nearest, weighted or plain.

A weighted vote counts exp(cosine / 0.07), as in DINO's evaluation (Caron et al. 2021, after Wu et
al. 2018): a class's score is its share of the weights. A plain vote counts 1, and classes with as
many votes are ordered by their shares of the weights: the score is (votes + share / 2) / (k + 1/2).
Of classes that are equal even so the first wins, as with every probe. Of training examples that are
equally near, to 2^-22, the earlier one is the neighbour. A vector of zeros is at cosine 0 from all.

Where a class leaves out an example, its neighbours are the nearest of the others.

Shapes: n examples, d dimensions, K classes, P problems of two classes, m vectors to be scored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.sparse import csc_array, csr_array
from torch import Tensor
from torch.nn.functional import normalize

from vggfeat.probes.probe import Classifier, Fits, Probe

TEMPERATURE = 0.07  # DINO's
STEPS = 2**22  # of cosines, as neighbours are ordered by them
BLOCK_VALUES = 2**22  # cosines at once


class WeightedNeighbours(Probe):
    """The k nearest neighbours, votes weighted by their nearness."""

    name = "knn"
    title = "k-NN, weighted votes"
    hyperparameter = "k"
    grid = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
    patience = None
    is_plain: ClassVar[bool] = False

    def method(self) -> dict[str, Any]:
        votes = "plain, equal ones by weights" if self.is_plain else "weighted"
        return {"distance": "cosine", "votes": votes, "temperature": TEMPERATURE}

    def fits(self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False) -> "NeighbourFits":
        return NeighbourFits(X, signs, is_plain=self.is_plain, device=self.device)


class PlainNeighbours(WeightedNeighbours):
    """The k nearest neighbours, one vote each."""

    name = "knn_plain"
    title = "k-NN, plain votes"
    is_plain = True


class NeighbourFits(Fits):
    """Fits that look for the neighbours once for all values of k."""

    def __init__(self, X: np.ndarray, signs: np.ndarray, *, is_plain: bool, device: str):
        self.signs, self.is_plain = signs, is_plain
        self.examples = _unit_vectors(X, device)
        self.last: tuple[np.ndarray, list[Neighbours]] | None = None

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        """NaN for examples that all columns are trained on: each would be its own neighbour.

        Where none is held out, as with one example a class, each is.
        """
        held_out = held_out_of(signs, self.signs)
        if self.last is None or not np.array_equal(signs, self.last[0]):
            scored = self.examples[torch.from_numpy(held_out).to(self.examples.device)]
            count = int(max(value, *WeightedNeighbours.grid))
            self.last = signs, list(_neighbours(self.examples, signs, scored, count))
        scores = np.full(signs.shape, np.nan)
        k = np.full(signs.shape[1], value)
        scores[held_out] = votes(self.last[1], positives_of(signs), k, self.is_plain)
        return scores

    def fit(self, value: float | Sequence[float]) -> "NeighbourClassifier":
        return NeighbourClassifier(
            examples=self.examples.cpu().numpy(),
            signs=self.signs.astype(np.int8),
            k=np.broadcast_to(value, self.signs.shape[1]).astype(np.int64),
            is_plain=self.is_plain,
            device=self.examples.device.type,
        )


@dataclass(frozen=True, kw_only=True)
class NeighbourClassifier(Classifier):
    """Training examples [n, d] of length one with their signs [n, K], and the k of each class."""

    kind = "knn"
    examples: np.ndarray
    signs: np.ndarray
    k: np.ndarray
    is_plain: bool
    device: str = "cpu"

    def decisions(self, X: np.ndarray) -> np.ndarray:
        examples = torch.from_numpy(self.examples).to(self.device)
        scored = _unit_vectors(X, self.device)
        groups = list(_neighbours(examples, self.signs, scored, int(self.k.max())))
        return votes(groups, positives_of(self.signs), self.k, self.is_plain)

    def arrays(self) -> dict[str, np.ndarray]:
        plain = np.array(self.is_plain, np.uint8)
        return {"examples": self.examples, "signs": self.signs, "k": self.k, "is_plain": plain}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "NeighbourClassifier":
        examples, signs, k = arrays["examples"], arrays["signs"], arrays["k"]
        if signs.ndim != 2 or examples.ndim != 2 or len(signs) != len(examples):
            raise ValueError(f"examples is of shape {examples.shape}, signs of {signs.shape}")
        if k.shape != signs.shape[1:] or not (k >= 1).all():
            raise ValueError(f"k is no number of neighbours for each of {signs.shape[1]} classes")
        return cls(
            examples=examples.astype(np.float32),
            signs=signs,
            k=k,
            is_plain=bool(arrays["is_plain"]),
        )


def held_out_of(signs: np.ndarray, all_signs: np.ndarray) -> np.ndarray:
    """Which examples [n] are scored, of signs [n, P] for folds of all signs [n, K]: a mask."""
    trained = np.tile(all_signs, signs.shape[1] // all_signs.shape[1]) != 0
    held_out = ((signs == 0) & trained).any(axis=1)
    return held_out | ((signs == 0).any(axis=1) if held_out.any() else True)


@dataclass(frozen=True)
class Neighbours:
    """The nearest examples of m scored vectors, for classes that are trained on the same ones.

    rows [m, count] are those of the examples, nearest first, and cosines [m, count] theirs.
    """

    classes: np.ndarray
    rows: np.ndarray
    cosines: np.ndarray


def _neighbours(
    examples: Tensor, signs: np.ndarray, scored: Tensor, count: int
) -> Iterator[Neighbours]:
    """The count nearest examples [n, d] of each scored vector [m, d]; all if they are fewer."""
    masks, group_of = np.unique(signs != 0, axis=1, return_inverse=True)
    for group, used in enumerate(masks.T):
        rows = np.flatnonzero(used)
        near, cosines = _nearest(
            examples[torch.from_numpy(used).to(examples.device)], scored, count
        )
        yield Neighbours(np.flatnonzero(group_of.ravel() == group), rows[near], cosines)


def _nearest(examples: Tensor, scored: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosines [m, count] of the nearest examples, in blocks."""
    num_rows = max(1, BLOCK_VALUES // max(1, len(examples)))
    order = torch.arange(len(examples), device=examples.device)
    count = min(count, len(examples))
    # Made before the blocks: what stays between them in memory keeps the next from its place, so
    # that 20,000 vectors beside 80,000 examples took 17 GB.
    rows = torch.empty((len(scored), count), dtype=torch.int64)
    cosines = torch.empty((len(scored), count), dtype=examples.dtype)
    for start in range(0, len(scored), num_rows):
        here = slice(start, start + num_rows)
        cosine = scored[here] @ examples.T
        # Whole numbers, no two of which are equal.
        rank = (cosine * STEPS).round().long() * len(examples) - order
        nearest = rank.topk(count, dim=1).indices
        rows[here], cosines[here] = nearest, cosine.gather(1, nearest)
    return rows.numpy(), cosines.numpy()


def votes(
    groups: Sequence[Neighbours], positives: csc_array, k: np.ndarray, is_plain: bool
) -> np.ndarray:
    """The scores [m, P] of problems with these positives [n, P], each by the k [P] nearest."""
    scores = np.full((len(groups[0].rows), len(k)), np.nan)
    for neighbours in groups:
        for number in np.unique(k[neighbours.classes]):
            classes = neighbours.classes[k[neighbours.classes] == number]
            rows, cosines = (e[:, : int(number)] for e in (neighbours.rows, neighbours.cosines))
            positive = positives if len(classes) == len(k) else positives[:, classes]
            weights = np.exp(cosines.astype(np.float64) / TEMPERATURE)
            share = _sums(rows, weights / weights.sum(axis=1, keepdims=True), positive)
            if is_plain:
                share = (_sums(rows, np.ones_like(weights), positive) + share / 2) / (
                    len(rows[0]) + 0.5
                )
            scores[:, classes] = share
    return scores


def positives_of(signs: np.ndarray) -> csc_array:
    """Where signs [n, P] are positive, as ones: few beside the others."""
    return csc_array(signs > 0).astype(np.float64)


def _sums(rows: np.ndarray, weights: np.ndarray, positive: csc_array) -> np.ndarray:
    """The summed weights [m, P] of those neighbours [m, k] that are positive [n, P]."""
    ends = np.arange(0, rows.size + 1, rows.shape[1])
    shape = len(rows), positive.shape[0]
    return (csr_array((weights.ravel(), rows.ravel(), ends), shape=shape) @ positive).toarray()


def _unit_vectors(X: np.ndarray, device: str) -> Tensor:
    return normalize(torch.from_numpy(X.astype(np.float32)).to(device), dim=1)
