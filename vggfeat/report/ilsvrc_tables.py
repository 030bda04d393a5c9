"""Records on ILSVRC -> the paper's Tables 3 to 10 with the measured rows below the published ones.

There is a table where there is a measured row for it. Measurements on pictures of some of the nets'
classes stand in a table of their own (ilsvrc_some_classes.py).
"""

from collections.abc import Callable, Sequence

from vggfeat.records.record import Record
from vggfeat.report import ilsvrc_some_classes
from vggfeat.report.best import with_best
from vggfeat.report.ilsvrc_results import VIEWS, IlsvrcResult, measured_result, published_results
from vggfeat.report.judge import LEGEND, NOT_COMPARABLE
from vggfeat.report.published import CLASSIFICATION, LOCALISATION, PublishedRow, read_published
from vggfeat.report.settings import interval_legend
from vggfeat.report.table import Cell, Notes, Table

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
STATE_OF_THE_ART = (7, 10)  # here a published row is named by its method
# The fields of a published row in the table for programs.
PUBLISHED_COLUMNS = (
    "table", "kind", "method", "network", "train_scales", "scales", "view", "set", "metric",
    "value", "regressor", "tuned", "source", "notes",
)  # fmt: skip
Column = tuple[str, Callable[[IlsvrcResult], Cell | str]]


def tables(records: Sequence[Record]) -> list[Table]:
    """The paper's tables that have measured rows, and one for pictures of some of nets' classes.

    Records of other benchmarks are left out. Raises RecordError where a record lacks what a row
    needs.
    """
    published = published_results()
    whole, some = _apart(records)
    return [
        _table(number, [*published[number], *results])
        for number, results in _measured(whole).items()
    ] + ilsvrc_some_classes.tables(some)


def numbers(records: Sequence[Record]) -> list[Table]:
    """One table with a row a number, published and measured, for programs; none without records."""
    lines: list[dict[str, object]] = []
    whole, some = _apart(records)
    for number, results in _measured(whole).items():
        lines += [_published_number(row) for row in read_published() if row.table == str(number)]
        lines += [line for result in results for line in _measured_numbers(number, result)]
    for record in some:
        lines += _measured_numbers(None, measured_result(record, ()))
    return [Table.of_records(lines)] if lines else []


def _apart(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Records to show beside the paper's numbers, and those of some of the nets' classes."""
    some = [record for record in records if ilsvrc_some_classes.is_of_some(record)]
    return [record for record in records if record not in some], some


def _measured(records: Sequence[Record]) -> dict[int, list[IlsvrcResult]]:
    """The measured results of each table that has any, in the order of its rows."""
    published = [result for results in published_results().values() for result in results]
    return _placed([
        measured_result(record, published)
        for record in records
        if record.benchmark in (CLASSIFICATION, LOCALISATION)
    ])  # fmt: skip


def _placed(results: Sequence[IlsvrcResult]) -> dict[int, list[IlsvrcResult]]:
    placed: dict[int, list[IlsvrcResult]] = {number: [] for number in TITLES}
    for result in results:
        placed[_table_of(result)].append(result)
    crops = [_pictures_and_nets(result) for result in placed[5]]
    dense = [result for result in placed[3] + placed[4] if result.view == "dense"]
    placed[5] += [result for result in dense if _pictures_and_nets(result) in crops]
    placed[7] = _best([result for result in results if result.record.benchmark == CLASSIFICATION])
    placed[10] = _best(placed[9])
    return {number: sorted(of_it, key=_order) for number, of_it in placed.items() if of_it}


def _table_of(result: IlsvrcResult) -> int:
    if result.record.benchmark == LOCALISATION:
        return 8 if result.view == "centre" else 9
    if len(result.networks) > 1:
        return 6
    if result.view in ("crops", "both"):
        return 5
    return 4 if " " in result.scales[0] else 3


def _best(results: Sequence[IlsvrcResult]) -> list[IlsvrcResult]:
    """The result of the lowest error, from those that are not "not comparable" if there are any.

    Fewer classes or pictures make lower errors, which do not belong beside the state of the art.
    """
    return sorted(
        results,
        key=lambda result: (
            result.verdict.comparison == NOT_COMPARABLE,
            result.values["top5_error"],
            result.values["top1_error"],
        ),
    )[:1]


def _pictures_and_nets(result: IlsvrcResult) -> tuple[object, ...]:
    """What two views have in common where they belong side by side."""
    record = result.record
    nets = [(net["name"], net["weights"], net.get("weights_sha256")) for net in record.nets]
    return record.title, nets, result.scales


def _order(result: IlsvrcResult) -> tuple[object, ...]:
    """What rows are sorted by: networks, S (one before a range, unknown last), Q and view."""
    train_scales = [[int(end) for end in s.split("-") if end] for s in result.train_scales]
    return (
        result.networks,
        [(not s, len(s), s) for s in train_scales],
        [[int(scale) for scale in q.split()] for q in result.scales],
        VIEWS.index(result.view),
    )


def _table(number: int, results: Sequence[IlsvrcResult]) -> Table:
    notes = Notes()
    columns = _columns(number, notes)
    rows = [[cell(result) for _, cell in columns] for result in results]
    # Not every table has a test set, every measurement a speed.
    shown = [
        place
        for place, (name, _) in enumerate(columns)
        if name not in OPTIONAL or any(str(row[place]) for row in rows)
    ]
    errors = [place for place in shown if ERROR in columns[place][0]]
    measured = [result.record is not None for result in results]
    rows = with_best(rows, errors, measured, lower_is_better=True)
    has_marks = any(result.verdict.comparison for result in results)
    intervals = [result.interval(metric) for result in results for metric in result.values]
    return Table.of(
        [columns[place][0] for place in shown],
        [[row[place] for place in shown] for row in rows],
        notes=notes.texts,
        legend=(*((LEGEND,) if has_marks else ()), *interval_legend(intervals)),
        title=f"Table {number}: {TITLES[number]}",
    )


def _columns(number: int, notes: Notes) -> list[Column]:
    first: list[Column] = [
        ("net", lambda result: result.shown_net),
        ("S", train_scales_of),
        ("Q", lambda result: "+".join(result.scales)),
    ]
    last: list[Column] = [
        ("weights", lambda result: _weights(result, number)),
        ("difference (points)", _difference),
        ("mark", lambda result: _mark(result, notes)),
    ]
    tuned: Column = ("tuned", lambda result: result.tuned)
    regressor: Column = ("regressor", lambda result: result.regressor)
    class_given = _error("given_class_error", "error with the class given (%)")
    if number in (8, 9, 10):
        top1 = _error("top1_error", "top-1 localisation error (%)")
        top5 = _error("top5_error", "top-5 localisation error (%)")
        errors = [class_given, top1, top5] if number == 8 else [top1, top5, class_given, TEST]
        return [*first, tuned, regressor, *errors, CLASSIFIER, *last]
    top1, top5 = _error("top1_error", "top-1 error (%)"), _error("top5_error", "top-5 error (%)")
    return [*first, ("view", lambda result: result.view), top1, top5, TEST, SPEED, *last]


def train_scales_of(result: IlsvrcResult) -> str:
    """S of the nets in words."""
    return "+".join(s or "unknown" for s in result.train_scales)


def _error(metric: str, name: str) -> Column:
    def cell(result: IlsvrcResult) -> Cell:
        if metric not in result.values:
            return Cell()
        return Cell(
            values=(result.values[metric],),
            interval=result.interval(metric),
            flag="LIMITED" if result.record and result.record.limited else "",
        )

    return name, cell


def _test(result: IlsvrcResult) -> Cell:
    return Cell(values=(result.test["top5_error"],)) if result.test else Cell()


def _speed(result: IlsvrcResult) -> Cell:
    rate = result.images_per_s
    if rate is None:
        return Cell()
    return Cell(values=(rate,), number_format=".1f" if rate >= 10 else ".2g")


TEST: Column = ("test top-5 (%)", _test)
SPEED: Column = ("images/s", _speed)
CLASSIFIER: Column = ("classifier", lambda result: result.classifier)
ERROR = "error"  # in the titles of columns whose lowest value is the best
OPTIONAL = (
    TEST[0],
    CLASSIFIER[0],
    "error with the class given (%)",
    "top-1 localisation error (%)",
    "top-5 localisation error (%)",
)


def _weights(result: IlsvrcResult, number: int | None) -> str:
    if result.record:
        return "+".join(dict.fromkeys(net["weights"] for net in result.record.nets))
    return result.method if number in STATE_OF_THE_ART else "published"


def _difference(result: IlsvrcResult) -> Cell:
    """The differences of the values as they are printed, in percent points."""
    points = [
        round(result.values[metric], 1) - result.published[metric] for metric in result.differences
    ]
    return Cell(values=tuple(points), number_format="+.1f")


def _mark(result: IlsvrcResult, notes: Notes) -> Cell:
    return Cell(mark=result.verdict.mark, notes=notes.refer(result.verdict.note))


def _published_number(row: PublishedRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in PUBLISHED_COLUMNS}


def _measured_numbers(number: int | None, result: IlsvrcResult) -> list[dict[str, object]]:
    """A line for each number of a measured result, in published columns and a few more."""
    of_result = {
        "table": number,
        "kind": "measured",
        "network": "+".join(result.networks),
        "train_scales": train_scales_of(result),
        "scales": "+".join(result.scales),
        "view": result.view,
        "set": result.record.protocol["set"],
        "regressor": result.regressor,
        "tuned": result.tuned,
        "classifier": result.classifier,
        "notes": "; ".join(result.verdict.reasons),
        "title": result.record.title,
        "weights": _weights(result, number),
        "images_per_s": result.images_per_s,
        "comparison": result.verdict.comparison,
        "limited": result.record.limited,
    }
    return [
        of_result
        | {"metric": metric, "value": value, "published": result.published.get(metric)}
        | {"difference": result.differences.get(metric)}
        | dict(zip(("low", "high"), result.interval(metric) or (), strict=False))
        for metric, value in result.values.items()
    ]
