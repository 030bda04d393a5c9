"""Records beside published rows: which numbers may be compared, and what differs.

A measured number is compared with the published one of the same nets. How their protocols stand to
each other is "same", "near" (it differs in the points named) or "not comparable" (for the reasons
named). Published values are percentages, as printed; records hold fractions; rows are percentages.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vggfeat.records.record import Record

# Points of a protocol, as columns of the published rows and keys of a record's protocol. A number
# measured with other classes, other training or other test sets answers another question; the
# rest moves it a little.
DECISIVE = ("classes", "train_per_class", "trained_on", "scored_on", "classifier")
SHOWN = ("best shallow", "very deep")  # kinds of published rows; others only beside the same net
VARIED = (
    "scales", "aggregate", "scale_l2", "mirror", "splits", "seed", "images", "background",
    "difficult", "box_margin",
)  # fmt: skip
OF_FEATURES = ("exif", "precision", "dtype")  # what can be varied in the extraction

MINOR = ("test_per_class", "splits", "images", "scales", "aggregate", "mirror", "view")
USUAL = {"view": "dense"}  # of records that do not say
# The published nets ran in Caffe, whose pooling rounds up: they are this net of ours.
CAFFES_POOLING = "ceil_mode=true"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number. Values are percentages; difference is measured minus published."""

    benchmark: str
    title: str
    method: str
    metric: str
    value: float
    spread: float | None
    published: float | None = None
    difference: float | None = None
    comparison: str = ""  # "same", "near", "not comparable", or empty: nothing to compare with
    reasons: tuple[str, ...] = ()
    limited: bool = False
    settings: dict[str, str] = field(default_factory=dict)  # what a user can vary, by name
    source: str = ""

    @property
    def is_measured(self) -> bool:
        return not self.source


def read_published(path: Path) -> list[dict[str, str]]:
    """The published rows as text, one dict a row; an empty cell was not stated."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def compare(records: Sequence[Record], published: Sequence[dict[str, str]]) -> list[Row]:
    """The published rows to compare with, then the measured ones.

    Benchmarks come in the order of the published rows; those without any come last.
    """
    measured = {record.benchmark: record.title for record in records}
    order = [row["benchmark"] for row in published if row["benchmark"] in measured]
    benchmarks = list(dict.fromkeys([*order, *measured]))
    rows = []
    for name in benchmarks:
        known = [row for row in published if row["benchmark"] == name]
        beside = [_of_same_net(r, known) for r in records if r.benchmark == name]
        shown = [row for row in known if row["kind"] in SHOWN or row in beside]
        rows += [_published_row(row, measured[name]) for row in shown]
    for name in benchmarks:
        known = [row for row in published if row["benchmark"] == name]
        rows += [_measured_row(record, known) for record in records if record.benchmark == name]
    return rows


def _published_row(row: dict[str, str], title: str) -> Row:
    return Row(
        benchmark=row["benchmark"],
        title=title,
        method=row["method"],
        metric=row["metric"],
        value=float(row["value"]),
        spread=float(row["spread"]) if row["spread"] else None,
        reasons=(row["notes"],) if row["kind"] == "best shallow" else (),
        source=row["source"],
    )


def _measured_row(record: Record, published: Sequence[dict[str, str]]) -> Row:
    value = _percent(record.metrics[record.metric]["value"])
    same_net = _of_same_net(record, published)
    deep = [row for row in published if row["kind"] == "very deep"]
    reference = same_net or (deep[0] if deep else None)
    comparison, reasons = _judge(record, reference, same_net is not None)
    number = difference = None
    if same_net and same_net["metric"] in record.metrics:
        # Like with like: by the rule of the published number, whatever the headline's is.
        number = float(same_net["value"])
        measured = _percent(record.metrics[same_net["metric"]]["value"])
        difference = round(measured - number, 4)
    return Row(
        benchmark=record.benchmark,
        title=record.title,
        method=record.method,
        metric=record.metric,
        value=value,
        spread=_percent(record.metrics[record.metric]["spread"]),
        published=number,
        difference=difference,
        comparison=comparison,
        reasons=reasons,
        limited=record.limited,
        settings=settings_of(record),
    )


def settings_of(record: Record) -> dict[str, str]:
    """What a user can vary and the net's name does not tell, as text."""
    stated = {name: _stated(record.protocol.get(name, "")) for name in VARIED}
    of_features = {name: _of_nets(record, name) for name in OF_FEATURES}
    solver = str(record.probe.get("solver", "")).partition(" ")[0]  # older records say more
    return stated | of_features | {"solver": solver}


def _of_same_net(record: Record, published: Sequence[dict[str, str]]) -> dict[str, str] | None:
    """The published row of the record's nets, one by the record's own metric if there is one.

    Later rows are of one network with the weights of many, so there the weights must be the same.
    """
    nets = sorted(_published_name(net["name"]) for net in record.nets)
    weights = {net["weights"] for net in record.nets}
    rows = [
        row
        for row in published
        if sorted(row["network"].split("+")) == nets
        and (row["kind"] != "later" or weights == {row["weights"]})
    ]
    rows.sort(key=lambda row: (row["metric"] != record.metric, row["metric"] not in record.metrics))
    return rows[0] if rows else None


def _published_name(name: str) -> str:
    """A net as a published row would name it: how it sees pictures is a point of the protocol."""
    base, _, options = name.partition(":")
    kept = [
        option
        for option in options.split(",")
        if option not in ("", CAFFES_POOLING) and not option.startswith("view=")
    ]
    return f"{base}:{','.join(kept)}" if kept else base


def _judge(
    record: Record, reference: dict[str, str] | None, is_same_net: bool
) -> tuple[str, tuple[str, ...]]:
    """How a record's protocol stands to a published row's, and in which points it differs."""
    if reference is None:
        return "", ("no published number for this benchmark",)
    decisive = []
    if record.limited:
        decisive.append("LIMITED to a part of the pictures")
    if any(net["weights"].startswith("random:") for net in record.nets):
        decisive.append("random weights")
    if reference["metric"] not in record.metrics:
        decisive.append(f"metric {record.metric}, published {reference['metric']}")
    decisive += _differences(record, reference, DECISIVE)
    minor = _differences(record, reference, MINOR)
    if not reference["train_per_class"]:
        # Then the number of pictures decides how many are trained on.
        fewer = _differences(record, reference, ("images",))
        decisive, minor = decisive + fewer, [point for point in minor if point not in fewer]
    if _of_nets(record, "exif") == "True":
        minor.append("pictures turned by their EXIF orientation")
    if reference["metric"] != record.metric and reference["metric"] in record.metrics:
        minor.append(f"compared in {reference['metric']}, the rule of the published number")
    if is_same_net and not decisive:
        named = (net.get("original") or net["weights"] for net in record.nets)
        weights = " and ".join(dict.fromkeys(named))
        if weights != reference["weights"]:
            minor.append(f"weights {weights}, published {reference['weights']}")
        if any(net.get("original") and CAFFES_POOLING not in net["name"] for net in record.nets):
            minor.append("pooling rounds down, the published nets' up (ceil_mode=true)")
        if reference["kind"] == "later":
            minor.append(f"the published protocol: {reference['notes']}")
    if leaks := record.protocol.get("leaks"):
        minor.append(f"{leaks} test pictures are training pictures too")
    if record.skipped:
        minor.append(f"skipped pictures: {len(record.skipped)}")
    other_net = () if is_same_net else ("no published number for this net",)
    if decisive:
        return "not comparable", (*decisive, *minor, *other_net)
    if minor or not is_same_net:
        return "near" if minor else "same", (*minor, *other_net)
    # A published row states less than a record does.
    return "same", (f"as far as stated: {reference['notes']}",)


def _of_nets(record: Record, name: str) -> str:
    """A setting of the feature files, once if all nets have the same."""
    features = [net.get("features") for net in record.nets]
    values = [str(f[name]) for f in features if isinstance(f, dict) and name in f]
    return " ".join(dict.fromkeys(values))


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 4)


def _differences(record: Record, reference: dict[str, str], points: Sequence[str]) -> list[str]:
    found = []
    for point in points:
        ours, theirs = _stated(record.protocol.get(point, USUAL.get(point))), reference[point]
        if theirs and ours != theirs:
            left_out = record.protocol.get("left_out") if point == "classes" else None
            without = f" (without {', '.join(left_out)})" if left_out else ""
            found.append(f"{point.replace('_', ' ')} {ours}{without}, published {theirs}")
    return found


def _stated(value: object) -> str:
    """A value of a record's protocol as published.csv would have it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)
