"""Records of nets on pictures of some of their classes -> a table with both kinds of errors.

Among all classes of the net, and among those of the pictures alone. Neither is comparable with the
paper's numbers, so there are no published rows beside them.
"""

from collections.abc import Sequence

from vggfeat.records.record import Record
from vggfeat.report.best import with_best
from vggfeat.report.ilsvrc_results import VIEWS, IlsvrcResult, measured_result
from vggfeat.report.settings import assumed_legend, interval_legend
from vggfeat.report.table import Cell, Table

AMONG_ALL = ("top1_error", "top5_error")
AMONG_PRESENT = ("top1_error_present", "top5_error_present")


def is_of_some(record: Record) -> bool:
    """Whether the record is of pictures of some of its nets' classes."""
    return "classes_present" in record.protocol


def tables(records: Sequence[Record]) -> list[Table]:
    """A table for each set of pictures, from records that are of some of their nets' classes.

    Raises RecordError where a record lacks what a row needs.
    """
    by_pictures: dict[tuple[str, str, int], list[IlsvrcResult]] = {}
    for record in records:
        classes = (record.protocol["classes"], record.protocol["classes_present"])
        result = measured_result(record, ())
        by_pictures.setdefault((record.title, record.splits_sha256, *classes), []).append(result)
    return [_table(results) for results in by_pictures.values()]


def _table(results: Sequence[IlsvrcResult]) -> Table:
    record = results[0].record
    num_classes, present = (record.protocol[name] for name in ("classes", "classes_present"))
    rows = [_cells(result) for result in sorted(results, key=_order)]
    return Table.of(
        ["net", "Q", "view", f"among {num_classes} (%)", f"among {present} (%)", "precision",
         "weights"],
        with_best(rows, (3, 4), [True] * len(rows), lower_is_better=True),
        title=f"{record.title}: {present} of the nets' {num_classes} classes",
        legend=(
            f"Top-1 / top-5 error on {record.n_test[0]:,} pictures; not comparable with ILSVRC's.",
            f"Classes are matched by {record.protocol['matched_by']}.",
            *_left_out(record),
            *assumed_legend([result.record for result in results]),
            *interval_legend((r.interval(AMONG_ALL[0]) for r in results), " of top-1 error"),
        ),
    )  # fmt: skip


def _cells(result: IlsvrcResult) -> list[Cell | str]:
    flag = "LIMITED" if result.record.limited else ""
    return [
        result.shown_net,
        "+".join(dict.fromkeys(result.scales)),
        result.view,
        *(
            Cell(values=_values(result, errors), interval=result.interval(errors[0]), flag=flag)
            for errors in (AMONG_ALL, AMONG_PRESENT)
        ),
        _precision(result.record),
        "+".join(dict.fromkeys(net["weights"] for net in result.record.nets)),
    ]


def _precision(record: Record) -> str:
    """In what the forward passes were, which decides close calls."""
    posteriors = [facts for net in record.nets for facts in net.get("posteriors") or ()]
    return " ".join(dict.fromkeys(str(facts.get("precision", "")) for facts in posteriors))


def _values(result: IlsvrcResult, metrics: Sequence[str]) -> tuple[float, ...]:
    """Those of the metrics that there are: with less than 5 classes there is no top-5 error."""
    return tuple(result.values[metric] for metric in metrics if metric in result.values)


def _order(result: IlsvrcResult) -> tuple[object, ...]:
    """What rows are sorted by: one net before several; then net, Q and view."""
    scales = [[int(scale) for scale in scales.split()] for scales in result.scales]
    return len(result.networks), result.networks, scales, VIEWS.index(result.view)


def _left_out(record: Record) -> tuple[str, ...]:
    skipped, images = (
        record.protocol.get(name) for name in ("classes_skipped", "images_skipped_with_them")
    )
    if not skipped:
        return ()
    return (f"Left out: {images:,} pictures of {skipped} classes that the nets have not.",)
