"""Comparisons -> tables: one pair in detail, all pairs of several records, pictures, numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vggfeat.benchmarks.comparison.comparison import (
    ONE_OF_SEVERAL,
    Comparison,
    Measured,
    holm_p,
)
from vggfeat.benchmarks.comparison.words import p_text, remarks, remarks_on_several
from vggfeat.plurals import counted
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import metric_name


def pair_tables(comparison: Comparison) -> list[Table]:
    """The values of A and B, mean and splits, then the classes that changed most; words below."""
    c, pictures = comparison, comparison.pictures
    rows = [_row(_mean_name(pictures.num_splits), c.a.value, c.b.value, c.interval)]
    if pictures.num_splits > 1:
        rows += [
            _row(f"split {number}", a, b)
            for number, (a, b) in enumerate(zip(c.a.per_split, c.b.per_split, strict=True), start=1)
        ]
    if c.a.accuracy is not None and pictures.metric == "mean_class_recall":
        rows.append(_row("accuracy", c.a.accuracy, c.b.accuracy))
    title = f"{pictures.title}: A is {c.a.label}, B is {c.b.label}"
    columns = [f"{metric_name(pictures.metric)} (%)", "A", "B", "A - B (95 % interval)"]
    classes = [_row(name, a, b) for name, a, b in c.changed_classes()]
    if not classes:
        return [Table.of(columns, rows, title=title, legend=remarks(c))]
    return [
        Table.of(columns, rows, title=title),
        Table.of(["class, most changed", "A", "B", "A - B"], classes, legend=remarks(c)),
    ]


def several_tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """The records of comparisons, best first, with what they win and lose; then each pair."""
    pictures = comparisons[0].pictures
    adjusted = holm_p(comparisons)
    members = list({id(m): m for c in comparisons for m in (c.a, c.b)}.values())
    members.sort(key=lambda m: (m.value if pictures.lower_is_better else -m.value, m.label))
    number_of = {id(member): number for number, member in enumerate(members, start=1)}
    pairs = _in_order(comparisons, adjusted, number_of)
    records = [
        [
            str(number_of[id(member)]),
            member.label,
            Cell(values=(member.value,), interval=member.interval),
            Cell(values=_won_lost_open(member, pairs), number_format="d"),
        ]
        for member in members
    ]
    lines = [
        [
            f"{first} - {second}",
            Cell(values=(sign * c.difference or 0.0,), number_format="+.1f",
                 interval=c.interval.scaled(sign)),
            p_text(c.p),
            p_text(p),
            f"{number_of[id(c.better)]} is better" if p < ONE_OF_SEVERAL and c.better else "open",
        ]
        for first, second, sign, c, p in pairs
    ]  # fmt: skip
    name = metric_name(pictures.metric)
    return [
        Table.of(
            ["#", "record", f"{name} (%)", "won / lost / open"],
            records,
            title=f"{pictures.title}: {len(members)} records, {counted(len(lines), 'pair')}",
        ),
        Table.of(
            ["pair", "difference", "p", "p, Holm", "verdict"],
            lines,
            legend=remarks_on_several(comparisons),
        ),
    ]


def pictures_table(comparisons: Sequence[Comparison]) -> Table:
    """The pictures for which A and B predict other classes, with both predictions."""
    lines = []
    legend = "A and B predict the same class for every test picture, so that none is listed."
    for c in comparisons:
        classes, pictures = np.array(c.pictures.classes, dtype=object), c.pictures
        for row in c.disagreements:
            lines.append(
                {
                    "benchmark": pictures.benchmark,
                    "split": int(pictures.splits[row]) + 1,
                    "picture": pictures.ids[row],
                    "labels": ";".join(classes[pictures.labels[row] > 0]),
                    "A": classes[c.a.predictions[row]],
                    "B": classes[c.b.predictions[row]],
                    "right": _right(bool(c.a.are_right[row]), bool(c.b.are_right[row])),
                    "record A": c.a.label,
                    "record B": c.b.label,
                }
            )
    return Table.of_records(lines) if lines else Table.of([], [], legend=(legend,))


def numbers(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """All numbers of each comparison, as plain values by name."""
    adjusted = holm_p(comparisons)
    return [_numbers(c, float(p)) for c, p in zip(comparisons, adjusted, strict=True)]


def _in_order(
    comparisons: Sequence[Comparison], adjusted: np.ndarray, number_of: dict[int, int]
) -> list[tuple[int, int, int, Comparison, float]]:
    """Pairs by the numbers of their records, the better-placed first; -1 turns A and B round."""
    pairs = []
    for c, p in zip(comparisons, adjusted, strict=True):
        a, b = number_of[id(c.a)], number_of[id(c.b)]
        pairs.append((min(a, b), max(a, b), 1 if a < b else -1, c, float(p)))
    return sorted(pairs, key=lambda pair: pair[:2])


def _won_lost_open(member: Measured, pairs: Sequence[tuple]) -> tuple[int, int, int]:
    of_member = [(c, p) for *_, c, p in pairs if member in (c.a, c.b)]
    decided = [c.better for c, p in of_member if p < ONE_OF_SEVERAL and c.better]
    won = sum(better is member for better in decided)
    return won, len(decided) - won, len(of_member) - len(decided)


def _row(name: str, a: float, b: float, interval=None) -> list[Cell | str]:
    difference = Cell(values=(a - b,), number_format="+.1f", interval=interval)
    return [name, Cell(values=(a,)), Cell(values=(b,)), difference]


def _mean_name(num_splits: int) -> str:
    return f"mean of {num_splits} splits" if num_splits > 1 else "all pictures"


def _right(a: bool, b: bool) -> str:
    return {(True, False): "A", (False, True): "B", (True, True): "both"}.get((a, b), "neither")


def _numbers(c: Comparison, adjusted: float) -> dict[str, Any]:
    mcnemar, resampled, pictures = c.mcnemar, c.with_other_training, c.pictures
    return {
        "benchmark": pictures.benchmark,
        "title": pictures.title,
        "metric": pictures.metric,
        "a": c.a.label,
        "b": c.b.label,
        "value_a": round(c.a.value, 4),
        "value_b": round(c.b.value, 4),
        "difference": round(c.difference, 4),
        "low": round(c.interval.low, 4),
        "high": round(c.interval.high, 4),
        "p": round(c.p, 6),
        "p_holm": round(adjusted, 6),
        "better": {c.a: "a", c.b: "b"}.get(c.better, ""),
        "per_split_a": [round(v, 4) for v in c.a.per_split],
        "per_split_b": [round(v, 4) for v in c.b.per_split],
        "right_alone": [list(counts) for counts in c.right_alone],
        "mcnemar_p": round(mcnemar[0], 6) if mcnemar else None,
        "resampled_t_p": round(resampled.p, 6) if resampled else None,
        "pictures": pictures.num_pictures,
        "left_out": pictures.num_left_out,
        "disagreements": len(c.disagreements),
        "also_differ": list(c.also_differ),
        "words": str(c),
        "path_a": str(c.a.path),
        "path_b": str(c.b.path),
    }
