"""The probes by name; a probe is one file and one line here.

A probe's module is imported when the probe is asked for, as its libraries take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from vggfeat.errors import OptionError

if TYPE_CHECKING:
    from vggfeat.probes.probe import Probe

SOLVERS = {  # of the SVM
    "newton": "vggfeat.probes.svm_newton:NewtonSVM",
    "liblinear": "vggfeat.probes.svm_liblinear:LiblinearSVM",
}
DEFAULT_PROBE, DEFAULT_SOLVER = "svm", "newton"
PROBES = {
    "svm": SOLVERS[DEFAULT_SOLVER],
    "logistic": "vggfeat.probes.logistic:Logistic",
    "ridge": "vggfeat.probes.ridge:Ridge",
    "knn": "vggfeat.probes.knn:WeightedNeighbours",
    "knn_plain": "vggfeat.probes.knn:PlainNeighbours",
    "centroid": "vggfeat.probes.centroid:Centroid",
}
# What each of them is, in a sentence.
ABOUT = {
    "svm": "Linear SVM of each class against the rest, squared hinge loss, as the paper's.",
    "logistic": "Logistic regression: softmax, or each label by itself.",
    "ridge": "Ridge regression to +1 and -1, one factorisation for all classes.",
    "knn": "Votes of the nearest neighbours by cosine, weighted as in DINO's evaluation.",
    "knn_plain": "Votes of the nearest neighbours by cosine, each counting alike.",
    "centroid": "The nearest class mean; nothing is chosen.",
}


def load_probe(
    name: str = DEFAULT_PROBE, *, solver: str = DEFAULT_SOLVER, device: str = "cpu"
) -> "Probe":
    """The probe of this name, which fits on this torch device; the solver is that of SVMs.

    Raises OptionError.
    """
    for kind, value, known in (("probe", name, PROBES), ("solver", solver, SOLVERS)):
        if value not in known:
            raise OptionError(f"{kind} must be one of {', '.join(known)}; got {value!r}.")
    location = SOLVERS[solver] if name == "svm" else PROBES[name]
    module, _, probe = location.partition(":")
    return getattr(import_module(module), probe)(device=device)
