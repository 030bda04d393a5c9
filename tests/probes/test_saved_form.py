"""Fitted probes as plain arrays, and back."""

import numpy as np
import pytest
from helpers.probes import problem, signs_of

from vggfeat.errors import UnknownNameError
from vggfeat.probes.registry import PROBES, load_probe
from vggfeat.probes.saved_form import classifier_from


def fitted(name="svm"):
    X, y = problem()
    return load_probe(name).fits(X, signs_of(y)).fit(1.0), X


@pytest.mark.parametrize("name", PROBES)
def test_a_classifier_made_of_its_arrays_decides_alike(name):
    classifier, X = fitted(name)
    arrays = classifier.arrays()
    assert all(type(array) is np.ndarray for array in arrays.values())
    again = classifier_from(classifier.kind, arrays)
    np.testing.assert_array_equal(again.decisions(X), classifier.decisions(X))


def test_a_kind_that_there_is_not_is_an_error_that_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="kind of classifier 'tree'.*linear"):
        classifier_from("tree", {})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"intercept": None}, "intercept is missing"),
        ({"intercept": np.zeros(2)}, "coef is of shape .3, 20., intercept of .2,."),
        ({"more": np.zeros(2)}, "more does not belong to a linear classifier"),
        ({"intercept": np.full(3, np.nan)}, "intercept holds what is no finite number"),
        ({"intercept": np.array(["a", "b", "c"])}, "intercept holds what is no finite number"),
    ],
)
def test_arrays_that_are_no_classifiers_are_refused(changes, message):
    arrays = fitted()[0].arrays() | changes
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(ValueError, match=message):
        classifier_from("linear", arrays)
