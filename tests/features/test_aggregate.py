"""Scales to one vector, nets to one vector, by hand."""

import numpy as np

from vggfeat.features.aggregate import aggregate, fuse, l2_normalised
from vggfeat.features.options import VectorOptions

DESCRIPTORS = np.array([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])  # 2 pictures, 2 scales


def test_average_over_scales_then_l2():
    np.testing.assert_allclose(
        aggregate(DESCRIPTORS, VectorOptions(aggregate="average")), [[0.6, 0.8], [0, 0]]
    )


def test_stacking_keeps_the_scales_weights_and_ends_with_l2():
    np.testing.assert_allclose(
        aggregate(DESCRIPTORS, VectorOptions(aggregate="stack")), [[0.6, 0, 0, 0.8], [0] * 4]
    )


def test_scales_may_be_normalised_one_by_one_first():
    stacked = aggregate(DESCRIPTORS, VectorOptions(aggregate="stack", scale_l2=True))
    np.testing.assert_allclose(stacked, [[np.sqrt(0.5), 0, 0, np.sqrt(0.5)], [0] * 4])
    averaged = aggregate(DESCRIPTORS, VectorOptions(aggregate="average", scale_l2=True))
    np.testing.assert_allclose(averaged, [[np.sqrt(0.5), np.sqrt(0.5)], [0, 0]])


def test_nets_count_the_same_in_a_fusion():
    fused = fuse([np.array([[1.0, 0.0]]), np.array([[0.6, 0.8, 0.0]])])
    np.testing.assert_allclose(fused, np.array([[1, 0, 0.6, 0.8, 0]]) / np.sqrt(2))


def test_one_net_is_no_fusion():
    vectors = np.array([[0.6, 0.8]])
    assert fuse([vectors]) is vectors


def test_a_row_of_zeros_stays():
    assert not l2_normalised(np.zeros((1, 3))).any()


def test_numbers_whose_squares_overflow_or_vanish_in_float32_have_length_one_too():
    """As of a net that nobody trained; chance would be measured with vectors of zeros."""
    for factor in (1e30, 1e-30, 1e-42):
        vectors = (np.array([[3.0, -4.0], [0.0, 2.0], [0.0, 0.0]]) * factor).astype(np.float32)
        rtol = 1e-2 if factor < 1e-38 else 1e-6  # subnormal numbers have few digits
        expected = [[0.6, -0.8], [0, 1], [0, 0]]
        np.testing.assert_allclose(l2_normalised(vectors), expected, rtol=rtol)
        averaged = aggregate(vectors[:, None], VectorOptions())
        np.testing.assert_allclose(averaged, expected, rtol=rtol)
