"""Records of few examples -> a row for each method and probe, a column for each number of shots.

The last column, "all", is of the records with all training pictures, where there are such.
"""

from collections.abc import Mapping, Sequence

from vggfeat.plurals import counted, leaks_text
from vggfeat.records.record import Record
from vggfeat.report.best import with_best
from vggfeat.report.settings import (
    assumed_legend,
    interval_legend,
    interval_of,
    later_options,
    percent,
    settings_of,
)
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import metric_name

ALL = "all"
OF_DRAW = ("splits", "seed")  # which records of single splits do not state where all train
Settings = Mapping[str, str]


def tables(records: Sequence[Record]) -> list[Table]:
    """A table for each benchmark, its rows in the order of the records.

    Cells hold the mean over draws and its spread. Benchmarks without few examples have none.
    """
    kinds = {(record.benchmark, record.metric, record.limited): None for record in records}
    by_kind = [[r for r in records if (r.benchmark, r.metric, r.limited) == kind] for kind in kinds]
    return [_curves(alike) for alike in by_kind if any(shots_of(r) != ALL for r in alike)]


def numbers(records: Sequence[Record]) -> Table:
    """A row a record, for programs."""
    later = later_options(records)
    lines = []
    for record in records:
        metric = record.metrics[record.metric]
        lines.append(
            {"benchmark": record.benchmark, "method": record.method, "probe": probe_of(record)}
            | {"shots": shots_of(record), "metric": record.metric}
            | {name: percent(metric[name]) for name in ("value", "spread")}
            | dict(zip(("low", "high"), interval_of(record, record.metric) or (), strict=False))
            | {"train_per_class": str(record.protocol.get("train_per_class", ""))}
            | {"limited": record.limited}
            | {name: v for name, v in settings_of(record, later).items() if name != "shots"}
        )
    return Table.of_records(lines)


def shots_of(record: Record) -> str:
    """Training pictures drawn for a class, or "all"."""
    return str(record.protocol.get("shots", ALL))


def probe_of(record: Record) -> str:
    """The name of the probe; records of before there were several are of the SVM."""
    return str(record.probe.get("probe", "svm"))


def _curves(records: Sequence[Record]) -> Table:
    later = later_options(records)
    rows: dict[tuple, list[Record]] = {}
    few = [record for record in records if shots_of(record) != ALL]
    for record in few:
        rows.setdefault(_row_of(record, later), []).append(record)
    for record in records:
        if shots_of(record) == ALL:
            for key in _rows_with(record, rows, later) or [_row_of(record, later)]:
                rows.setdefault(key, []).append(record)
    columns = sorted({shots_of(record) for record in few}, key=int)
    columns += [ALL] if len(few) < len(records) else []
    labels = _labels([key for key in rows])
    lines = []
    for key, label in zip(rows, labels, strict=True):
        cells = [[r for r in rows[key] if shots_of(r) == column] for column in columns]
        for level in range(max(map(len, cells))):  # of other splits, labels or pictures
            lines.append([label, key[1], *(_cell(cell[level : level + 1]) for cell in cells)])
    first, heads = records[0], ["method", "probe"]
    title = f"{first.title}, {metric_name(first.metric)} (%) by training pictures a class"
    if len(set(labels)) == 1:  # which makes the table narrower
        title, heads = f"{title}: {labels[0]}", ["probe"]
        lines = [line[1:] for line in lines]
    if first.limited:
        title += ", LIMITED to a part of the pictures"
    return Table.of(
        [*heads, *columns],
        with_best(lines, range(len(heads), len(heads) + len(columns)), [True] * len(lines)),
        title=title,
        legend=(
            *_legend(few),
            *_flaws(records),
            *interval_legend(interval_of(record, record.metric) for record in records),
            *assumed_legend(records),
        ),
    )


def _row_of(record: Record, later: Settings) -> tuple:
    """Method, probe and settings, by which records stand in one row."""
    settings = settings_of(record, later) | {"shots": ""}
    return record.method, probe_of(record), tuple(settings.items())


def _rows_with(record: Record, rows: Mapping[tuple, list[Record]], later: Settings) -> list[tuple]:
    """The rows of draws from the training part of a record in which all of it trains."""
    method, probe, settings = _row_of(record, later)
    stated = {name: value for name, value in settings if name not in OF_DRAW or value}
    if record.protocol.get("splits", 1) == 1:  # draws from a single split are as many as asked for
        stated = {name: value for name, value in stated.items() if name not in OF_DRAW}
    return [
        key for key in rows if key[:2] == (method, probe) and stated.items() <= dict(key[2]).items()
    ]


def _labels(keys: Sequence[tuple]) -> list[str]:
    """The method of each row, with the settings in which rows of it differ."""
    labels = []
    for method, probe, settings in keys:
        alike = [dict(key[2]) for key in keys if key[:2] == (method, probe)]
        differing = [
            f"{name} {value}"
            for name, value in settings
            if len({other[name] for other in alike}) > 1
        ]
        labels.append(f"{method} ({', '.join(differing)})" if differing else method)
    return labels


def _cell(records: Sequence[Record]) -> Cell:
    if not records:
        return Cell()
    record = records[0]
    metric = record.metrics[record.metric]
    return Cell(
        values=(percent(metric["value"]),),
        spread=percent(metric["spread"]),
        interval=interval_of(record, record.metric),
    )


def _flaws(records: Sequence[Record]) -> list[str]:
    """What makes numbers too good, or of fewer pictures than there are."""
    leaks = max(record.protocol.get("leaks", 0) for record in records)
    skipped = max(len(record.skipped) for record in records)
    skips = counted(skipped, "picture was skipped", "pictures were skipped")
    flaws = [leaks_text(leaks)] * bool(leaks) + [skips] * bool(skipped)
    return [f"At most, of a number: {flaw}." for flaw in flaws]


def _legend(few: Sequence[Record]) -> list[str]:
    """How often was drawn, and where a class has fewer pictures than are asked for."""
    counts = sorted({len(record.n_test) for record in few})
    draws = " or ".join(map(str, counts))
    legend = [f"Mean ± standard deviation of {draws} draws of the training pictures."]
    if counts == [1]:
        legend = ["Of one draw of the training pictures."]
    lacking = {
        shots: record.protocol["train_per_class"]
        for record in few
        if str(record.protocol.get("train_per_class")) != (shots := shots_of(record))
    }
    legend += [f"{n}: {count} a class, as there are no more." for n, count in lacking.items()]
    return legend
