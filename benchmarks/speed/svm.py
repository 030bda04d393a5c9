"""SVMs of every class, fold and value of C: the Newton probe beside scikit-learn's LinearSVC.

Shapes: n pictures, d dimensions, K classes.
"""

import math
import multiprocessing
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.utils.parallel import Parallel, delayed

from vggfeat.benchmarks.speed.limits import finish, matrix_product
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Row,
    Setup,
    SpeedResult,
    Spread,
    peak_bytes,
    speed_row,
    time_interleaved,
)
from vggfeat.metrics import average_precisions
from vggfeat.probes.grid_search import choose
from vggfeat.probes.registry import load_probe
from vggfeat.probes.svm import C_GRID

PEER = "LinearSVC, a process for each core"
FASTER = {"cpu": Goal(20, of="ratio"), "cuda": Goal(100, of="ratio")}
OBJECTIVE, DECISIONS, AP = Goal(1e-4, "at most"), Goal(0.999), Goal(0.05, "at most")
# VISSL's grid for VOC 2007.
VISSL_GRID = (0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0)
REFIT_C = 1.0  # chosen beforehand: both sides fit the same
GIBI = 2**30


@dataclass(frozen=True)
class Case:
    """Binary problems of a benchmark's size. The fields are a record's settings."""

    name: str
    num_pictures: int
    dim: int
    num_classes: int
    is_multi_label: bool
    apart: float  # how far apart the classes are
    grid: tuple[float, ...]
    num_folds: int
    least_peer_classes: int  # that the peer fits: enough to be timed
    checked: tuple[float, ...]  # values of C where the results are compared
    max_rounds: int = 100

    @property
    def peer_classes(self) -> int:
        """Classes that the peer fits; enough for a fold of a class on each core."""
        by_cores = math.ceil((os.cpu_count() or 1) / self.num_folds)
        return min(self.num_classes, max(self.least_peer_classes, by_cores))

    @property
    def fits_per_class(self) -> int:
        """Fits of a class: each C without each fold, and the refit."""
        return len(self.grid) * self.num_folds + 1

    @property
    def folds(self) -> list[np.ndarray]:
        """The held-out rows of each fold; a single fold holds out a fifth, as the benchmarks do."""
        place = np.arange(self.num_pictures) // self.num_classes
        count = self.num_folds if self.num_folds > 1 else 5
        return [np.flatnonzero(place % count == fold) for fold in range(self.num_folds)]


# Set apart so that the best C comes to about what the paper's nets do: 0.89, 0.89 and 0.85.
VOC = Case(
    "5,011 x 4,096, 20 classes",
    5011,
    4096,
    20,
    True,
    0.24,
    VISSL_GRID,
    3,
    2,
    (0.1, 1.0, 10.0, 100.0),
)
CALTECH101 = Case(
    "3,060 x 12,288, 102 classes", 3060, 12288, 102, False, 0.35, C_GRID, 1, 4, (0.1, 1.0, 10.0)
)
CALTECH256 = Case(
    "15,420 x 12,288, 257 classes", 15420, 12288, 257, False, 0.32, C_GRID, 1, 2, (REFIT_C,), 1
)
LARGEST = replace(CALTECH256, name="15,420 x 24,576, 257 classes", dim=24576)  # both nets
NOTES = [
    "LinearSVC with scikit-learn's defaults and max_iter 2000, for some of the classes; a fit is"
    " one class at one C without one fold, and refits to all pictures count as well.",
    "Vectors are generated: a power law of directions that all pictures share, classes that differ"
    " along them, noise, ReLU, length one. Classes are set apart so that the best C comes to what"
    " the paper's nets reach.",
    "Objectives, decisions on what is left out (the best of the compared classes where a picture"
    " has one) and average precision are those of classifiers that C is chosen by, fitted to a gap"
    " of 1e-4, against LinearSVC at tol 1e-6, dual=False, for the peer's classes; of 15,420"
    " pictures at C = 1 only, and these are timed in one round without another to warm up.",
    "Peak memory is that of all fits of the largest case on this machine: the pictures, the Gram"
    " matrix, and what is worked on.",
]


def measure(
    setup: Setup,
    *,
    cases: tuple[Case, ...] = (VOC, CALTECH101, CALTECH256),
    largest: Case | None = LARGEST,
) -> SpeedResult:
    """Fits a second for each case, the agreement of results, and the peak of memory."""
    product = matrix_product("fp32", setup.device)
    rows, limit = [], None
    on_disk = setup.folder / "X.npy"
    for case in cases:
        X, signs = generated(case)
        np.save(on_disk, X.astype(np.float64))  # what liblinear takes, shared by its processes
        contenders = [_peer(case, on_disk, signs), _ours(case, X, signs, setup.device), product]
        rounds = min(setup.repeats, case.max_rounds)
        timings = time_interleaved(contenders, rounds, warm_up=rounds > 1)
        reference, ours, limit = timings.values()
        rows += [
            speed_row(reference, "cpu"),
            speed_row(ours, setup.device, peer=reference, goal=FASTER[setup.device]),
            *_agreement(case, X, signs, setup.device),
        ]
        if setup.device == "cpu":
            name = ours.contender.name
            rows.append(Row(
                contender=name, quantity="fits/s", device="cuda", value=None,
                goal=FASTER["cuda"], note="needs --device cuda",
            ))  # fmt: skip
    if largest:
        rows.append(_memory_row(largest, on_disk))
    return SpeedResult(
        settings={
            case.name: vars(case) | {"peer_classes": case.peer_classes}
            for case in (*cases, *filter(None, [largest]))
        },
        rows=rows,
        limits=[speed_row(limit, setup.device)],
        notes=NOTES,
    )


def generated(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Generated X [n, d] float32 of length one and signs [n, K] in {1, -1}."""
    random = np.random.default_rng(0)
    n, K = case.num_pictures, case.num_classes
    shape = (1 + np.arange(400)) ** -0.5  # of the shared directions
    size = np.sqrt((shape**2).sum())
    directions = random.standard_normal((len(shape), case.dim), dtype=np.float32)
    centres = random.standard_normal((K, len(shape)))
    if case.is_multi_label:
        signs = np.where(random.random((n, K)) < 0.075, 1, -1)
    else:
        signs = np.where((np.arange(n) % K)[:, None] == np.arange(K), 1, -1)
    latent = (case.apart * (signs > 0) @ centres + random.standard_normal((n, len(shape)))) * shape
    X = latent.astype(np.float32) @ directions
    X -= np.float32(0.3 * size)
    X += np.float32(size) * random.standard_normal(X.shape, dtype=np.float32)
    np.maximum(X, 0, out=X)
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    X /= np.where(norms > 0, norms, 1)  # of few dimensions all may be 0
    return X, signs


def _ours(case: Case, X: np.ndarray, signs: np.ndarray, device: str) -> Contender:
    def run() -> None:
        fits = load_probe("svm", device=device).fits(X, signs)
        choose(fits, case.folds, grid=case.grid, score=lambda decisions, rows: 0.0)
        fits.fit(REFIT_C)
        finish(device)

    return Contender(f"vggfeat, {case.name}", run, case.fits_per_class * case.num_classes, "fits/s")


def _peer(case: Case, X: Path, signs: np.ndarray) -> Contender:
    jobs = [
        (signs[:, k], fold, case.grid) for k in range(case.peer_classes) for fold in case.folds
    ] + [(signs[:, k], (), (REFIT_C,)) for k in range(case.peer_classes)]

    def run() -> None:
        Parallel(n_jobs=os.cpu_count())(delayed(_fit_by_peer)(X, *job) for job in jobs)

    name = f"{PEER}, {case.name}"
    return Contender(name, run, case.fits_per_class * case.peer_classes, "fits/s")


def _fit_by_peer(path: Path, signs: np.ndarray, fold: Sequence[int], grid: Sequence[float]) -> None:
    kept = np.delete(np.arange(len(signs)), fold)
    X = np.load(path, mmap_mode="r")[kept]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for C in grid:
            LinearSVC(C=C, max_iter=2000).fit(X, signs[kept])


def _agreement(case: Case, X: np.ndarray, signs: np.ndarray, device: str) -> Iterator[Row]:
    """How well the classifiers that were fitted without the first fold agree."""
    out, truth = case.folds[0], signs[:, : max(2, case.peer_classes)]
    kept = np.delete(np.arange(len(X)), out)
    strict = [
        delayed(_strictly)(X[kept], column, C) for C in case.checked for column in truth[kept].T
    ]
    theirs = iter(Parallel(n_jobs=os.cpu_count())(strict))
    worse, equal, apart = [], [], []
    for C in case.checked:
        fits = load_probe("svm", device=device).fits(X, truth)
        scores = []
        choose(fits, [out], grid=[C], score=lambda s, rows, to=scores: to.append(s) or 0.0)
        a = fits.coefficients.cpu().numpy()
        weights = a @ X, a.sum(axis=1)
        best = []
        for k, column in enumerate(truth.T):
            coef, intercept = next(theirs)
            best.append(X[out] @ coef + intercept)
            mine = _objective(X[kept], column[kept], weights[0][k], weights[1][k], C)
            least = _objective(X[kept], column[kept], coef, intercept, C)
            worse.append((mine - least) / least)
            areas = [
                average_precisions(column[out], each)["map_area"]
                for each in (scores[0][:, k], best[-1])
            ]
            apart.append(100 * abs(areas[0] - areas[1]))
        decide = np.sign if case.is_multi_label else lambda scores: scores.argmax(axis=1)
        equal.append(np.mean(decide(scores[0]) == decide(np.stack(best, axis=1))))
    for quantity, value, goal in (
        ("objective over LinearSVC's, relative, largest", np.max(worse), OBJECTIVE),
        ("decisions equal to LinearSVC's, smallest share", np.min(equal), DECISIONS),
        ("average precision from LinearSVC's, points, largest", np.max(apart), AP),
    ):
        yield Row(
            contender=f"vggfeat, {case.name}",
            quantity=quantity,
            device=device,
            value=Spread.of([float(value)]),
            goal=goal,
        )


def _memory_row(case: Case, on_disk: Path) -> Row:
    """The row of the peak memory of all fits of a case; its vectors are written to on_disk."""
    X, signs = generated(case)
    np.save(on_disk, X)
    del X
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        peak = pool.submit(_peak_bytes, case, on_disk, signs).result()
    return Row(
        contender=f"vggfeat, {case.name}",
        quantity="peak memory, GiB",
        device="cpu",
        value=Spread.of([peak / GIBI]) if peak else None,
        note="" if peak else "only Linux reports it",
    )


def _strictly(X: np.ndarray, signs: np.ndarray, C: float) -> tuple[np.ndarray, float]:
    svm = LinearSVC(C=C, tol=1e-6, dual=False, max_iter=10_000).fit(X.astype(np.float64), signs)
    return svm.coef_[0], svm.intercept_[0]


def _objective(
    X: np.ndarray, signs: np.ndarray, coef: np.ndarray, intercept: float, C: float
) -> float:
    """The objective in float64, as liblinear defines it."""
    slack = np.maximum(0, 1 - signs * (X @ coef + intercept))
    return (coef @ coef + intercept**2) / 2 + C * (slack @ slack)


def _peak_bytes(case: Case, X: Path, signs: np.ndarray) -> int | None:
    """Peak memory of all fits of a case; to be called in a new process."""
    _ours(case, np.load(X), signs, "cpu").run()
    return peak_bytes()
