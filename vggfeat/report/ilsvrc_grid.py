"""Records of `evaluate` -> a row for each net and its scales, a column for each view.

So depth, scale, view and fusion can be read off beside each other; ilsvrc_tables.py has the same
numbers beside the paper's.
"""

from collections.abc import Sequence

from vggfeat.records.record import Record
from vggfeat.report import ilsvrc_some_classes
from vggfeat.report.best import with_best
from vggfeat.report.ilsvrc_results import VIEWS, IlsvrcResult, measured_result
from vggfeat.report.ilsvrc_some_classes import is_of_some
from vggfeat.report.ilsvrc_tables import train_scales_of
from vggfeat.report.published import CLASSIFICATION
from vggfeat.report.settings import assumed_legend, interval_legend, net_options
from vggfeat.report.table import Cell, Table

FAST, SLOW = "dense", "crops"  # the views whose speeds are worth a comparison


def tables(records: Sequence[Record]) -> list[Table]:
    """A table for each set of pictures; none without records of classification.

    For pictures of some of the nets' classes it has a row a record. Raises RecordError where a
    record lacks what a row needs.
    """
    by_pictures: dict[tuple[str, str], list[IlsvrcResult]] = {}
    for record in records:
        if record.benchmark == CLASSIFICATION and not is_of_some(record):
            pictures = (record.title, record.splits_sha256)
            by_pictures.setdefault(pictures, []).append(measured_result(record, ()))
    of_some = ilsvrc_some_classes.tables([record for record in records if is_of_some(record)])
    return [_table(results) for results in by_pictures.values()] + of_some


def _table(results: Sequence[IlsvrcResult]) -> Table:
    views = [view for view in VIEWS if any(result.view == view for result in results)]
    timed = [view for view in (FAST, SLOW) if view in views]
    rows: dict[tuple[object, ...], dict[str, IlsvrcResult]] = {}
    for result in sorted(results, key=lambda result: result.record.time):
        row = (_weights(result), _digests(result), result.train_scales, result.scales)
        # The newest of those that say the same, as of two precisions.
        rows.setdefault(row, {})[result.view] = result
    cells = [_cells(by_view, views, timed) for by_view in sorted(rows.values(), key=_order)]
    of_views = range(3, 3 + len(views))
    return Table.of(
        ["net", "S", "Q", *(f"{view} (%)" for view in views), "weights",
         *(f"images/s {view}" for view in timed)],
        with_best(cells, of_views, [True] * len(cells), lower_is_better=True),
        legend=_legend(results),
    )  # fmt: skip


def _cells(
    by_view: dict[str, IlsvrcResult], views: Sequence[str], timed: Sequence[str]
) -> list[Cell | str]:
    first = next(iter(by_view.values()))
    return [
        first.record.name or "+".join(name.partition(":")[0] for name in first.networks),
        train_scales_of(first),
        "+".join(dict.fromkeys(first.scales)),
        *(_errors(by_view.get(view)) for view in views),
        _weights(first),
        *(_speed(by_view.get(view)) for view in timed),
    ]


def _weights(result: IlsvrcResult) -> str:
    return "+".join(net["weights"] for net in result.record.nets)


def _digests(result: IlsvrcResult) -> tuple[str, ...]:
    """The digests of the weights, as a net may be trained again under the same name."""
    return tuple(str(net.get("weights_sha256")) for net in result.record.nets)


def _order(by_view: dict[str, IlsvrcResult]) -> tuple[object, ...]:
    """What rows are sorted by: one net before several; then net, S and Q."""
    result = next(iter(by_view.values()))
    s = [[int(end) for end in scale.split("-") if end] for scale in result.train_scales]
    q = [[int(scale) for scale in scales.split()] for scales in result.scales]
    by_length = [[(len(scale), scale) for scale in scales] for scales in (s, q)]
    return len(result.networks), result.networks, *by_length


def _errors(result: IlsvrcResult | None) -> Cell:
    """Top-1 and top-5 error of a result; empty where there is none."""
    if result is None:
        return Cell()
    errors = (result.values["top1_error"], result.values["top5_error"])
    return Cell(values=errors, interval=result.interval("top1_error"))


def _speed(result: IlsvrcResult | None) -> Cell:
    if result is None or not result.images_per_s:
        return Cell()
    return Cell(values=(result.images_per_s,), number_format=".3g")


def _legend(results: Sequence[IlsvrcResult]) -> tuple[str, ...]:
    """Which pictures, and what the nets' names leave out of the rows."""
    record = results[0].record
    limited = ", LIMITED" if record.limited else ""
    pictures = (
        f"Top-1 / top-5 error on {record.n_test[0]:,} pictures of {record.title}{limited},"
        f" {record.protocol['classes']} classes."
    )
    names = [name for result in results for name in result.networks]
    options = dict.fromkeys(",".join(net_options(name)) for name in names if net_options(name))
    with_options = (f"Nets with {' or '.join(options)}.",) if options else ()
    intervals = interval_legend((r.interval("top1_error") for r in results), " of top-1 error")
    assumed = assumed_legend([result.record for result in results])
    return (pictures, *with_options, *assumed, *intervals)
