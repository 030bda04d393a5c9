"""Classes of a streamed probe shared by processes: each fits its own, and reads the same file.

The leading process runs the search of the grid as ever, with `ShardedFits`; the others serve it
(`serve`): what it asks comes through the store, as JSON, and signs, scores and weights through
files in a folder beside the vectors. Only classes that are problems of their own can be shared:
those of SVMs, ridge, and logistic regression of several labels; softmax is one problem.

Shapes: n examples, d dimensions, K classes, P problems.
"""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits, Probe
from vggfeat.probes.registry import load_probe
from vggfeat.probes.streaming.blocks import Rows
from vggfeat.probes.streaming.vector_file import VectorFile
from vggfeat.processes.workers import ALONE, FINISHED, Workers

ASKED = "fits"  # by which the leading process announces what it asks
OF_FIT = ("coef", "intercept", "gap", "converged", "num_iterations")
Make = Callable[[Probe, Rows, np.ndarray], Fits]


def can_be_shared(probe: Probe, X: object, num_classes: int, *, exclusive: bool) -> bool:
    """Whether several processes can share the classes."""
    is_separable = probe.name in ("svm", "ridge") or (probe.name == "logistic" and not exclusive)
    is_on_disk = isinstance(X, Rows) and isinstance(X.source, VectorFile)
    return probe.workers.size > 1 and is_separable and is_on_disk and num_classes > 1


class ShardedFits(Fits):
    """Fits to rows of a file whose classes all processes share; make gives those of one."""

    def __init__(self, probe: Probe, X: Rows, signs: np.ndarray, make: Make):
        self.signs, self.workers = signs, probe.workers
        vectors = X.source.path  # by whose lock `cache clear` knows that the folder is in use
        self.folder = Path(tempfile.mkdtemp(prefix=f"{vectors.name}-fits-", dir=vectors.parent))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        np.save(self.folder / "rows.npy", np.flatnonzero(X.is_chosen))
        np.save(self.folder / "signs.npy", signs)
        begin = {
            "folder": str(self.folder),
            "vectors": str(vectors),
            "dim": X.shape[1],
            "probe": probe.name,
            "device": probe.device.partition(":")[0],
            "memory": probe.memory,
        }
        with self._asked("begin", **begin):
            classes = _classes_of(self.workers, 0, signs.shape[1])
            self.own = make(replace(probe, workers=ALONE), X, signs[:, classes])

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        np.save(self.folder / "asked.npy", signs)
        with self._asked("decisions", value=value):
            scores = np.empty(signs.shape, dtype=np.float32)
            own = _columns_of(self.workers, 0, signs.shape[1], self.signs.shape[1])
            scores[:, own] = self.own.decisions(signs[:, own], value)
        for rank in self._others:
            columns = _columns_of(self.workers, rank, signs.shape[1], self.signs.shape[1])
            scores[:, columns] = np.load(self.folder / f"scores-{rank}.npy", mmap_mode="r")
        return scores

    def start_from(self, classes: np.ndarray) -> None:
        with self._asked("start_from", classes=np.flatnonzero(classes).tolist()):
            self.own.start_from(classes[_classes_of(self.workers, 0, self.signs.shape[1])])

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        num_classes = self.signs.shape[1]
        values = np.broadcast_to(value, num_classes)
        with self._asked("fit", values=values.tolist()):
            fitted = self.own.fit(values[_classes_of(self.workers, 0, num_classes)])
        parts = [{name: getattr(fitted, name) for name in OF_FIT}]
        for rank in self._others:
            with np.load(self.folder / f"fit-{rank}.npz") as arrays:
                if arrays.files:  # a process more than there are classes has nothing
                    parts.append({name: arrays[name] for name in arrays.files})
        shared = [name for name in OF_FIT if all(part.get(name) is not None for part in parts)]
        return LinearClassifier(
            **{name: np.concatenate([part[name] for part in parts]) for name in shared}
        )

    @property
    def _others(self) -> range:
        return range(1, self.workers.size)

    @contextmanager
    def _asked(self, what: str, **more: Any) -> Iterator[None]:
        """A `with` block for this process's share of what all are asked to do.

        It ends when the others have done theirs, also after an error: they read files that go with
        these fits and with the vectors.
        """
        name = self.workers.numbered(ASKED)
        self.workers.announce(name, {"do": what, **more})
        try:
            yield
        except Exception:
            self._wait_for_others(name)
            raise
        self._wait_for_others(name)

    def _wait_for_others(self, asked: str) -> None:
        for rank in self._others:
            self.workers.wait_for(f"{asked} by {rank}")


def serve(workers: Workers, make: Make) -> None:
    """Fit the classes of this process, as the leading one asks, until that has no more to ask."""
    server: _Server | None = None
    while True:
        name = workers.numbered(ASKED)
        for _ in workers.looks():
            if workers.announced(name):
                break
            if workers.announced(FINISHED):
                return
        asked = workers.wait_for(name)
        if asked["do"] == "end":
            return
        if asked["do"] == "begin":
            server = _Server(workers, asked, make)
        else:
            server.do(asked)
        workers.announce(f"{name} by {workers.rank}")


def end(workers: Workers) -> None:
    """Let the others go on with something else."""
    if workers.size > 1:
        workers.announce(workers.numbered(ASKED), {"do": "end"})


class _Server:
    """The fits of this process's classes to one set of examples."""

    def __init__(self, workers: Workers, asked: dict[str, Any], make: Make):
        self.workers, self.folder = workers, Path(asked["folder"])
        device = asked["device"]
        if device == "cuda":
            device = f"cuda:{workers.local_rank}"
        probe = replace(load_probe(asked["probe"], device=device), memory=asked["memory"])
        file = VectorFile(Path(asked["vectors"]), asked["dim"])
        self._release = weakref.finalize(self, file.release)
        signs = np.load(self.folder / "signs.npy", mmap_mode="r")
        self.num_classes = signs.shape[1]
        self.classes = _classes_of(workers, workers.rank, self.num_classes)
        X = Rows(file, np.load(self.folder / "rows.npy"))
        own = np.ascontiguousarray(signs[:, self.classes])
        self.fits = make(probe, X, own) if len(self.classes) else None

    def do(self, asked: dict[str, Any]) -> None:
        """Do what is asked of the fits, and leave the results in the folder."""
        rank = self.workers.rank
        if asked["do"] == "decisions":
            signs = np.load(self.folder / "asked.npy", mmap_mode="r")
            columns = _columns_of(self.workers, rank, signs.shape[1], self.num_classes)
            scores = np.empty((len(signs), 0), dtype=np.float32)
            if self.fits:
                own = np.ascontiguousarray(signs[:, columns])
                scores = self.fits.decisions(own, asked["value"]).astype(np.float32, copy=False)
            np.save(self.folder / f"scores-{rank}.npy", scores)
        elif asked["do"] == "start_from" and self.fits:
            self.fits.start_from(np.isin(self.classes, asked["classes"]))
        elif asked["do"] == "fit":
            fitted = self.fits and self.fits.fit(np.array(asked["values"])[self.classes])
            arrays = {name: getattr(fitted, name, None) for name in OF_FIT}
            given = {name: array for name, array in arrays.items() if array is not None}
            np.savez(self.folder / f"fit-{rank}.npz", **given)


def _classes_of(workers: Workers, rank: int, num_classes: int) -> np.ndarray:
    """The classes of a process, as many as of the others or one more or less."""
    return np.array_split(np.arange(num_classes), workers.size)[rank]


def _columns_of(workers: Workers, rank: int, num_problems: int, num_classes: int) -> np.ndarray:
    """The problems of a process's classes, of all folds: those of a fold stand together."""
    folds = np.arange(0, num_problems, num_classes)
    return (folds[:, None] + _classes_of(workers, rank, num_classes)).ravel()
