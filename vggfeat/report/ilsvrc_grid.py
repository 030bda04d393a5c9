"""Records of `evaluate` -> a line for each net and its scales, a column for each view.

So depth, scale, view and fusion can be read off beside each other; paper_tables.py has the same
numbers beside the paper's.
"""

from collections.abc import Sequence

from vggfeat.records.record import Record
from vggfeat.report.ilsvrc_rows import CLASSIFICATION, VIEWS, Row, measured_row
from vggfeat.report.table import formatted

FAST, SLOW = "dense", "crops"  # the views whose speeds are worth a comparison


def render_grid(records: Sequence[Record], form: str) -> str:
    """As "table", "md" or "latex", a table for each set of pictures. Empty without records.

    Raises RecordError where a record lacks what a line needs.
    """
    rows = [measured_row(one, ()) for one in records if one.benchmark == CLASSIFICATION]
    tables = []
    for pictures in dict.fromkeys(_pictures(row) for row in rows):
        tables.append(_table([row for row in rows if _pictures(row) == pictures], form))
    return "\n".join(tables)


def _pictures(row: Row) -> tuple[str, str]:
    return row.record.title, row.record.splits_sha256


def _table(rows: Sequence[Row], form: str) -> str:
    views = [view for view in VIEWS if any(row.view == view for row in rows)]
    header = ["net", "S", "Q", *(f"{view} (%)" for view in views), "weights"]
    header += [f"images/s {view}" for view in (FAST, SLOW) if view in views]
    lines = []
    by_line: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in sorted(rows, key=lambda row: row.record.time):
        line = (_weights(row), _digests(row), row.train_scales, row.scales)
        # The newest of those that say the same, as of two precisions.
        by_line.setdefault(line, {})[row.view] = row
    for (weights, _, train_scales, scales), of_line in sorted(by_line.items(), key=_order):
        first = next(iter(of_line.values()))
        speeds = [of_line.get(view) for view in (FAST, SLOW) if view in views]
        lines.append([
            "+".join(name.partition(":")[0] for name in first.networks),
            "+".join(s or "unknown" for s in train_scales),
            "+".join(dict.fromkeys(scales)),
            *(_errors(of_line.get(view)) for view in views),
            weights,
            *(f"{one.images_per_s:.3g}" if one and one.images_per_s else "" for one in speeds),
        ])  # fmt: skip
    record = rows[0].record
    limited = ", LIMITED" if record.limited else ""
    notes = [
        f"Top-1 / top-5 error on {record.n_test[0]:,} pictures of {record.title}{limited},"
        f" {record.protocol['classes']} classes.",
        *_options(rows),
    ]
    return formatted(header, lines, notes, form)


def _weights(row: Row) -> str:
    return "+".join(net["weights"] for net in row.record.nets)


def _digests(row: Row) -> tuple[str, ...]:
    """Of the weights: a net that is trained again under the same name is another one."""
    return tuple(str(net.get("weights_sha256")) for net in row.record.nets)


def _order(line: tuple[tuple[object, ...], dict[str, Row]]) -> tuple[object, ...]:
    """One net before several; by net, S and Q."""
    (_, _, train_scales, scales), of_line = line
    networks = next(iter(of_line.values())).networks
    parts = [[int(part) for part in s.split("-") if part] for s in train_scales]
    q = [[int(one) for one in part.split()] for part in scales]
    return len(networks), networks, [(len(s), s) for s in parts], [(len(one), one) for one in q]


def _errors(row: Row | None) -> str:
    return f"{row.values['top1_error']:.1f} / {row.values['top5_error']:.1f}" if row else ""


def _options(rows: Sequence[Row]) -> list[str]:
    """What the nets' names leave out of the lines."""
    options = dict.fromkeys(name.partition(":")[2] for row in rows for name in row.networks)
    told = [one for one in options if one]
    return [f"Nets with {' or '.join(told)}."] if told else []
