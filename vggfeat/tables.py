"""Records and published rows -> one table that says which numbers may be compared.

A measured row is compared with the published row of the same nets. Its mark says whether the
protocol was the published one:

    =  same protocol
    ~  near: it differs in the points named
    x  not comparable, for the reasons named

Published values are percentages, as printed; records hold fractions. Tables show percentages.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from vggfeat.records import Record

FORMATS = ("table", "md", "csv", "json", "latex")
MARKS = {"same": "=", "near": "~", "not comparable": "x", "": ""}
# Points of a protocol, as columns of the published rows and keys of a record's protocol. A number
# measured with other classes or another amount of training answers another question; the rest
# moves it a little.
DECISIVE = ("classes", "train_per_class")
MINOR = ("test_per_class", "splits", "images", "scales", "aggregate", "mirror")
METRIC_NAMES = {"mean_class_recall": "mean class recall", "accuracy": "accuracy"}


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
    comparison: str = ""  # a key of MARKS
    reasons: tuple[str, ...] = ()
    limited: bool = False
    source: str = ""

    @property
    def is_measured(self) -> bool:
        return not self.source


def read_published(path: Path) -> list[dict[str, str]]:
    """The published rows as text, one dict a row; an empty cell was not stated."""
    return pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")


def compare(records: Sequence[Record], published: Sequence[dict[str, str]]) -> list[Row]:
    """For each benchmark: the published rows to compare with, then the measured ones."""
    rows = []
    for benchmark in dict.fromkeys(record.benchmark for record in records):
        measured = [record for record in records if record.benchmark == benchmark]
        known = [row for row in published if row["benchmark"] == benchmark]
        shown = [row for row in known if row["kind"] != "shallow"]
        rows += [_published_row(row, measured[0].title) for row in shown]
        rows += [_measured_row(record, known) for record in measured]
    return rows


def render(rows: Sequence[Row], form: str) -> str:
    """The table as text: "table" and "md" are wide, "latex" too; "csv" has a line a number."""
    if form == "csv":
        return _csv(rows)
    header, lines, notes = _wide(rows)
    if form == "latex":
        table = pd.DataFrame(lines, columns=header).to_latex(index=False, escape=True)
        return table + "".join(f"% {note}\n" for note in notes)
    separator = ("| ", " | ", " |") if form == "md" else ("", "   ", "")
    return _aligned([header, *lines], separator) + "".join(f"\n{note}" for note in notes) + "\n"


def _published_row(row: dict[str, str], title: str) -> Row:
    return Row(
        benchmark=row["benchmark"],
        title=title,
        method=row["method"],
        metric=row["metric"],
        value=float(row["value"]),
        spread=float(row["spread"]) if row["spread"] else None,
        source=row["source"],
    )


def _measured_row(record: Record, published: Sequence[dict[str, str]]) -> Row:
    metric = record.metrics[record.metric]
    value = 100 * metric["value"]
    deep = [row for row in published if row["kind"] == "very deep"]
    same_net = next((row for row in deep if row["network"] == record.net), None)
    reference = same_net or (deep[0] if deep else None)
    comparison, reasons = _judge(record, reference, same_net is not None)
    number = float(same_net["value"]) if same_net else None
    return Row(
        benchmark=record.benchmark,
        title=record.title,
        method=record.method,
        metric=record.metric,
        value=value,
        spread=100 * metric["spread"] if metric["spread"] is not None else None,
        published=number,
        difference=value - number if number is not None else None,
        comparison=comparison,
        reasons=reasons,
        limited=record.limited,
    )


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
    if record.metric != reference["metric"]:
        decisive.append(f"metric {record.metric}, published {reference['metric']}")
    decisive += _differences(record, reference, DECISIVE)
    minor = _differences(record, reference, MINOR)
    if is_same_net and not decisive:
        weights = " and ".join(dict.fromkeys(net["weights"] for net in record.nets))
        if weights != reference["weights"]:
            minor.append(f"weights {weights}, published {reference['weights']}")
    if record.skipped:
        minor.append(f"{len(record.skipped)} pictures skipped")
    other_net = () if is_same_net else ("no published number for this net",)
    if decisive:
        return "not comparable", (*decisive, *minor, *other_net)
    return "near" if minor else "same", (*minor, *other_net)


def _differences(record: Record, reference: dict[str, str], points: Sequence[str]) -> list[str]:
    found = []
    for point in points:
        ours, theirs = _stated(record.protocol.get(point)), reference[point]
        if theirs and ours != theirs:
            found.append(f"{point.replace('_', ' ')} {ours}, published {theirs}")
    return found


def _stated(value: object) -> str:
    """A value of a record's protocol as published.csv would have it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _wide(rows: Sequence[Row]) -> tuple[list[str], list[list[str]], list[str]]:
    """Header, a line a method with a column a benchmark, and the numbered notes."""
    benchmarks = dict.fromkeys((row.benchmark, row.title, row.metric) for row in rows)
    header = ["method"]
    header += [
        f"{title}, {METRIC_NAMES.get(metric, metric)} (%)" for _, title, metric in benchmarks
    ]
    lines, notes = [], []
    numbers: dict[tuple[str, ...], int] = {}  # equal reasons share a note
    for method, measured in dict.fromkeys((row.method, row.is_measured) for row in rows):
        own = [row for row in rows if (row.method, row.is_measured) == (method, measured)]
        cells = {}
        for row in own:
            reasons = (row.comparison, *row.reasons)
            if measured and row.reasons and reasons not in numbers:
                numbers[reasons] = len(numbers) + 1
                told = f"{row.comparison}: " if row.comparison else ""
                notes.append(f"[{numbers[reasons]}] {told}{'; '.join(row.reasons)}.")
            cell = _cell(row, numbers.get(reasons))
            key = (row.benchmark, row.title, row.metric)
            cells.setdefault(key, []).append(cell)
        for level in range(max(map(len, cells.values()))):
            lines.append([method] + [_at(cells.get(key, []), level) for key in benchmarks])
    if any(row.is_measured and row.comparison for row in rows):
        notes.append("Marks: = same protocol as published, ~ near, x not comparable.")
    return header, lines, notes


def _cell(row: Row, note: int | None) -> str:
    spread = "" if row.spread is None else f" ± {row.spread:.1f}"
    difference = "" if row.difference is None else f" ({row.difference:+.1f})"
    mark = f" {MARKS[row.comparison]}" if MARKS[row.comparison] else ""
    limited = " LIMITED" if row.limited else ""
    reference = "" if note is None else f" [{note}]"
    return f"{row.value:.1f}{spread}{difference}{mark}{limited}{reference}"


def _at(cells: Sequence[str], level: int) -> str:
    return cells[level] if level < len(cells) else ""


def _aligned(lines: Sequence[Sequence[str]], separator: tuple[str, str, str]) -> str:
    """Columns padded to their widest cell, a rule under the header."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    left, between, right = separator
    return "".join(
        f"{left}{between.join(c.ljust(w) for c, w in zip(line, widths, strict=True))}{right}".rstrip()
        + "\n"
        for line in (lines[0], rule, *lines[1:])
    )


def _csv(rows: Sequence[Row]) -> str:
    lines = [asdict(row) | {"reasons": "; ".join(row.reasons)} for row in rows]
    return pd.DataFrame(lines, columns=[field.name for field in fields(Row)]).to_csv(index=False)
