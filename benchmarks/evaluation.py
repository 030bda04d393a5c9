"""What evaluations of both kinds share: splits, the grid of C, the results of a split, their means.

single_label.py evaluates benchmarks of one class a picture, multi_label.py those of any number.

Shapes: n pictures, D dimensions, K classes. A `Split` holds row numbers.
"""

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vggfeat.errors import OptionError
from vggfeat.features.pipeline import Progress

if TYPE_CHECKING:  # scikit-learn takes 1 s to import, and only what fits has to wait for it
    from vggfeat.probes.svm import OneVsRestSVM

# The paper names neither grid nor solver. A choice at either end is told in the record's notes.
C_GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
# Of choose_C: when the grid ends, and how exact classifiers have to be that only serve to choose.
CHOICE = {"patience": 2, "saturated": 0.999, "tol": 1e-4}
SVM = {
    "newton": {"tol": 1e-5, "max_iter": 200},
    # At scikit-learn's own tol, 1e-4, the objective is 0.2 % off at C = 100 on wide data.
    "liblinear": {"tol": 1e-6, "max_iter": 10_000},
}
METHODS = {
    "newton": "Newton's method on all classes, duality gap at most tol of the objective",
    "liblinear": "scikit-learn's LinearSVC, primal, one class after the other",
}
LIBLINEAR_BYTES = 4 * 2**30  # for its copies of the data, 16 bytes a value and thread


@dataclass(frozen=True, kw_only=True)
class Split:
    """C is chosen by training on `train` and scoring `validation`; the classifier that is tested
    is trained on both."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def validates(self) -> np.ndarray:
        """Which rows of `both`, by their place there, are for validation."""
        return np.flatnonzero(np.isin(self.both, self.validation))

    @property
    def both(self) -> np.ndarray:
        """Training and validation rows, in order."""
        return np.union1d(self.train, self.validation)

    def among(self, rows: np.ndarray) -> "Split":
        """The same split of a table that has only these rows, in this order."""
        place = {row: number for number, row in enumerate(rows.tolist())}
        return Split(
            **{
                name: np.array([place[row] for row in part.tolist() if row in place], dtype=int)
                for name, part in vars(self).items()
            }
        )


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """The numbers of one split. A metric is one number, or one for each class [K] that counts in
    the mean unless it is NaN."""

    num_train: int  # validation included
    num_test: int
    C: float | Mapping[str, float]  # one, or one for each class that was fitted
    validation_scores: Mapping[float, float]  # C -> score, a mean over classes
    num_not_converged: int  # classes of the tested classifier
    largest_gap: float | None  # of its classes, relative to the objective; None from liblinear
    metrics: Mapping[str, float | np.ndarray]
    left_out: Mapping[str, str] = field(default_factory=dict)  # class -> why it has no number
    seconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Which solver fits the SVMs, and where."""

    solver: str = "newton"
    device: str = "cpu"

    def __post_init__(self):
        if self.solver not in SVM:
            raise OptionError(f"solver must be one of {', '.join(SVM)}; got {self.solver!r}.")

    def settings(self) -> dict[str, Any]:
        """What decides the numbers; part of a record's key."""
        return {
            "solver": self.solver,
            "method": METHODS[self.solver],
            "loss": "squared hinge, one class against the rest",
            "intercept": "regularised with the weights (intercept_scaling 1)",
            "class_weight": None,
            **SVM[self.solver],
            "c_grid": list(C_GRID),
            **{f"c_{name}": value for name, value in CHOICE.items()},
        }

    def classifier(self, num_values: int) -> "OneVsRestSVM":
        """The SVM, where liblinear's copies leave memory for several threads with as many.

        num_values counts the values of its largest training matrix.
        """
        from vggfeat.probes.svm import OneVsRestSVM

        threads = min(os.cpu_count() or 1, LIBLINEAR_BYTES // (16 * max(1, num_values)))
        return OneVsRestSVM(
            solver=self.solver, device=self.device, n_jobs=max(1, threads), **SVM[self.solver]
        )


NEWTON = Probe()


def choose_and_fit(
    svm: "OneVsRestSVM",
    X: np.ndarray,
    y: np.ndarray,
    validation: np.ndarray,
    *,
    score: Callable[[np.ndarray, np.ndarray], float | np.ndarray],
    progress: Progress,
) -> tuple[float | np.ndarray, dict[float, float], dict[str, float]]:
    """Choose C by fitting svm without the validation rows of X [n, D], then fit it to all rows.

    score and what is chosen are those of `Fits.choose_C`. Returns that C, or one for each class
    [K], the scores and the seconds of both stages.
    """
    from sklearn.exceptions import ConvergenceWarning

    from vggfeat.probes.svm import Fits

    num_stages = len(C_GRID) + 1
    times = [time.monotonic()]
    with warnings.catch_warnings():  # convergence is told in the record
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = Fits(svm, X, y)
        C, scores = fits.choose_C(
            [validation],
            grid=C_GRID,
            score=score,
            **CHOICE,
            progress=lambda done: progress("fitting SVMs", done, num_stages),
        )
        times.append(time.monotonic())
        fits.fit(C)
    progress("fitting SVMs", num_stages, num_stages)
    times.append(time.monotonic())
    return C, scores, dict(zip(("choose_C", "fit"), np.diff(times).tolist(), strict=True))


def convergence(svm: "OneVsRestSVM") -> dict[str, Any]:
    """How far a fitted classifier came, as fields of SplitResult."""
    gaps = getattr(svm, "gap_", None)
    return {
        "num_not_converged": int((~svm.converged_).sum()),
        "largest_gap": None if gaps is None else float(f"{gaps.max():.2g}"),
    }


def probe_facts(results: Sequence[SplitResult]) -> dict[str, Any]:
    """How the classifiers came out, for a record."""
    return {
        "c": [r.C if isinstance(r.C, float) else dict(r.C) for r in results],
        "validation": [
            {f"{C:g}": round(score, 6) for C, score in result.validation_scores.items()}
            for result in results
        ],
        "classes_not_converged": [result.num_not_converged for result in results],
        "largest_gap": [result.largest_gap for result in results],
    }


def summarise(results: Sequence[SplitResult], classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Metric name -> value (mean over splits), spread, values per split, means per class."""
    summary = {}
    for name in results[0].metrics:
        values = np.array([result.metrics[name] for result in results])  # [splits] or [splits, K]
        if values.ndim == 1:
            summary[name] = _summary(values)
        else:
            per_class = dict(zip(classes, _rounded(values.mean(axis=0)), strict=True))
            summary[name] = _summary(np.nanmean(values, axis=1)) | {"per_class": per_class}
    return summary


def notes(results: Sequence[SplitResult]) -> list[str]:
    """Classes without a number, and whether a better C may lie beyond the grid."""
    left_out = dict(pair for r in results for pair in r.left_out.items())
    told = []
    for reason in dict.fromkeys(left_out.values()):
        names = ", ".join(name for name, why in left_out.items() if why == reason)
        told.append(f"left out of the mean, {reason}: {names}")
    chosen = [C for r in results for C in ([r.C] if isinstance(r.C, float) else r.C.values())]
    of_what = "splits" if isinstance(results[0].C, float) else "classes"
    ends = {min(C_GRID): "smallest", max(C_GRID): "largest"}
    return told + [
        f"the {name} C of the grid, {C:g}, was chosen in {count} of {len(chosen)} {of_what}"
        for C, name in ends.items()
        if (count := chosen.count(C))
    ]


def _summary(per_split: np.ndarray) -> dict[str, Any]:
    """Mean over splits and their sample standard deviation, which needs two splits."""
    return {
        "value": round(float(per_split.mean()), 6),
        "spread": round(float(per_split.std(ddof=1)), 6) if len(per_split) > 1 else None,
        "per_split": _rounded(per_split),
    }


def _rounded(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]
