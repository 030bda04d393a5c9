"""Probes beside svm and beside scikit-learn's: the whole grid on held-out pictures, and the refit.

Shapes: n pictures, d dimensions, K classes.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import euclidean_distances
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from vggfeat.benchmarks.speed.limits import finish
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Row,
    Setup,
    SpeedResult,
    Spread,
    Timings,
    speed_row,
    time_interleaved,
)
from vggfeat.benchmarks.speed.svm import CALTECH101, VOC, Case, generated
from vggfeat.probes.grid_search import choose
from vggfeat.probes.knn import TEMPERATURE
from vggfeat.probes.probe import Classifier
from vggfeat.probes.registry import load_probe

CASES = (
    replace(CALTECH101, name="300 x 512, 10 classes", num_pictures=300, dim=512, num_classes=10),
    replace(CALTECH101, name="3,060 x 1,792, 102 classes", dim=1792),
    replace(VOC, num_folds=1),
)
EQUAL = "decisions equal to scikit-learn's, share"
NOTES = [
    "A run fits each value of the probe's grid to four fifths of the pictures, scores the others,"
    " and fits the value in the middle to all. scikit-learn's estimators do the same with their"
    " defaults, but LogisticRegression at tol 1e-7: at its default, 1e-4 of the largest entry of"
    " the mean gradient, it ends up to 3 % above the least objective on vectors of length one. How"
    " far it stays above vggfeat's, which is within 1e-6 of the least, is stated.",
    "scikit-learn's ridge and logistic regression compute in the vectors' float32, vggfeat's ridge"
    " in float64.",
    "Of several labels scikit-learn's LogisticRegression and NearestCentroid are fitted for some of"
    " the classes, and the time is scaled to all.",
    "Decisions are compared where scikit-learn's scores do not tie, as plain votes do: it then"
    " takes the first class, vggfeat the nearer one.",
    "Vectors are those of `svm`.",
]


@dataclass(frozen=True)
class Peer:
    """scikit-learn's counterpart of a probe: the estimator of a value, and scores of vectors."""

    estimator: Callable[[float], Any]
    scores: Callable[[Any, np.ndarray], np.ndarray]
    fits_several_labels: bool = True


def _weigh(distances: np.ndarray) -> np.ndarray:
    return np.exp((1 - distances) / TEMPERATURE)


def _shares(estimator: Any, X: np.ndarray) -> np.ndarray:
    """The shares of the votes [m, K], also of several labels; above 0 where they are the most."""
    shares = estimator.predict_proba(X)
    return np.stack([each[:, 1] for each in shares], axis=1) if type(shares) is list else shares


def _nearness(estimator: Any, X: np.ndarray) -> np.ndarray:
    """The highest is the class that `predict` returns, which `decision_function` is not."""
    if isinstance(estimator, OneVsRestClassifier):
        away = [euclidean_distances(X, each.centroids_) for each in estimator.estimators_]
        return np.stack([each[:, 0] - each[:, 1] for each in away], axis=1)
    return -euclidean_distances(X, estimator.centroids_)


def _neighbours(weights: Any) -> Peer:
    return Peer(lambda k: KNeighborsClassifier(int(k), metric="cosine", weights=weights), _shares)


PEERS = {
    "logistic": Peer(
        lambda C: LogisticRegression(C=C, tol=1e-7, max_iter=5000),
        lambda e, X: e.decision_function(X),
        fits_several_labels=False,
    ),
    "ridge": Peer(lambda alpha: RidgeClassifier(alpha=alpha), lambda e, X: e.decision_function(X)),
    "knn": _neighbours(_weigh),
    "knn_plain": _neighbours("uniform"),
    "centroid": Peer(lambda _: NearestCentroid(), _nearness, False),
}


def measure(setup: Setup, *, cases: Sequence[Case] = CASES) -> SpeedResult:
    """Runs a second of each probe and its peer in each case, and how many decisions are equal."""
    rows = []
    for case in cases:
        n = case.num_pictures
        vectors, labels = generated(replace(case, num_pictures=n + n // 4))
        X, signs, new = vectors[:n], labels[:n], vectors[n:]
        for name in PEERS:
            rows += _rows(name, case, X, signs, new, setup)
    return SpeedResult(settings={case.name: vars(case) for case in cases}, rows=rows, notes=NOTES)


def _rows(
    name: str, case: Case, X: np.ndarray, signs: np.ndarray, new: np.ndarray, setup: Setup
) -> Iterator[Row]:
    """The rows of one probe in one case; decisions are compared on new vectors."""
    ours, theirs = _ours(name, case, X, signs, setup.device), _peer(name, case, X, signs)
    timings = time_interleaved([theirs, ours], setup.repeats)
    peer, probe = timings[theirs.name], timings[ours.name]
    yield speed_row(peer, "cpu")
    yield speed_row(probe, setup.device, peer=peer)
    yield _agreement(name, case.is_multi_label, new, probe, peer)
    if name == "logistic" and not case.is_multi_label:
        yield _excess(X, signs, probe, peer)


def _refit_value(name: str) -> float:
    grid = load_probe(name).grid
    return grid[len(grid) // 2] if grid else 0.0


def _ours(name: str, case: Case, X: np.ndarray, signs: np.ndarray, device: str) -> Contender:
    probe = load_probe(name, device=device)

    def run() -> Classifier:
        fits = probe.fits(X, signs, exclusive=not case.is_multi_label)
        if probe.grid:
            choose(fits, case.folds, grid=probe.grid, score=lambda decisions, rows: 0.0)
        classifier = fits.fit(_refit_value(name))
        finish(device)
        return classifier

    return Contender(f"vggfeat {name}, {case.name}", run, 1, "runs/s")


def _peer(name: str, case: Case, X: np.ndarray, signs: np.ndarray) -> Contender:
    peer, (held_out,) = PEERS[name], case.folds
    kept = np.delete(np.arange(len(X)), held_out)
    one_by_one = case.is_multi_label and not peer.fits_several_labels
    num_classes = case.least_peer_classes if one_by_one else case.num_classes
    positive = signs[:, :num_classes] > 0
    truth = positive.astype(int) if case.is_multi_label else signs.argmax(axis=1)

    def fitted(value: float, rows: np.ndarray) -> Any:
        estimator = peer.estimator(value)
        if one_by_one:
            estimator = OneVsRestClassifier(estimator)
        return estimator.fit(X[rows], truth[rows])

    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for value in load_probe(name).grid:
                peer.scores(fitted(value, kept), X[held_out])
            return fitted(_refit_value(name), np.arange(len(X)))

    share = num_classes / case.num_classes
    return Contender(f"scikit-learn {name}, {case.name}", run, share, "runs/s")


def _agreement(
    name: str, is_multi_label: bool, new: np.ndarray, ours: Timings, theirs: Timings
) -> Row:
    """The share of equal decisions on new vectors, by the classifiers of the last round."""
    scores = ours.result.decisions(new), PEERS[name].scores(theirs.result, new)
    if is_multi_label:
        level = 0.5 if name.startswith("knn") else 0
        decisions = [each[:, : scores[1].shape[1]] > level for each in scores]
        is_clear = scores[1] != level
    else:
        decisions = [each.argmax(axis=1) for each in scores]
        is_clear = (scores[1] == scores[1].max(axis=1, keepdims=True)).sum(axis=1) == 1
    share = np.mean((decisions[0] == decisions[1])[is_clear])
    return _row(ours, EQUAL, share)


def _excess(X: np.ndarray, signs: np.ndarray, ours: Timings, theirs: Timings) -> Row:
    """How far scikit-learn's objective stays above."""
    fitted, peer = ours.result, theirs.result
    least = _objective(X, signs, fitted.coef, fitted.intercept)
    reached = _objective(X, signs, peer.coef_, peer.intercept_)
    return _row(theirs, "objective over vggfeat's, relative", (reached - least) / least)


def _row(timings: Timings, quantity: str, value: float) -> Row:
    return Row(
        contender=timings.contender.name, quantity=quantity, device="cpu",
        value=Spread.of([float(value)]),
    )  # fmt: skip


def _objective(X: np.ndarray, signs: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> float:
    """The objective of softmax regression in float64."""
    f = X.astype(np.float64) @ coef.T + intercept
    log_sum = np.log(np.exp(f - f.max(axis=1, keepdims=True)).sum(axis=1)) + f.max(axis=1)
    return (coef**2).sum() / 2 + _refit_value("logistic") * (log_sum - f[signs > 0]).sum()
