"""Records on ILSVRC -> results beside the paper's: a row of Tables 3 to 10 with all its numbers.

published.csv holds a row for each number; a result here is a configuration: nets with their S and
Q, view, and how a box regressor was trained. A measured one is compared with the published one of
the same configuration. Published values are percentages, as printed; records hold fractions;
results are percentages.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from vggfeat.errors import RecordError
from vggfeat.records.record import REMEDY, Record, path_of
from vggfeat.report.judge import NOT_COMPARABLE, ON_ILSVRC, Verdict, classifier_of, judge
from vggfeat.report.published import CLASSIFICATION, LOCALISATION, PublishedRow, read_published
from vggfeat.report.settings import interval_of, percent

VIEWS = ("centre", "dense", "crops", "both")  # in the order of a table's rows
IN_BOTH = {"both": ("dense", "crops")}
# What the published numbers of one configuration have in common.
CONFIGURATION = attrgetter(
    "table", "method", "network", "train_scales", "scales", "view", "regressor", "tuned"
)


@dataclass(frozen=True, kw_only=True)
class IlsvrcResult:
    """One row of a table. Values are percentages by metric; differences are to published."""

    method: str = ""  # of a published result
    networks: tuple[str, ...]  # empty for other people's methods
    train_scales: tuple[str, ...]  # S of each net, such as 256 or 256-512; empty: unknown
    scales: tuple[str, ...]  # Q of each net, such as "224 256 288"
    view: str
    regressor: str = ""
    tuned: str = ""
    classifier: str = ""  # what names the classes of dense boxes, and a threshold of merging
    values: dict[str, float]
    test: dict[str, float] = field(default_factory=dict)  # of the test set, published only
    images_per_s: float | None = None
    published: dict[str, float] = field(default_factory=dict)
    verdict: Verdict = Verdict("")
    record: Record | None = None  # of a measured result

    def interval(self, metric: str) -> tuple[float, float] | None:
        """The ends of the metric's 95 % interval, where the record came with intervals."""
        return interval_of(self.record, metric) if self.record else None

    @property
    def shown_net(self) -> str:
        """The name that the user gave the nets, else theirs."""
        return (self.record and self.record.name) or "+".join(self.networks)

    @property
    def differences(self) -> dict[str, float]:
        """Measured minus published, where the two may be compared."""
        if self.verdict.comparison in ("", NOT_COMPARABLE):
            return {}
        both = [metric for metric in self.published if metric in self.values]
        return {metric: round(self.values[metric] - self.published[metric], 4) for metric in both}


def published_results() -> dict[int, list[IlsvrcResult]]:
    """The paper's results by the number of their table, in the paper's order."""
    results: dict[int, list[IlsvrcResult]] = {}
    rows = [row for row in read_published() if row.benchmark in (CLASSIFICATION, LOCALISATION)]
    for key, numbers in groupby(rows, key=CONFIGURATION):
        results.setdefault(int(key[0]), []).append(_published_result(list(numbers)))
    return results


def measured_result(record: Record, published: Iterable[IlsvrcResult]) -> IlsvrcResult:
    """The record's result, compared with the published one of its configuration if there is one.

    Raises RecordError where the record lacks what a row needs.
    """
    try:
        return _compared(_measured_result(record), record, published)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        path = path_of(Path(), record.benchmark, record.net, record.key)
        raise RecordError(f"{path}: not a record on ILSVRC ({error!r}). {REMEDY}") from error


def _published_result(rows: Sequence[PublishedRow]) -> IlsvrcResult:
    first = rows[0]
    return IlsvrcResult(
        method=first.method,
        networks=_of_nets(first.network),
        train_scales=_of_nets(first.train_scales),
        scales=_of_nets(first.scales),
        view=first.view,
        regressor=first.regressor,
        tuned=first.tuned,
        values={row.metric: row.value for row in rows if "val" in row.set},
        test={row.metric: row.value for row in rows if "test" in row.set},
        verdict=Verdict("", tuple(dict.fromkeys(row.notes for row in rows if row.notes))),
    )


def _of_nets(text: str) -> tuple[str, ...]:
    return tuple(text.split("+")) if text else ()


def _measured_result(record: Record) -> IlsvrcResult:
    view = record.protocol["view"]
    if view not in VIEWS:
        raise ValueError(f"view {view!r}")
    values = {name: percent(metric["value"]) for name, metric in record.metrics.items()}
    if missing := _needed(record) - values.keys():
        raise KeyError(min(missing))
    for net in record.nets:  # tables are sorted by them
        for scale in (*str(net["train_scale"] or "").split("-"), *net["scales"]):
            int(scale or 0)
    return IlsvrcResult(
        networks=tuple(net["name"] for net in record.nets),
        train_scales=tuple(str(net["train_scale"] or "") for net in record.nets),
        scales=tuple(" ".join(map(str, sorted(net["scales"]))) for net in record.nets),
        view=view,
        regressor="+".join(dict.fromkeys(net.get("regressor", "") for net in record.nets)),
        tuned="+".join(dict.fromkeys(net.get("tuned", "") for net in record.nets)),
        classifier=classifier_of(record),
        values=values,
        images_per_s=_images_per_s(record.nets, IN_BOTH.get(view, (view,))),
        record=record,
    )


def _needed(record: Record) -> set[str]:
    """The metrics that a row is sorted and judged by."""
    if record.benchmark == LOCALISATION and record.protocol["view"] == "centre":
        return {"given_class_error"}
    return {"top1_error", "top5_error"}


def _images_per_s(nets: Sequence[dict[str, Any]], views: Sequence[str]) -> float | None:
    """Images a second through all nets and views in turn; None where one was not timed."""
    rates = [net.get("images_per_s", {}).get(view) for net in nets for view in views]
    return round(1 / sum(1 / rate for rate in rates), 4) if all(rates) else None


def _compared(
    result: IlsvrcResult, record: Record, published: Iterable[IlsvrcResult]
) -> IlsvrcResult:
    """The result with the published numbers of its configuration and how it stands to them."""
    alike = [other for other in published if _is_same(result, other)]
    # Where S is unknown several may fit: the best of them is the one to reach.
    reference = min(alike, key=lambda other: sorted(other.values.values()), default=None)
    verdict = judge(ON_ILSVRC, record, reference and reference.train_scales)
    if reference is None and verdict.comparison != NOT_COMPARABLE:
        verdict = Verdict("", ("no published number for this configuration", *verdict.reasons))
    return replace(result, published=reference.values if reference else {}, verdict=verdict)


def _is_same(result: IlsvrcResult, other: IlsvrcResult) -> bool:
    """Whether both are of one configuration, in any order of the nets; an unknown S fits any."""
    names = [name.partition(":")[0] for name in result.networks]
    nets = list(zip(names, result.scales, result.train_scales, strict=True))
    nets_of_other = list(zip(other.networks, other.scales, other.train_scales, strict=True))
    with_train_scale = Counter(net for net in nets if net[-1])
    return (
        (result.view, result.regressor, result.tuned) == (other.view, other.regressor, other.tuned)
        and Counter(net[:2] for net in nets) == Counter(net[:2] for net in nets_of_other)
        and with_train_scale <= Counter(nets_of_other)
    )
