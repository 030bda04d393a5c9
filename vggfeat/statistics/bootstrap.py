"""The bootstrap of test pictures: intervals of metrics and of their differences, and a p-value.

What is drawn, with replacement, is a picture with all its rows: random splits share test pictures,
so rows of several splits are no independent examples (the cluster bootstrap: Davison & Hinkley,
Bootstrap Methods and their Application, 1997, sect. 3.8). Each split's metric is computed from the
drawn pictures and averaged over splits. All metrics see the same draws, which makes differences
paired.

An interval is that of the percentiles (Efron & Tibshirani, An Introduction to the Bootstrap, 1993,
ch. 13): where the metric lies on average with as many other pictures of the same kind, given the
trained probes. What other training pictures would change is not in it. A picture that is drawn
twice lifts average precision a little, as it confirms itself; by the mean lift the interval of a
single value is moved back (the bootstrap's estimate of bias, ch. 10). In differences it cancels.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from vggfeat.statistics.weighted_metrics import WeightedMetric

NUM_DRAWS = 10_000
LEVEL = 0.95
ROUNDING = 1e-9
WEIGHTS_AT_ONCE = 2**19  # of draws times pictures: 4 MiB, which stay in a processor's cache


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Whether the value lies outside; one at an end does not."""
        return value < self.low or value > self.high

    def scaled(self, factor: float) -> "Interval":
        """The interval of the quantity times factor, which may be negative."""
        return Interval(*sorted(factor * end or 0.0 for end in self))  # no -0.0


def mean_over_splits(metric: WeightedMetric, weights: np.ndarray) -> np.ndarray:
    """The mean over splits [b] of a metric for weights [U, b]."""
    return metric.of_splits(weights).mean(axis=0)


def draws(
    metrics: Sequence[WeightedMetric],
    num_pictures: int,
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """Values [M, num_draws] of M metrics, each a mean over splits, with pictures drawn anew."""

    def values(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        weights = _weights(drawn.reshape(-1, num_pictures))
        return np.stack([mean_over_splits(metric, weights) for metric in metrics])

    if num_pictures == 1:  # which scipy refuses
        return np.repeat(values(np.zeros(1, dtype=int)), num_draws, axis=1)
    with warnings.catch_warnings():
        # Where all pictures are right, draws do not differ, of which scipy warns.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (np.arange(num_pictures),),
            values,
            n_resamples=num_draws,
            batch=max(1, WEIGHTS_AT_ONCE // num_pictures),
            vectorized=True,
            method="percentile",
            random_state=np.random.default_rng(seed),
        )
    return result.bootstrap_distribution


def interval_of_difference(differences: np.ndarray) -> Interval:
    """The 95 % interval from a difference's values [draws]; draws without a value do not count."""
    tail = (1 - LEVEL) / 2
    return Interval(*np.nanquantile(differences, [tail, 1 - tail]).tolist())


def interval_of_value(values: np.ndarray, value: float, num_pictures: int) -> Interval:
    """The 95 % interval from a metric's values [draws] and its value with the pictures as they are.

    The mean of the draws is moved to the value, see above. Metrics lie from 0 to 1. Where all
    pictures are right, or all wrong, every draw says so: then the interval is that of a share of so
    many pictures (Clopper & Pearson, Biometrika 26, 1934).
    """
    if value in (0, 1) and np.nanmax(values) - np.nanmin(values) < ROUNDING:
        of_share = stats.binomtest(round(value * num_pictures), num_pictures).proportion_ci(LEVEL)
        return Interval(of_share.low, of_share.high)
    return interval_of_difference(np.clip(values - np.nanmean(values) + value, 0, 1))


def bootstrap_p(differences: np.ndarray) -> float:
    """The two-sided p-value of no difference, from a difference's values [draws].

    Twice the smaller share of draws on either side of 0, where a draw of 0 is on both, and the data
    themselves count as one more draw (Davison & Hinkley, 1997, sect. 4.2), so that it is never 0.
    Where no draw is on the other side, so few draws cannot say how unlikely that is, and of several
    hundred tests none would be left by Holm's rule: then it is that of a normal distribution with
    the draws' mean and standard deviation, if that is less.
    """
    counted = differences[~np.isnan(differences)]
    smaller = min((counted <= 0).sum(), (counted >= 0).sum())
    by_draws = min(1, 2 * (smaller + 1) / (len(counted) + 1))
    deviation = counted.std() if len(counted) else 0
    if smaller or not deviation:
        return float(by_draws)
    by_normal = 2 * stats.norm.sf(abs(counted.mean()) / deviation)
    return float(min(by_draws, max(by_normal, np.finfo(float).tiny)))


def _weights(drawn: np.ndarray) -> np.ndarray:
    """How often each picture was drawn [U, b], from the drawn pictures' numbers [b, U]."""
    num_draws, num_pictures = drawn.shape
    places = drawn * num_draws + np.arange(num_draws)[:, None]
    counts = np.bincount(places.ravel(), minlength=num_pictures * num_draws)
    return counts.reshape(num_pictures, num_draws).astype(np.float64)
