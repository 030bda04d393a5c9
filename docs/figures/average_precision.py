"""The three rules of average precision on one ranking, and on real classes: docs/images/ap-*.svg.

python docs/figures/average_precision.py
"""

from functools import partial
from pathlib import Path

import numpy as np

from vggfeat.metrics import RECALL_LEVELS, average_precisions
from vggfeat.records.record import Record, read_all
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.table import Table

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
# 1 a picture of the class, -1 one of others; the fourth and fifth have the same score.
SIGNS = np.array([1, 1, -1, 1, -1, -1, 1, -1, -1, 1])
SCORES = np.array([9.0, 8, 7, 6, 6, 5, 4, 3, 2, 1])
RULES = {"map_11pt": "eleven", "map_area": "area", "map_step": "step"}


def points() -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision after each picture of the ranking [N]."""
    hits = np.cumsum(SIGNS > 0)
    return hits / hits[-1], hits / np.arange(1, len(SIGNS) + 1)


def figures() -> list[Figure]:
    """One figure for each rule."""
    values = average_precisions(SIGNS, SCORES)
    return [
        Figure(
            name=f"ap-{short}",
            title=f"{rule}: {values[rule]:.4f}",
            caption="Precision over recall of ten pictures, five of which are of the class.",
            table=ranking(),
            draw=partial(_draw, rule=rule, value=values[rule]),
            size=(4.4, 2.9),
        )
        for rule, short in RULES.items()
    ]


def ranking() -> Table:
    """Recall and precision after each picture of the ranking, a row each."""
    recall, precision = points()
    rows = [
        [f"{place}", f"{score:g}", "yes" if sign > 0 else "no", f"{r:.1f}", f"{p:.3f}"]
        for place, (score, sign, r, p) in enumerate(
            zip(SCORES, SIGNS, recall, precision, strict=True), start=1
        )
    ]
    return Table.of(("place", "score", "of the class", "recall", "precision"), rows)


def _draw(canvas, rule: str, value: float) -> None:
    axes = canvas.add_subplot()
    recall, precision = points()
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if rule == "map_11pt":
        heights = [max(precision[recall >= level], default=0) for level in RECALL_LEVELS]
        axes.vlines(RECALL_LEVELS, 0, heights, color=style.COLOURS[1], linewidth=1.2)
        axes.plot(
            RECALL_LEVELS,
            heights,
            "o",
            color=style.COLOURS[1],
            markersize=8,
            label="highest from here",
        )
    elif rule == "map_area":
        edges, tops = np.append(0, recall), np.append(envelope[0], envelope)
        _steps(axes, edges, tops, style.COLOURS[2], "made non-increasing")
    else:
        # The tie is one step: what counts is the place behind it.
        last = np.append(np.diff(SCORES) != 0, True)
        edges, tops = np.append(0, recall[last]), np.append(precision[0], precision[last])
        _steps(axes, edges, tops, style.COLOURS[3], "as it is, a tie in one step")
    axes.plot(recall, precision, "s", color=style.TEXT, markersize=4, label="the ranking")
    axes.set(xlim=(-0.03, 1.03), ylim=(0, 1.09), xlabel="recall", ylabel="precision")
    axes.set_xticks(np.arange(0, 1.01, 0.2))
    axes.set_title(f"{rule}: {value:.4f}")
    axes.legend(loc="upper right", bbox_to_anchor=(1, 1.02))


def _steps(axes, edges, tops, colour: str, label: str) -> None:
    """The area under `tops`, each of which reaches back to the recall before it."""
    axes.fill_between(edges, tops, step="pre", color=colour, alpha=0.3, linewidth=0)
    axes.step(edges, tops, where="pre", color=colour, label=label)


def of_real_classes() -> Figure:
    """The rules on the classes of the committed slice of VOC 2012, sorted by the area."""
    (record,) = (r for r in read_all(ROOT / "results") if r.benchmark == "voc2012")
    area = record.metrics["map_area"]["per_class"]
    classes = sorted((name for name in area if area[name] is not None), key=area.get)
    rows = [[name, *(f"{100 * _ap(record, rule, name):.1f}" for rule in RULES)] for name in classes]
    return Figure(
        name="ap-classes",
        title="Three rules on the same scores",
        caption="Average precision of twelve classes on 60 pictures of VOC 2012, in percent.",
        table=Table.of(("class", *RULES), rows),
        draw=partial(_draw_classes, record=record, classes=classes),
        size=(4.4, 3.6),
    )


def _ap(record: Record, rule: str, name: str) -> float:
    return record.metrics[rule]["per_class"][name]


def _draw_classes(canvas, record: Record, classes: list[str]) -> None:
    axes = canvas.add_subplot()
    places = range(len(classes))
    values = {rule: [100 * _ap(record, rule, name) for name in classes] for rule in RULES}
    lows, highs = (each(zip(*values.values(), strict=True)) for each in (_lows, _highs))
    axes.hlines(places, lows, highs, color=style.FAINT, linewidth=1)
    for (rule, of_rule), marker, colour in zip(values.items(), "osD", (1, 2, 3), strict=True):
        axes.plot(of_rule, places, marker, color=style.COLOURS[colour], label=rule, alpha=0.9)
    axes.set_yticks(places, classes)
    axes.set(xlim=(0, 103), xlabel="average precision (%)")
    axes.legend(loc="lower right")


def _lows(rows):
    return [min(row) for row in rows]


def _highs(rows):
    return [max(row) for row in rows]


if __name__ == "__main__":
    for each in [*figures(), of_real_classes()]:
        print(style.save(each, IMAGES, "svg"))
