"""Small classification problems, and the fits of the SVM probes to them."""

import numpy as np

from vggfeat.probes.probe import Fits
from vggfeat.probes.svm_liblinear import LiblinearFits
from vggfeat.probes.svm_newton import NewtonFits

HELD_OUT = np.arange(30)
FITS = {"newton": NewtonFits, "liblinear": LiblinearFits}


def problem(n=90, d=20, K=3, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """X [n, d] and the classes y [n] of examples that a linear classifier mostly tells apart."""
    random = np.random.default_rng(seed)
    y = random.integers(0, K, n)
    X = random.normal(size=(n, d)) + 0.7 * random.normal(size=(K, d))[y]
    return X, y


def signs_of(y: np.ndarray, K: int = 3) -> np.ndarray:
    """The signs [n, K] of classes y [n]."""
    return np.where(y[:, None] == np.arange(K), 1, -1)


def fits_of(solver: str, X: np.ndarray, signs: np.ndarray, **options) -> Fits:
    """Fits of an SVM probe with the estimator's default options, or these."""
    return FITS[solver](X, signs, **({"tol": 1e-4, "max_iter": 1000} | options))
