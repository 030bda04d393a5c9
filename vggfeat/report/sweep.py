"""Records of a sweep -> tables with a row a record and a column for each setting that differs."""

from collections.abc import Mapping, Sequence

from vggfeat.records.record import Record
from vggfeat.report.best import with_best
from vggfeat.report.settings import (
    PROBE,
    assumed_legend,
    interval_legend,
    interval_of,
    later_options,
    settings_of,
)
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import metric_name


def tables(records: Sequence[Record]) -> list[Table]:
    """A table for each set of splits, best first.

    The last column is the difference to the best, in percent points of the values as printed.
    """
    # Numbers of other splits or classes do not belong in one ranking.
    rankings: dict[tuple[str, str, bool], list[Record]] = {}
    for record in records:
        pictures = (record.benchmark, record.splits_sha256, record.limited)
        rankings.setdefault(pictures, []).append(record)
    return [_ranking(ranked) for ranked in rankings.values()]


def numbers(records: Sequence[Record]) -> Table:
    """A row a record, for programs."""
    lines, later = [], later_options(records)
    for record in records:
        metric = record.metrics[record.metric]
        lines.append(
            {"benchmark": record.benchmark, "metric": record.metric}
            | {name: _in_percent(metric[name]) for name in ("value", "spread")}
            | dict(zip(("low", "high"), interval_of(record, record.metric) or (), strict=False))
            | {"limited": record.limited, "splits_sha256": record.splits_sha256}
            | _settings(record, later)
        )
    return Table.of_records(lines)


def _ranking(records: Sequence[Record]) -> Table:
    later = later_options(records)
    ranked = sorted(records, key=lambda r: (-_value(r), *_settings(r, later).values()))
    settings = [_settings(record, later) for record in ranked]
    # Where one scale is used there is nothing to combine, which is no variant of its own.
    values = {name: {of_record[name] for of_record in settings} - {""} for name in settings[0]}
    varied = [name for name in values if len(values[name]) > 1] or ["net"]
    constant = [
        f"{_words(name)} {min(values[name])}"
        for name in values
        if len(values[name]) == 1 and not (name == "solver" and PROBE in varied)  # of SVMs only
    ]
    best = ranked[0]
    result = f"{best.title}, {metric_name(best.metric)} (%)"
    rows = [
        [*(stated[name] for name in varied), _cell(record), _to_best(record, best)]
        for record, stated in zip(ranked, settings, strict=True)
    ]
    return Table.of(
        [*map(_words, varied), result, "to best"],
        with_best(rows, [len(varied)], [True] * len(rows)),
        legend=_legend(constant, records),
    )


def _legend(constant: Sequence[str], records: Sequence[Record]) -> tuple[str, ...]:
    same = (f"Same in all lines: {', '.join(constant)}.",) if constant else ()
    intervals = interval_legend(interval_of(record, record.metric) for record in records)
    return (*same, *assumed_legend(records), *intervals)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _in_percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _value(record: Record) -> float:
    return record.metrics[record.metric]["value"]


def _cell(record: Record) -> Cell:
    spread = record.metrics[record.metric]["spread"]
    return Cell(
        values=(100 * _value(record),),
        spread=_in_percent(spread),
        interval=interval_of(record, record.metric),
        flag="LIMITED" if record.limited else "",
    )


def _to_best(record: Record, best: Record) -> Cell:
    difference = round(100 * _value(record), 1) - round(100 * _value(best), 1)
    return Cell(values=(difference,), number_format="+.1f")


def _settings(record: Record, later: Mapping[str, str]) -> dict[str, str]:
    """What a sweep may vary, as text."""
    settings = {"net": record.method} | settings_of(record, later)
    if len(record.protocol.get("scales", [])) == 1:  # then nothing is combined
        settings |= {"aggregate": "", "scale_l2": ""}
    return settings
