"""Rows of a comparison -> text: a wide table for people, a line a number for programs."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import pandas as pd

from vggfeat.comparison import Row

MARKS = {"same": "=", "near": "~", "not comparable": "x", "": ""}
METRIC_NAMES = {"mean_class_recall": "mean class recall", "accuracy": "accuracy"}


def render(rows: Sequence[Row], form: str) -> str:
    """The table as text: "table" and "md" are wide, "latex" too; "csv" has a line a number."""
    if form == "csv":
        return _csv(rows)
    header, lines, notes = _wide(_told_apart(rows))
    if form == "latex":
        table = pd.DataFrame(lines, columns=header).to_latex(index=False, escape=True)
        return table + "".join(f"% {note}\n" for note in notes)
    if form == "md":
        table = _aligned([header, *lines], ("| ", " | ", " |"))
        return "\n".join([table, *(f"{note}\n" for note in notes)])
    return _aligned([header, *lines], ("", "   ", "")) + "\n" + "\n".join(notes) + "\n"


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
    return pd.DataFrame(lines).to_csv(index=False)
