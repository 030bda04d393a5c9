"""SVMs of vectors that stream from disk, on a fifth of their memory, beside the same in memory.

Shapes: n pictures, d dimensions, K classes.
"""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
from vggfeat.features.allocator import return_freed_memory
from vggfeat.probes.grid_search import choose
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits
from vggfeat.probes.registry import load_probe
from vggfeat.probes.streaming.svm import StreamedSVMFits
from vggfeat.probes.streaming.vector_file import VectorFile, VectorFileWriter
from vggfeat.probes.svm_newton import NewtonSVM

BLOCK_ROWS = 2048
MOST_ROUNDS = 3
OBJECTIVE, MEMORY = Goal(1e-4, "at most"), Goal(1.2, "at most")
NOTES = [
    "Both choose C on a fifth that is held out, and fit all. The streamed one has a share of what"
    " the vectors take as its budget (`share`). The system keeps as much of the file as it has room"
    " for or, with a cold cache, nothing at the start.",
    "Vectors are generated: class centres along shared directions of a power law, noise,"
    " ReLU, length one; a twentieth of the labels is that of another class.",
    "Peak memory is that of a process of its own above what it held before the first fit, the"
    " decision values it returns included; the budget counts what stands in svm_memory.py.",
]


@dataclass(frozen=True)
class Case:
    """Binary problems of n pictures; the fields are a record's settings."""

    num_pictures: int = 160_000
    dim: int = 2048
    num_classes: int = 10
    grid: tuple[float, ...] = (0.1, 1.0, 10.0)
    apart: float = 0.35  # how far apart the classes are
    share: float = 0.2  # of what the vectors take, which the streamed fits may take

    @property
    def name(self) -> str:
        return f"{self.num_pictures:,} x {self.dim:,}, {self.num_classes} classes"

    @property
    def budget(self) -> float:
        """Bytes that the streamed fits may take."""
        return self.share * 4 * self.num_pictures * self.dim

    @property
    def num_fits(self) -> int:
        return self.num_classes * (len(self.grid) + 1)

    @property
    def fold(self) -> np.ndarray:
        """The rows that are held out."""
        return np.arange(0, self.num_pictures, 5)


def measure(setup: Setup, *, case: Case | None = None) -> SpeedResult:
    """Fits a second from disk and in memory, the objectives, and the peak of memory."""
    case = case or Case()
    with VectorFileWriter(setup.folder, case.dim) as writer:
        classes = []
        for vectors, of_block in generated(case):
            writer.append(vectors)
            classes.append(of_block)
        vectors = writer.finish(shared=True)
    signs = _signs(np.concatenate(classes), case.num_classes)
    np.save(setup.folder / "signs.npy", signs)
    with vectors:
        X = np.concatenate([rows.copy() for _, rows in vectors.blocks(BLOCK_ROWS)])
        names = ("vggfeat, in memory", "vggfeat, from disk", "vggfeat, from disk, cold cache")

        def from_disk(cold: bool) -> tuple[LinearClassifier, int]:
            if cold:
                _forget(vectors.path)
            fits = streamed(case, vectors, signs)
            return chosen(case, fits), fits.num_passes

        contenders = [
            Contender(names[0], lambda: chosen(case, in_memory(X, signs)), case.num_fits, "fits/s"),
            Contender(names[1], lambda: from_disk(cold=False), case.num_fits, "fits/s"),
        ]
        if hasattr(os, "posix_fadvise"):
            contenders.append(
                Contender(names[2], lambda: from_disk(cold=True), case.num_fits, "fits/s")
            )
        rounds = min(setup.repeats, MOST_ROUNDS)
        timings = time_interleaved(contenders, rounds, warm_up=False)
        memory = timings[names[0]]
        rows = [speed_row(memory, "cpu")]
        rows += [speed_row(timings[c.name], "cpu", peer=memory) for c in contenders[1:]]
        classifier, num_passes = timings[names[1]].result
        rows += _results(case, X, signs, memory.result, classifier, num_passes)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            peak = pool.submit(_peak, case, vectors.path, setup.folder / "signs.npy").result()
    rows.append(
        Row(
            contender=names[1],
            quantity="peak memory, of its budget",
            device="cpu",
            value=Spread.of([peak / case.budget]) if peak else None,
            goal=MEMORY,
            note="" if peak else "only Linux reports it",
        )
    )
    settings = vars(case) | {"budget_bytes": case.budget, "vectors_bytes": X.nbytes}
    return SpeedResult(settings=settings, rows=rows, notes=NOTES)


def generated(case: Case) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of generated vectors [m, d] float32 of length one, and their classes [m]."""
    random = np.random.default_rng(0)
    shape = ((1 + np.arange(200)) ** -0.5).astype(np.float32)  # of the shared directions
    size = np.sqrt((shape**2).sum())
    directions = random.standard_normal((len(shape), case.dim), dtype=np.float32)
    centres = random.standard_normal((case.num_classes, len(shape)), dtype=np.float32)
    for first in range(0, case.num_pictures, BLOCK_ROWS):
        count = min(BLOCK_ROWS, case.num_pictures - first)
        classes = random.integers(0, case.num_classes, count)
        latent = case.apart * centres[classes]
        latent += random.standard_normal(latent.shape, dtype=np.float32)
        X = (latent * shape) @ directions
        X += size * (0.4 * random.standard_normal(X.shape, dtype=np.float32) - 0.3)
        np.maximum(X, 0, out=X)
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        is_other = random.random(count) < 1 / 20
        classes[is_other] = random.integers(0, case.num_classes, int(is_other.sum()))
        yield X, classes


def in_memory(X: np.ndarray, signs: np.ndarray) -> Fits:
    """The fits of the probe as it is without a budget."""
    return load_probe("svm").fits(X, signs)


def streamed(case: Case, vectors: VectorFile, signs: np.ndarray) -> StreamedSVMFits:
    """The fits with the case's budget."""
    svm = NewtonSVM()
    return StreamedSVMFits(vectors, signs, memory=case.budget, tol=svm.tol, max_iter=svm.max_iter)


def chosen(case: Case, fits: Fits) -> LinearClassifier:
    """The classifier of all pictures at the last C, after all have been tried."""
    choose(fits, [case.fold], grid=case.grid, score=lambda decisions, rows: 0.0)
    fits.start_from(np.ones(case.num_classes, bool))
    return fits.fit(case.grid[-1])


def _signs(classes: np.ndarray, num_classes: int) -> np.ndarray:
    return np.where(classes[:, None] == np.arange(num_classes), 1, -1).astype(np.int8)


def _forget(path: Path) -> None:
    """Let the system drop what it keeps of a file in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _results(
    case: Case,
    X: np.ndarray,
    signs: np.ndarray,
    expected: LinearClassifier,
    found: LinearClassifier,
    num_passes: int,
) -> Iterator[Row]:
    """How the classifier from disk compares with the one that was fitted in memory."""
    decisions = [classifier.decisions(X) for classifier in (expected, found)]
    least, reached = (
        (c.coef**2).sum(axis=1) / 2
        + c.intercept**2 / 2
        + case.grid[-1] * (np.maximum(0, 1 - signs * scores) ** 2).sum(axis=0)
        for c, scores in zip((expected, found), decisions, strict=True)
    )
    values: list[tuple[str, Any, Goal | None]] = [
        (
            "objective over that in memory, relative, largest",
            (reached / least - 1).max(),
            OBJECTIVE,
        ),
        ("gap, relative, largest", found.gap.max(), None),
        ("decisions equal to those in memory", np.mean(np.equal(*np.sign(decisions))), Goal(0.999)),
        ("passes over the vectors", num_passes, None),
    ]
    for quantity, value, goal in values:
        yield Row(
            contender="vggfeat, from disk",
            quantity=quantity,
            device="cpu",
            value=Spread.of([float(value)]),
            goal=goal,
        )


def _peak(case: Case, path: Path, signs_path: Path) -> int | None:
    """Bytes that all fits take above what was there before; to be called in a new process."""
    signs = np.load(signs_path)
    few = np.arange(20, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    NewtonSVM().fits(few, np.where(few[:, :1] > 5, 1, -1)).fit(1.0)  # loads libraries
    return_freed_memory()
    before = peak_bytes()
    if before is None:
        return None
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now on
    before = peak_bytes()
    vectors = VectorFile(path, case.dim)
    chosen(case, streamed(case, vectors, signs))
    return peak_bytes() - before
