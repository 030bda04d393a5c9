"""Records on ILSVRC -> rows beside the paper's numbers: which may be compared, and what differs.

published.csv holds a line for each number of Tables 3 to 10; a Row here is a line of a printed
table, with all its numbers. A measured row is compared with the published one of the same
configuration: nets with their S and Q, view, and how a box regressor was trained. Published values
are percentages, as printed; records hold fractions; rows are percentages.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from vggfeat.box_merging import THRESHOLD
from vggfeat.errors import RecordError
from vggfeat.records.record import REMEDY, Record, path_of
from vggfeat.report.judge import CAFFES_POOLING, read_published

CLASSIFICATION, LOCALISATION = "ilsvrc_classification", "ilsvrc_localisation"
PUBLISHED = Path(__file__).with_name("published_ilsvrc.csv")
VIEWS = ("centre", "dense", "crops", "both")  # in the order of a table's lines
IN_BOTH = {"both": ("dense", "crops")}
ILSVRC = {"classes": 1000, "images": 50_000, "set": "val"}
OTHER_NET = ("width", "input_size")  # options that make another net of it
# What makes the published numbers of one line.
ONE_LINE = ("table", "method", "network", "train_scales", "scales", "view", "regressor", "tuned")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table. Values are percentages by metric; differences are to published."""

    method: str = ""  # of a published row
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
    comparison: str = ""  # "same", "near", "not comparable", or empty: nothing to compare with
    reasons: tuple[str, ...] = ()
    record: Record | None = None  # of a measured row

    @property
    def differences(self) -> dict[str, float]:
        """Measured minus published, where the two may be compared."""
        if self.comparison not in ("same", "near"):
            return {}
        both = [metric for metric in self.published if metric in self.values]
        return {metric: round(self.values[metric] - self.published[metric], 4) for metric in both}


def published_rows() -> dict[int, list[Row]]:
    """The paper's lines by the number of their table, in the paper's order."""
    found: dict[int, list[Row]] = {}
    for key, lines in groupby(read_published(PUBLISHED), key=itemgetter(*ONE_LINE)):
        found.setdefault(int(key[0]), []).append(_published_row(list(lines)))
    return found


def measured_row(record: Record, published: Iterable[Row]) -> Row:
    """The record's line, compared with the published one of its configuration if there is one.

    Raises RecordError where the record lacks what a line needs.
    """
    try:
        return _compared(_measured_row(record), record, published)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        path = path_of(Path(), record.benchmark, record.net, record.key)
        raise RecordError(f"{path}: not a record on ILSVRC ({error!r}). {REMEDY}") from error


def _published_row(lines: Sequence[dict[str, str]]) -> Row:
    first = lines[0]
    values = {one["metric"]: float(one["value"]) for one in lines if "val" in one["set"]}
    test = {one["metric"]: float(one["value"]) for one in lines if "test" in one["set"]}
    return Row(
        method=first["method"],
        networks=_parts(first["network"]),
        train_scales=_parts(first["train_scales"]),
        scales=_parts(first["scales"]),
        view=first["view"],
        regressor=first["regressor"],
        tuned=first["tuned"],
        values=values,
        test=test,
        reasons=tuple(dict.fromkeys(one["notes"] for one in lines if one["notes"])),
    )


def _parts(text: str) -> tuple[str, ...]:
    return tuple(text.split("+")) if text else ()


def _measured_row(record: Record) -> Row:
    view = record.protocol["view"]
    if view not in VIEWS:
        raise ValueError(f"view {view!r}")
    values = {name: round(100 * one["value"], 4) for name, one in record.metrics.items()}
    if missing := _needed(record) - values.keys():
        raise KeyError(min(missing))
    for net in record.nets:  # tables are sorted by them
        for scale in (*str(net["train_scale"] or "").split("-"), *net["scales"]):
            int(scale or 0)
    return Row(
        networks=tuple(net["name"] for net in record.nets),
        train_scales=tuple(str(net["train_scale"] or "") for net in record.nets),
        scales=tuple(" ".join(map(str, sorted(net["scales"]))) for net in record.nets),
        view=view,
        regressor="+".join(dict.fromkeys(net.get("regressor", "") for net in record.nets)),
        tuned="+".join(dict.fromkeys(net.get("tuned", "") for net in record.nets)),
        classifier=_classifier(record),
        values=values,
        images_per_s=_images_per_s(record.nets, IN_BOTH.get(view, (view,))),
        record=record,
    )


def _classifier(record: Record) -> str:
    """The net that names the classes; a threshold of merging that is not the usual one with it."""
    named = str(record.protocol.get("classifier") or "")
    threshold = record.protocol.get("merge_threshold")
    return named if threshold in (None, THRESHOLD) else f"{named}, T={float(threshold):g}"


def _needed(record: Record) -> set[str]:
    """The metrics that a line is sorted and judged by."""
    if record.benchmark == LOCALISATION and record.protocol["view"] == "centre":
        return {"given_class_error"}
    return {"top1_error", "top5_error"}


def _images_per_s(nets: Sequence[dict[str, Any]], views: Sequence[str]) -> float | None:
    """Of nets and views one after the other; nothing where one was not timed."""
    rates = [net.get("images_per_s", {}).get(view) for net in nets for view in views]
    return round(1 / sum(1 / rate for rate in rates), 4) if all(rates) else None


def _compared(row: Row, record: Record, published: Iterable[Row]) -> Row:
    """The row with the published numbers of its configuration and how it stands to them."""
    alike = [other for other in published if _is_same(row, other)]
    # Where S is unknown several may fit: the best of them is the one to reach.
    reference = min(alike, key=lambda other: sorted(other.values.values()), default=None)
    comparison, reasons = _judge(row, record, reference)
    numbers = reference.values if reference else {}
    return replace(row, published=numbers, comparison=comparison, reasons=reasons)


def _is_same(row: Row, other: Row) -> bool:
    """Whether both are of one configuration, in any order of the nets; an unknown S fits any."""
    names = [name.partition(":")[0] for name in row.networks]
    ours = Counter(zip(names, row.scales, strict=True))
    theirs = Counter(zip(other.networks, other.scales, strict=True))
    known = Counter(net for net in zip(names, row.scales, row.train_scales, strict=True) if net[-1])
    return (
        (row.view, row.regressor, row.tuned) == (other.view, other.regressor, other.tuned)
        and ours == theirs
        and known <= Counter(zip(other.networks, other.scales, other.train_scales, strict=True))
    )


def _judge(row: Row, record: Record, reference: Row | None) -> tuple[str, tuple[str, ...]]:
    """How the record stands to the published row, and in which points it differs."""
    options = [option for name in row.networks for option in _options(name)]
    other_nets = [one for one in options if one.partition("=")[0] in OTHER_NET]
    decisive = []
    if record.limited:
        decisive.append("LIMITED to a part of the pictures")
    if any(net["weights"].startswith("random:") for net in record.nets):
        decisive.append("random weights")
    for name, theirs in ILSVRC.items():
        if record.protocol[name] != theirs:
            of = f" of {record.title}" if name == "images" else ""
            decisive.append(f"{name} {record.protocol[name]}{of}, published {theirs}")
    if "random:" in row.classifier:
        decisive.append("classes named by random weights")
    decisive += [f"net with {option}" for option in dict.fromkeys(other_nets)]
    usual = (*other_nets, CAFFES_POOLING)  # the published nets ran in Caffe
    minor = [f"net with {one}" for one in dict.fromkeys(options) if one not in usual]
    if row.classifier and row.view == "dense":
        minor.append(f"classes named by {row.classifier}, published by the paper's best nets")
    if record.skipped:
        minor.append(f"skipped pictures: {len(record.skipped)}")
    if decisive:
        return "not comparable", (*decisive, *minor)
    if reference is None:
        return "", ("no published number for this configuration", *minor)
    if not all(row.train_scales):
        minor.insert(
            0, f"weights trained otherwise, published S {'+'.join(reference.train_scales)}"
        )
    return ("near" if minor else "same"), tuple(minor)


def _options(name: str) -> list[str]:
    """What a net's specification changes, such as width=0.25."""
    options = name.partition(":")[2]
    return options.split(",") if options else []
