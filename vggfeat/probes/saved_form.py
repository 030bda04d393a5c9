"""Fitted probes as plain arrays, and back: what a file of a probe holds.

kind, arrays = classifier.kind, classifier.arrays()
classifier_from(kind, arrays).decisions(X)  # as before
"""

from collections.abc import Mapping
from importlib import import_module

import numpy as np

from vggfeat.errors import UnknownNameError
from vggfeat.probes.probe import Classifier

KINDS = {  # a module is imported when its kind is asked for, as its libraries take seconds
    "linear": "vggfeat.probes.linear:LinearClassifier",
    "knn": "vggfeat.probes.knn:NeighbourClassifier",
}


def classifier_from(kind: str, arrays: Mapping[str, np.ndarray]) -> Classifier:
    """The classifier of this kind that decides as the one that these arrays came from.

    Raises UnknownNameError at a kind that there is not, ValueError in words that name the arrays
    where one is missing, left over, of another shape, or holds what is no finite number.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of classifier", kind, KINDS)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise ValueError(f"{name} holds what is no finite number")
    module, _, name = KINDS[kind].partition(":")
    try:
        classifier = getattr(import_module(module), name).from_arrays(arrays)
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing") from error
    if odd := set(arrays) - set(classifier.arrays()):
        raise ValueError(f"{min(odd)} does not belong to a {kind} classifier")
    return classifier
