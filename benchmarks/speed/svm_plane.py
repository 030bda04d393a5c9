"""SVMs over the plane of sizes, 50 x 16 to 15,420 x 24,576: the probe beside LinearSVC.

Each size alone, and while two other processes keep the cores busy.

Shapes: n pictures, d dimensions, K classes, R rounds.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from vggfeat.benchmarks.speed.limits import finish
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Row,
    Setup,
    SpeedResult,
    Spread,
    Timings,
    time_interleaved,
)
from vggfeat.benchmarks.speed.neighbours import NEIGHBOURS, busy_neighbours
from vggfeat.benchmarks.speed.svm import CALTECH101, REFIT_C, Case, generated
from vggfeat.probes.grid_search import choose
from vggfeat.probes.probe import Classifier
from vggfeat.probes.registry import load_probe
from vggfeat.probes.svm import C_GRID

PICTURES = (50, 300, 1000, 3000, 15420)
DIMS = (16, 128, 512, 4096, 24576)
NEVER_SLOWER, SLOWED = Goal(1, of="ratio"), Goal(3, "at most")
CLOCKS = ("CPU second", "second")  # of `_clocks`
SETTINGS = ("alone", "busy neighbours")
SLOWER = "times as long with busy neighbours"
MAX_REFITTED = 1e8  # values: of more LinearSVC fits once, which takes 20 seconds
NOTES = [
    "A run is the choice of C on a fifth that is held out, and the refit to all pictures; from"
    " 15,420 pictures on, C = 1 alone is tried. LinearSVC has scikit-learn's defaults and max_iter"
    " 2000; it fits all classes in one call, or from 1,000,000 values on some of them, one after"
    " the other, and some of the fits. A fit is one class at one C. Both run in one process:"
    " LinearSVC with one thread, vggfeat with as many as it takes.",
    f"Busy neighbours are {NEIGHBOURS} processes that multiply matrices all the time, for both.",
    "Vectors are those of `svm`. Sizes of more than 5,000,000 values are measured in one round.",
]


@dataclass(frozen=True)
class Size:
    """A point of the plane. The fields are a record's settings."""

    num_pictures: int
    dim: int
    num_classes: int
    grid: tuple[float, ...]
    peer_classes: int  # that the peer fits
    max_rounds: int
    times: int  # that a round does the work: a scheduler's slice is as long as a small run

    @classmethod
    def of(cls, n: int, d: int) -> "Size":
        """The size with what is affordable there."""
        num_classes = 5 if n < 100 else 10 if n < 10_000 else 20
        few = 1 if n * d > 4e6 else 2
        return cls(
            num_pictures=n,
            dim=d,
            num_classes=num_classes,
            grid=C_GRID if n < 10_000 else (REFIT_C,),
            peer_classes=few if n * d > 1e6 else num_classes,
            max_rounds=1 if n * d > 5e6 else 100,
            times=20 if n * d < 5e4 else 4 if n * d < 2e5 else 1,
        )

    @property
    def name(self) -> str:
        return f"{self.num_pictures:,} x {self.dim:,}"

    @property
    def case(self) -> Case:
        """The same as a case of `svm`."""
        return replace(
            CALTECH101, name=self.name, num_pictures=self.num_pictures, dim=self.dim,
            num_classes=self.num_classes, grid=self.grid,
        )  # fmt: skip

    @property
    def fits_at_once(self) -> bool:
        """Whether the peer fits all classes in one call."""
        return self.peer_classes == self.num_classes


SIZES = tuple(Size.of(n, d) for n in PICTURES for d in DIMS)


def measure(setup: Setup, *, sizes: Sequence[Size] = SIZES) -> SpeedResult:
    """Fits a second and a CPU second of each size, alone and with neighbours."""
    rows: list[Row] = []
    for size in sizes:
        rows += _rows(size, setup)
    return SpeedResult(
        settings={size.name: vars(size) for size in sizes} | {"neighbours": NEIGHBOURS},
        rows=rows,
        notes=NOTES,
    )


def _rows(size: Size, setup: Setup) -> Iterator[Row]:
    X, signs = generated(size.case)
    peer, ours = contenders(size, X, signs, setup.device)
    rounds = min(setup.repeats, size.max_rounds)
    walls = []
    for setting, count in zip(SETTINGS, (0, NEIGHBOURS), strict=True):
        with busy_neighbours(count):
            timings = time_interleaved([peer, ours], rounds, warm_up=rounds > 1, clock=_clocks)
        of_peer, of_ours = timings[peer.name], timings[ours.name]
        walls.append(of_ours.seconds[:, 1])
        for number, clock in enumerate(CLOCKS):
            unit = f"fits/{clock}, {setting}"
            yield _ratio_row(of_ours, of_peer, number, unit, setup.device)
    yield Row(
        contender=ours.name,
        quantity=SLOWER,
        device=setup.device,
        value=Spread.of(walls[1] / np.median(walls[0])),
        goal=SLOWED,
    )


def _clocks() -> np.ndarray:
    """CPU seconds of this process, and seconds [2]."""
    return np.array([time.process_time(), time.perf_counter()])


def _ratio_row(ours: Timings, peer: Timings, clock: int, unit: str, device: str) -> Row:
    speeds = [each.contender.work / each.seconds[:, clock] for each in (ours, peer)]
    return Row(
        contender=ours.contender.name,
        quantity=unit,
        device=device,
        value=Spread.of(speeds[0]),
        peer="LinearSVC",
        ratio=Spread.of(speeds[0] / speeds[1]),
        goal=NEVER_SLOWER,
    )


def contenders(
    size: Size, X: np.ndarray, signs: np.ndarray, device: str
) -> tuple[Contender, Contender]:
    """LinearSVC and the probe on X [n, d] and signs [n, K]; each returns its last classifiers."""
    case = size.case
    kept = np.delete(np.arange(len(X)), case.folds[0])
    columns = [signs.argmax(axis=1)] if size.fits_at_once else signs.T[: size.peer_classes]
    refits = X.size < MAX_REFITTED
    training = X[kept].astype(np.float64)  # what liblinear takes
    everything = X.astype(np.float64) if refits else training

    def by_peer() -> list[LinearSVC]:
        for _ in range(size.times):
            fitted = peer()
        return fitted

    def by_probe() -> Classifier:
        for _ in range(size.times):
            fitted = probe()
        finish(device)
        return fitted

    def peer() -> list[LinearSVC]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = [
                LinearSVC(C=C, max_iter=2000).fit(training, column[kept])
                for C in case.grid
                for column in columns
            ]
            if refits:
                fitted += [
                    LinearSVC(C=REFIT_C, max_iter=2000).fit(everything, column)
                    for column in columns
                ]
            return fitted[-len(columns) :]

    def probe() -> Classifier:
        fits = load_probe("svm", device=device).fits(X, signs)
        choose(fits, case.folds, grid=case.grid, score=lambda decisions, rows: 0.0)
        return fits.fit(REFIT_C)

    peer_work = size.times * size.peer_classes * (len(case.grid) + refits)
    work = size.times * size.num_classes * case.fits_per_class
    return (
        Contender(f"LinearSVC, {size.name}", by_peer, peer_work, "fits/s"),
        Contender(f"vggfeat, {size.name}", by_probe, work, "fits/s"),
    )
