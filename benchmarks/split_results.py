"""The result of a split, and the results of all splits as fields of a record.

Shapes: n examples, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggfeat.probes.probe import Probe


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """The numbers of one split. A metric is one number, or one for each class [K] that counts in
    the mean unless it is NaN."""

    num_train: int  # validation included
    num_test: int
    # The hyper-parameter: one, or one for each fitted class; None for a probe without.
    chosen: float | Mapping[str, float] | None
    validation_scores: Mapping[float, float]  # its value -> score, a mean over classes
    num_not_converged: int  # classes of the tested classifier
    largest_gap: float | None  # of its classes, relative to the objective; None where unknown
    metrics: Mapping[str, float | np.ndarray]
    scores: np.ndarray  # float32 [n, K] of the test rows, in order; NaN for an untrained class
    borrowed: Sequence[str] = ()  # classes without a choice of their own
    left_out: Mapping[str, str] = field(default_factory=dict)  # class -> why it has no number
    seconds: Mapping[str, float]


def probe_facts(results: Sequence[SplitResult], probe: Probe) -> dict[str, Any]:
    """How the probes of all splits came out, for a record."""
    convergence = {
        "classes_not_converged": [result.num_not_converged for result in results],
        "largest_gap": [result.largest_gap for result in results],
    }
    if not probe.grid:
        return convergence
    return {
        probe.hyperparameter.lower(): [
            r.chosen if isinstance(r.chosen, float) else dict(r.chosen) for r in results
        ],
        "validation": [
            {f"{value:g}": round(score, 6) for value, score in result.validation_scores.items()}
            for result in results
        ],
        **convergence,
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


def notes(results: Sequence[SplitResult], probe: Probe) -> list[str]:
    """Classes without a number, and whether a better value may lie beyond the probe's grid."""
    reason_of = dict(pair for r in results for pair in r.left_out.items())
    left_out = []
    for reason in dict.fromkeys(reason_of.values()):
        names = ", ".join(name for name, why in reason_of.items() if why == reason)
        left_out.append(f"left out of the mean, {reason}: {names}")
    return left_out + _ends_of_the_grid(results, probe)


def _ends_of_the_grid(results: Sequence[SplitResult], probe: Probe) -> list[str]:
    """How often the smallest and the largest value of the grid were chosen, in words."""
    if not probe.grid:
        return []
    is_one_a_split = isinstance(results[0].chosen, float)
    chosen = [v for r in results for v in ([r.chosen] if is_one_a_split else r.chosen.values())]
    of_what = "splits" if is_one_a_split else "classes"
    ends = {min(probe.grid): "smallest", max(probe.grid): "largest"}
    return [
        f"the {end} {probe.hyperparameter} of the grid, {value:g}, was chosen in {count} of"
        f" {len(chosen)} {of_what}"
        for value, end in ends.items()
        if (count := chosen.count(value))
    ]


def remarks(results: Sequence[SplitResult], probe: Probe) -> list[str]:
    """Classes whose hyper-parameter could not be chosen for themselves."""
    borrowed = dict.fromkeys(name for result in results for name in result.borrowed)
    if not borrowed:
        return []
    return [
        f"without a positive to validate on, so the {probe.hyperparameter} that is best in the mean"
        f" of the others: {', '.join(borrowed)}"
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
