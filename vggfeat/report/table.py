"""Rows of a comparison -> text: a wide table for people, a line a number for programs."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from vggfeat.records.record import Record
from vggfeat.report.judge import Row, settings_of

MARKS = {"same": "=", "near": "~", "not comparable": "x", "": ""}
LEGEND = "Marks: = same protocol as published, ~ near, x not comparable."
METRIC_NAMES = {
    "mean_class_recall": "mean class recall",
    "map_11pt": "mAP, 11 points",
    "map_area": "mAP, area",
    "map_step": "mAP, steps",
}


class Notes:
    """Numbered notes under a table; equal ones share a number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}

    def refer(self, comparison: str, reasons: Sequence[str]) -> str:
        """The reference to a note, such as "[2]"; empty where there is no reason."""
        if not reasons:
            return ""
        number = self._numbers.setdefault((comparison, *reasons), len(self._numbers) + 1)
        return f"[{number}]"

    def lines(self) -> list[str]:
        """The notes that were referred to, in the order of their numbers."""
        return [
            f"[{number}] {f'{comparison}: ' if comparison else ''}{'; '.join(reasons)}."
            for (comparison, *reasons), number in self._numbers.items()
        ]


def render(rows: Sequence[Row], form: str) -> str:
    """The table as text: "table" and "md" are wide, "latex" too; "csv" has a line a number."""
    if form == "csv":
        return _csv(rows)
    return formatted(*_wide(_told_apart(rows)), form)


def formatted(
    header: Sequence[str], lines: Sequence[Sequence[str]], notes: Sequence[str], form: str
) -> str:
    """Cells as a table for people, with notes below; form is "table", "md" or "latex"."""
    if form == "latex":
        import pandas as pd  # as long to import as all of vggfeat, and few tables need it

        table = pd.DataFrame(lines, columns=header).to_latex(index=False, escape=True)
        return table + "".join(f"% {note}\n" for note in notes)
    if form == "md":
        table = _aligned([header, *lines], ("| ", " | ", " |"))
        return "\n".join([table, *(f"{note}\n" for note in notes)])
    return _aligned([header, *lines], ("", "   ", "")) + "\n" + "\n".join(notes) + "\n"


def as_csv(lines: Sequence[Mapping[str, object]]) -> str:
    """A header of every name that a line has, and the lines; a cell of None is empty."""
    names = dict.fromkeys(name for line in lines for name in line)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def render_sweep(records: Sequence[Record], form: str) -> str:
    """A line a record with the settings that differ, best first; a table for each set of splits.

    The last column is the difference to the best, in percent points.
    """
    if form == "csv":
        return _sweep_csv(records)
    tables = []
    # Numbers of other splits or classes do not belong into one ranking.
    for what in dict.fromkeys((r.benchmark, r.splits_sha256, r.limited) for r in records):
        of_it = [r for r in records if (r.benchmark, r.splits_sha256, r.limited) == what]
        of_it.sort(key=lambda r: (-r.metrics[r.metric]["value"], *_settings(r).values()))
        settings = [_settings(record) for record in of_it]
        # Where one scale is used there is nothing to combine, which is no variant of its own.
        values = {name: {one[name] for one in settings} - {""} for name in settings[0]}
        varied = [name for name in values if len(values[name]) > 1] or ["net"]
        best = of_it[0]
        metric = METRIC_NAMES.get(best.metric, best.metric)
        header = [
            *(name.replace("_", " ") for name in varied),
            f"{best.title}, {metric} (%)",
            "to best",
        ]
        lines = [
            [*(stated[name] for name in varied), _value(record), f"{_to(best, record):+.1f}"]
            for record, stated in zip(of_it, settings, strict=True)
        ]
        same = [
            f"{name.replace('_', ' ')} {min(values[name])}"
            for name in values
            if len(values[name]) == 1
        ]
        notes = [f"Same in all lines: {', '.join(same)}."] if same else []
        tables.append(formatted(header, lines, notes, form))
    return "\n".join(tables)


def _sweep_csv(records: Sequence[Record]) -> str:
    lines = []
    for record in records:
        metric = record.metrics[record.metric]
        lines.append(
            {"benchmark": record.benchmark, "metric": record.metric}
            | {name: 100 * metric[name] if metric[name] else None for name in ("value", "spread")}
            | {"limited": record.limited, "splits_sha256": record.splits_sha256}
            | _settings(record)
        )
    return as_csv(lines)


def _value(record: Record) -> str:
    metric = record.metrics[record.metric]
    spread = "" if metric["spread"] is None else f" ± {100 * metric['spread']:.1f}"
    return f"{100 * metric['value']:.1f}{spread}{' LIMITED' if record.limited else ''}"


def _to(best: Record, record: Record) -> float:
    """The difference of the values as they are printed."""
    values = [round(100 * r.metrics[r.metric]["value"], 1) for r in (record, best)]
    return values[0] - values[1]


def _settings(record: Record) -> dict[str, str]:
    """What a sweep may vary, as text."""
    settings = {"net": record.method} | settings_of(record)
    if len(record.protocol["scales"]) == 1:  # then nothing is combined
        settings |= {"aggregate": "", "scale_l2": ""}
    return settings


def _wide(rows: Sequence[Row]) -> tuple[list[str], list[list[str]], list[str]]:
    """Header, a line a method with a column a benchmark, and the numbered notes."""
    benchmarks = dict.fromkeys((row.benchmark, row.title, row.metric) for row in rows)
    header = ["method"]
    header += [
        f"{title}, {METRIC_NAMES.get(metric, metric)} (%)" for _, title, metric in benchmarks
    ]
    lines, notes = [], Notes()
    for method, measured in dict.fromkeys((row.method, row.is_measured) for row in rows):
        own = [row for row in rows if (row.method, row.is_measured) == (method, measured)]
        cells = {}
        for row in own:
            cell = _cell(row, notes.refer(row.comparison, row.reasons))
            key = (row.benchmark, row.title, row.metric)
            cells.setdefault(key, []).append(cell)
        for level in range(max(map(len, cells.values()))):
            lines.append([method] + [_at(cells.get(key, []), level) for key in benchmarks])
    has_marks = any(row.is_measured and row.comparison for row in rows)
    return header, lines, [*notes.lines(), *([LEGEND] if has_marks else [])]


def _cell(row: Row, note: str) -> str:
    spread = "" if row.spread is None else f" ± {row.spread:.1f}"
    difference = "" if row.difference is None else f" ({row.difference:+.1f})"
    mark = f" {MARKS[row.comparison]}" if MARKS[row.comparison] else ""
    limited = " LIMITED" if row.limited else ""
    reference = f" {note}" if note else ""
    return f"{row.value:.1f}{spread}{difference}{mark}{limited}{reference}"


def _at(cells: Sequence[str], level: int) -> str:
    return cells[level] if level < len(cells) else ""


def _aligned(lines: Sequence[Sequence[str]], separator: tuple[str, str, str]) -> str:
    """Columns padded to their widest cell, a rule under the header."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left, between, right = separator

    def line(cells: Sequence[str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        return f"{left}{between.join(padded)}{right}".rstrip() + "\n"

    rule = ["-" * width for width in widths]
    return "".join(map(line, (lines[0], rule, *lines[1:])))


def _told_apart(rows: Sequence[Row]) -> list[Row]:
    """Rows of one method with unlike settings get those settings behind the method's name."""
    result = []
    for row in rows:
        alike = [r for r in rows if (r.benchmark, r.method) == (row.benchmark, row.method)]
        unlike = [
            f"{name} {value}"
            for name, value in row.settings.items()
            if len({r.settings.get(name) for r in alike}) > 1
        ]
        method = f"{row.method} ({', '.join(unlike)})" if unlike else row.method
        result.append(replace(row, method=method))
    return result


def _csv(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        line = asdict(row) | {"reasons": "; ".join(row.reasons)}
        lines.append(line | line.pop("settings"))
    return as_csv(lines)
