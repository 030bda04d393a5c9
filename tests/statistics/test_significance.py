"""McNemar, Holm and tests over splits against numbers worked out by hand or in their papers."""

from math import comb, sqrt

import numpy as np
import pytest
from scipy import stats

from vggfeat.statistics.significance import corrected_t_test, holm, mcnemar_p, p_over_splits


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 5), (9, 22), (6, 17), (150, 40)])
def test_mcnemars_exact_test_is_the_binomial_tail_doubled(only_a, only_b):
    total = only_a + only_b
    tail = sum(comb(total, k) for k in range(min(only_a, only_b) + 1)) / 2**total
    assert mcnemar_p(only_a, only_b) == pytest.approx(2 * tail)
    assert mcnemar_p(only_b, only_a) == pytest.approx(2 * tail)


def test_mcnemar_without_a_difference():
    assert mcnemar_p(0, 0) == 1 and mcnemar_p(7, 7) == 1
    assert mcnemar_p(0, 5) == pytest.approx(1 / 16)  # 2 * 1/32


def test_holm_by_hand():
    """Of four: 0.005 * 4; 0.01 * 3; 0.03 * 2; 0.04 * 1 is raised to the one before."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    np.testing.assert_allclose(holm([0.2]), [0.2])


def test_p_values_of_splits_are_twice_their_median():
    assert p_over_splits([0.01, 0.2, 0.03]) == pytest.approx(0.06)
    assert p_over_splits([0.01, 0.03]) == pytest.approx(0.04)
    assert p_over_splits([0.9, 0.6, 0.8]) == 1
    assert p_over_splits([0.03]) == 0.03


def test_the_corrected_resampled_t_test_by_its_formula():
    """Differences 1, 2, 3: mean 2, variance 1; as many tested as trained on."""
    test = corrected_t_test([1, 2, 3], 1.0)
    error = sqrt((1 / 3 + 1) * 1)
    assert test.p == pytest.approx(2 * (1 - stats.t.cdf(2 / error, 2)))
    assert (test.low, test.high) == pytest.approx((2 - 4.302653 * error, 2 + 4.302653 * error))
    # Without the correction it is the plain one-sample t-test.
    plain = stats.ttest_1samp([1, 2, 3], 0)
    assert corrected_t_test([1, 2, 3], 0.0).p == pytest.approx(plain.pvalue)


def test_the_corrected_t_test_needs_splits_that_differ():
    assert corrected_t_test([1.0], 1) is None and corrected_t_test([0.5, 0.5], 1) is None
