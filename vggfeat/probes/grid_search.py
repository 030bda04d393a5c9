"""The choice of a probe's hyper-parameter: a grid search on examples that are held out.

Shapes: n examples, K classes.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vggfeat.probes.probe import Fits

# When the search ends; see `choose`.
PATIENCE = 2
SATURATED = 0.999
# Of scores: equal means of other summands differ in their last bits, and are equal all the same.
DECIMALS = 12

Score = Callable[[np.ndarray, np.ndarray], float | np.ndarray]  # see `choose`


def choose(
    fits: "Fits",
    folds: Sequence[np.ndarray],
    *,
    grid: Sequence[float],
    score: Score,
    patience: int | None = None,
    saturated: float = SATURATED,
    progress: Callable[[int], None] = lambda num_done: None,
) -> tuple[float | np.ndarray, dict[float, float]]:
    """The value of the grid that scores best on held-out examples, and the mean score of each.

    Each fold holds the rows [m] that are held out together. score takes their decision values
    [m, K] and the rows, and returns one number, for one value, or one for each class [K], for a
    value for each class; folds are averaged. NaN is the score of a class that cannot be scored; it
    gets the value that is best in the mean of the others. A class that a fold leaves without
    positives or negatives has decision values of NaN. The smallest of equally good values wins.

    The grid is tried upwards. With patience the search ends after so many values in a row that were
    no better than one before, for no class, if the score on the training examples is at least
    `saturated`: until then a larger value may still learn what smaller ones could not.

    A fold of all rows holds none out: where each class has one example, it trains and validates.
    """
    held_out = [rows if len(rows) < len(fits.signs) else rows[:0] for rows in folds]
    signs = np.concatenate([_without(fits.signs, rows) for rows in held_out], axis=1)
    untrained, num_classes = ~can_be_trained(signs), fits.signs.shape[1]
    training = [np.setdiff1d(np.arange(len(signs)), rows) for rows in held_out]
    values, scores, best = sorted(map(float, grid)), [], -np.inf
    for value in values:
        decisions = fits.decisions(signs, value)
        decisions[:, untrained] = np.nan
        by_fold = np.split(decisions, len(folds), axis=1)
        scores.append(np.round(_mean_score(score, by_fold, folds), DECIMALS))
        fits.start_from(np.broadcast_to(scores[-1] > best, num_classes))
        best = np.fmax(best, scores[-1])
        progress(len(scores))
        if (
            patience
            and np.all(_steps_since_best(scores) >= patience)
            and np.nanmin(_mean_score(score, by_fold, training)) >= saturated
        ):
            break
    by_class = np.reshape(scores, (len(scores), -1))  # [values, 1] or [values, K]
    chosen = np.array(values)[_best_of_each_class(by_class)]
    means = dict(zip(values, np.nanmean(by_class, axis=1).tolist(), strict=False))
    return (chosen if np.ndim(scores[0]) else float(chosen[0])), means


def can_be_trained(signs: np.ndarray) -> np.ndarray:
    """Whether columns of signs [n, K] have both positives and negatives: [K]."""
    return (signs > 0).any(axis=0) & (signs < 0).any(axis=0)


def _without(signs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A copy of signs [n, K] in which these rows are left out of training."""
    signs = signs.copy()
    signs[rows] = 0
    return signs


def _mean_score(
    score: Score, by_fold: Sequence[np.ndarray], rows: Sequence[np.ndarray]
) -> float | np.ndarray:
    """The mean over folds of the score of these rows; by_fold are the decision values [n, K]."""
    pairs = zip(by_fold, rows, strict=True)
    return np.mean([score(decisions[subset], subset) for decisions, subset in pairs], axis=0)


def _steps_since_best(scores: Sequence[float | np.ndarray]) -> np.ndarray:
    """How many values ago each class first had its best score: [1] or [K]."""
    by_class = np.nan_to_num(np.reshape(scores, (len(scores), -1)), nan=-np.inf)
    return len(scores) - 1 - by_class.argmax(axis=0)


def _best_of_each_class(by_class: np.ndarray) -> np.ndarray:
    """The row of the first best score of each column [K] of by_class [values, K]."""
    cannot_be_scored = np.isnan(by_class).any(axis=0)
    best_in_the_mean = np.nanmean(by_class, axis=1).argmax()
    own_best = np.where(cannot_be_scored, 0, by_class).argmax(axis=0)
    return np.where(cannot_be_scored, best_in_the_mean, own_best)
