"""Records on ILSVRC -> the paper's Tables 3 to 10 with the measured lines below the published ones.

A table is printed where there is a measured line for it.
"""

from collections.abc import Callable, Sequence

from vggfeat.records.record import Record
from vggfeat.report.ilsvrc_rows import (
    CLASSIFICATION,
    LOCALISATION,
    PUBLISHED,
    VIEWS,
    Row,
    measured_row,
    published_rows,
)
from vggfeat.report.judge import read_published
from vggfeat.report.table import LEGEND, MARKS, Notes, as_csv, formatted

TITLES = {
    3: "one scale",
    4: "several scales",
    5: "dense evaluation, crops, and both",
    6: "several nets",
    7: "the state of the art",
    8: "localisation, one crop, the class given",
    9: "localisation, dense",
    10: "localisation, the state of the art",
}
STATE_OF_THE_ART = (7, 10)  # here a published line is named by its method
HEADINGS = {"md": "### {}\n\n", "latex": "% {}\n", "table": "{}\n\n"}
Column = tuple[str, Callable[[Row], str]]


def render_ilsvrc(records: Sequence[Record], form: str) -> str:
    """The tables as "table", "md" or "latex"; as "csv" a line a number. Empty without records.

    Raises RecordError where a record of these benchmarks lacks what a line needs.
    """
    published = published_rows()
    known = [row for rows in published.values() for row in rows]
    ours = [one for one in records if one.benchmark in (CLASSIFICATION, LOCALISATION)]
    measured = _placed([measured_row(record, known) for record in ours])
    if form == "csv":
        return _csv(measured)
    return "\n".join(
        _table(number, [*published[number], *rows], form) for number, rows in measured.items()
    )


def _placed(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """The measured rows of each table that has any, in the order of their lines."""
    found: dict[int, list[Row]] = {number: [] for number in TITLES}
    for row in rows:
        found[_table_of(row)].append(row)
    beside = [_pictures_and_nets(row) for row in found[5]]
    dense = [row for row in found[3] + found[4] if row.view == "dense"]
    found[5] += [row for row in dense if _pictures_and_nets(row) in beside]
    found[7] = _best([row for row in rows if _benchmark(row) == CLASSIFICATION])
    found[10] = _best(found[9])
    return {number: sorted(of_it, key=_order) for number, of_it in found.items() if of_it}


def _table_of(row: Row) -> int:
    if _benchmark(row) == LOCALISATION:
        return 8 if row.view == "centre" else 9
    if len(row.networks) > 1:
        return 6
    if row.view in ("crops", "both"):
        return 5
    return 4 if " " in row.scales[0] else 3


def _best(rows: Sequence[Row]) -> list[Row]:
    """The row of the lowest error, from those that are not "not comparable" if there are any.

    Fewer classes or pictures make lower errors, which do not belong beside the state of the art.
    """
    return sorted(
        rows,
        key=lambda row: (
            row.comparison == "not comparable",
            row.values["top5_error"],
            row.values["top1_error"],
        ),
    )[:1]


def _benchmark(row: Row) -> str:
    return row.record.benchmark if row.record else ""


def _pictures_and_nets(row: Row) -> tuple[object, ...]:
    """What two views have in common where they belong side by side."""
    nets = [(net["name"], net["weights"], net.get("weights_sha256")) for net in row.record.nets]
    return row.record.title, nets, row.scales


def _order(row: Row) -> tuple[object, ...]:
    """By networks, S (one before a range, unknown last), Q and view."""
    train_scales = [[int(one) for one in s.split("-") if one] for s in row.train_scales]
    return (
        row.networks,
        [(not s, len(s), s) for s in train_scales],
        [[int(one) for one in q.split()] for q in row.scales],
        VIEWS.index(row.view),
    )


def _table(number: int, rows: Sequence[Row], form: str) -> str:
    notes = Notes()
    columns = _columns(number, notes)
    lines = [[cell(row) for _, cell in columns] for row in rows]
    # Not every table has a test set, every measurement a speed.
    kept = [
        place
        for place, (name, _) in enumerate(columns)
        if name not in OPTIONAL or any(line[place] for line in lines)
    ]
    header = [columns[place][0] for place in kept]
    cells = [[line[place] for place in kept] for line in lines]
    has_marks = any(row.comparison for row in rows)
    below = [*notes.lines(), *([LEGEND] if has_marks else [])]
    title = HEADINGS[form].format(f"Table {number}: {TITLES[number]}")
    return title + formatted(header, cells, below, form).rstrip("\n") + "\n"


def _columns(number: int, notes: Notes) -> list[Column]:
    first: list[Column] = [
        ("net", lambda row: "+".join(row.networks)),
        ("S", _train_scales),
        ("Q", lambda row: "+".join(row.scales)),
    ]
    last: list[Column] = [
        ("weights", lambda row: _weights(row, number)),
        ("difference (points)", _difference),
        ("mark", lambda row: _mark(row, notes)),
    ]
    tuned: Column = ("tuned", lambda row: row.tuned)
    regressor: Column = ("regressor", lambda row: row.regressor)
    given = _error("given_class_error", "error with the class given (%)")
    if number in (8, 9, 10):
        top1 = _error("top1_error", "top-1 localisation error (%)")
        top5 = _error("top5_error", "top-5 localisation error (%)")
        errors = [given, top1, top5] if number == 8 else [top1, top5, given, TEST]
        return [*first, tuned, regressor, *errors, CLASSIFIER, *last]
    top1, top5 = _error("top1_error", "top-1 error (%)"), _error("top5_error", "top-5 error (%)")
    return [*first, ("view", lambda row: row.view), top1, top5, TEST, SPEED, *last]


def _train_scales(row: Row) -> str:
    return "+".join(s or "unknown" for s in row.train_scales)


def _error(metric: str, name: str) -> Column:
    def cell(row: Row) -> str:
        if metric not in row.values:
            return ""
        limited = " LIMITED" if row.record and row.record.limited else ""
        return f"{row.values[metric]:.1f}{limited}"

    return name, cell


def _test(row: Row) -> str:
    return f"{row.test['top5_error']:.1f}" if row.test else ""


def _speed(row: Row) -> str:
    if row.images_per_s is None:
        return ""
    return f"{row.images_per_s:.1f}" if row.images_per_s >= 10 else f"{row.images_per_s:.2g}"


TEST: Column = ("test top-5 (%)", _test)
SPEED: Column = ("images/s", _speed)
CLASSIFIER: Column = ("classifier", lambda row: row.classifier)
OPTIONAL = (
    TEST[0],
    CLASSIFIER[0],
    "error with the class given (%)",
    "top-1 localisation error (%)",
    "top-5 localisation error (%)",
)


def _weights(row: Row, number: int) -> str:
    if row.record:
        return "+".join(dict.fromkeys(net["weights"] for net in row.record.nets))
    return row.method if number in STATE_OF_THE_ART else "published"


def _difference(row: Row) -> str:
    """Of the values as they are printed."""
    points = [round(row.values[metric], 1) - row.published[metric] for metric in row.differences]
    return " / ".join(f"{value:+.1f}" for value in points)


def _mark(row: Row, notes: Notes) -> str:
    return f"{MARKS[row.comparison]} {notes.refer(row.comparison, row.reasons)}".strip()


def _csv(measured: dict[int, list[Row]]) -> str:
    lines: list[dict[str, object]] = []
    published = read_published(PUBLISHED)
    for number, rows in measured.items():
        lines += [one for one in published if one["table"] == str(number)]
        lines += [line for row in rows for line in _numbers(number, row)]
    return as_csv(lines) if lines else ""


def _numbers(number: int, row: Row) -> list[dict[str, object]]:
    """A line for each number of a measured row, in the columns of published.csv and a few more."""
    of_row = {
        "table": number,
        "kind": "measured",
        "network": "+".join(row.networks),
        "train_scales": _train_scales(row),
        "scales": "+".join(row.scales),
        "view": row.view,
        "set": row.record.protocol["set"],
        "regressor": row.regressor,
        "tuned": row.tuned,
        "classifier": row.classifier,
        "notes": "; ".join(row.reasons),
        "title": row.record.title,
        "weights": _weights(row, number),
        "images_per_s": row.images_per_s,
        "comparison": row.comparison,
        "limited": row.record.limited,
    }
    return [
        of_row
        | {"metric": metric, "value": value, "published": row.published.get(metric)}
        | {"difference": row.differences.get(metric)}
        for metric, value in row.values.items()
    ]
