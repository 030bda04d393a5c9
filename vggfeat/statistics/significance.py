"""Tests of differences: McNemar's, several splits', the corrected resampled t-test; Holm's rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


def mcnemar_p(num_only_a: int, num_only_b: int) -> float:
    """The p-value of McNemar's exact test that two classifiers are right equally often.

    num_only_a and num_only_b count the pictures that only the one or only the other got right: of
    these either is half in expectation (McNemar, Psychometrika 12, 1947; exactly binomial).
    """
    num_discordant = num_only_a + num_only_b
    if not num_discordant:
        return 1.0
    return float(stats.binomtest(num_only_a, num_discordant).pvalue)


def p_over_splits(p_values: Sequence[float]) -> float:
    """One p-value of several splits' that depend on each other in any way: twice their median.

    Meinshausen, Meier & Buehlmann (JASA 104, 2009, sect. 2.2, gamma = 0.5). One split's p-value
    stays as it is.
    """
    if len(p_values) == 1:
        return float(p_values[0])
    return float(min(1, 2 * np.median(p_values)))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """The p-values of several tests adjusted so that any false rejection has the stated chance.

    Holm (Scandinavian Journal of Statistics 6, 1979): the smallest of m times m, the next times
    m - 1, and so on, none below one before it.
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


@dataclass(frozen=True)
class SplitsTest:
    """The corrected resampled t-test: the p-value, and the ends of the 95 % interval."""

    p: float
    low: float
    high: float


def corrected_t_test(differences: Sequence[float], test_per_train: float) -> SplitsTest | None:
    """Whether a difference would stay with other training and test pictures, from random splits.

    The variance of the splits' differences counts (1/J + n_test/n_train) times instead of 1/J, as
    J random splits share most of their pictures (Nadeau & Bengio, Machine Learning 52, 2003).
    test_per_train is n_test/n_train. None for fewer than two splits, or equal differences.
    """
    differences = np.asarray(differences, dtype=float)
    count = len(differences)
    if count < 2 or np.ptp(differences) == 0:
        return None
    error = np.sqrt((1 / count + test_per_train) * differences.var(ddof=1))
    mean, reach = differences.mean(), stats.t.ppf(0.975, count - 1) * error
    p = 2 * stats.t.sf(abs(mean) / error, count - 1)
    return SplitsTest(float(p), float(mean - reach), float(mean + reach))
