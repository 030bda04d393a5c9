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


def _odd(X: np.ndarray, y: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rare = np.r_[0, np.flatnonzero(y != y[0])]  # one example of the first one's class
    zeros = X.copy()
    zeros[5:9] = 0
    return {
        "tall": (X, y),
        "wide": (np.hstack([X, X**2, X**3, np.abs(X), np.sin(X)]), y),
        "one class rare": (X[rare], y[rare]),
        "duplicates": (np.concatenate([X, X[:20]]), np.concatenate([y, y[:20]])),
        "zero vectors": (zeros, y),
        "float16": (X.astype(np.float16), y),
        "float32": (X.astype(np.float32), y),
        "two classes": (X[y < 2], y[y < 2]),
    }


# Name -> X [n, d] and y [n]: what a probe meets beside well-behaved examples.
ODD_PROBLEMS = _odd(*problem())
