"""The nearest class mean against scikit-learn's NearestCentroid, and by hand."""

import numpy as np
import pytest
from helpers.probes import ODD_PROBLEMS, problem, signs_of
from sklearn.neighbors import NearestCentroid

from vggfeat.probes.registry import load_probe


def fits(X, signs, exclusive=False):
    return load_probe("centroid").fits(X, signs, exclusive=exclusive)


@pytest.mark.parametrize("name", ODD_PROBLEMS)
def test_of_exclusive_classes_it_is_scikit_learns(name):
    X, y = ODD_PROBLEMS[name]
    ours = fits(X, signs_of(y, y.max() + 1), exclusive=True).fit()
    theirs = NearestCentroid().fit(X.astype(float), y)
    np.testing.assert_allclose(ours.coef, theirs.centroids_, atol=1e-12)
    assert np.array_equal(ours.decisions(X).argmax(axis=1), theirs.predict(X.astype(float)))


def test_of_several_labels_the_nearer_of_two_means_decides_without_the_zeros():
    X = np.array([[0.0, 0], [2, 0], [0, 4], [0, 6], [9, 9]])
    signs = np.array([[1], [1], [-1], [-1], [0]])
    decisions = fits(X, signs).fit().decisions(np.array([[1.0, 0], [0, 5], [0.5, 2.5], [1, 9]]))
    # Means (1, 0) and (0, 5): half the difference of the squared distances, to the latter first.
    np.testing.assert_allclose(decisions[:, 0], [(26 - 0) / 2, (0 - 26) / 2, 0, (17 - 81) / 2])


def test_held_out_examples_have_no_share_in_the_means():
    X, y = problem()
    signs = signs_of(y)
    signs[:30] = 0
    for exclusive in (True, False):
        without = fits(X[30:], signs_of(y[30:]), exclusive).fit().decisions(X)
        np.testing.assert_allclose(fits(X, signs, exclusive).decisions(signs, np.nan), without)
