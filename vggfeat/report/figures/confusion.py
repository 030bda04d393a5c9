"""Confusion matrix: which class is taken for which, from the scores of single labels.

Shapes: n test examples, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vggfeat.layouts.class_words import class_words
from vggfeat.metrics import AP_RULES
from vggfeat.records.scores import Scores
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.selection import by_test_set, is_limited, slug, with_scores
from vggfeat.report.published import CLASSIFICATION
from vggfeat.report.results import Result, Results
from vggfeat.report.table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

NAMED = 20  # classes with a name and a number each; of more, colours and a list
LISTED = 20  # of the largest confusions
IN_TABLE = 100
ROWS = 12  # names at the edge of a large matrix: of the classes that are found least
GAMMA = 0.4  # of opacity, so that few in a hundred are seen
DARK, ON_DARK = 60, "#fffffe"  # % from which on letters are white, on dark pages, too


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each test set of single labels, where there are scores."""
    on_ilsvrc = [r for r in results.ilsvrc if r.record.benchmark == CLASSIFICATION]
    for group in by_test_set([*results.transfer, *on_ilsvrc]):
        if group[0].record.metric not in AP_RULES and (scored := with_scores(group)):
            yield _figure(*scored)


def counts_of(scores: Scores) -> np.ndarray:
    """How many test examples of each class were given each, over all splits [K, K]; rows: true."""
    size = len(scores.classes)
    decisions = np.where(np.isnan(scores.scores), -np.inf, scores.scores)
    predicted = decisions.argmax(axis=1)  # the first of equals
    read = ~np.isneginf(decisions).all(axis=1)
    pairs = scores.labels.argmax(axis=1) * size + predicted
    return np.bincount(pairs[read], minlength=size * size).reshape(size, size)


def largest(counts: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Pairs (true, predicted) of different classes, by share of the true class, then by number.

    Single examples are no confusion of classes.
    """
    shares = _shares(counts)
    pairs = [(t, p) for t, p in np.argwhere(counts > 1).tolist() if t != p]
    pairs.sort(key=lambda pair: (-shares[pair], -counts[pair], pair))
    return pairs[:most]


def _shares(counts: np.ndarray) -> np.ndarray:
    """Counts in % of their row; 0 in a row without any."""
    return 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _figure(result: Result, scores: Scores) -> Figure:
    record, classes = result.record, class_words(scores.classes)
    counts = counts_of(scores)
    listed = largest(counts, LISTED)
    is_small = len(classes) <= NAMED
    over = f" of all {len(record.n_test)} splits" if len(record.n_test) > 1 else ""
    total = int(counts.sum())
    right = int(np.trace(counts))
    more = (
        "Numbers are % of the row."
        if is_small
        else "The stronger the colour, the more of the row. Rings and list: the"
        f" {len(listed)} largest confusions, in % of the true class. Names: the {ROWS} classes that"
        " are found least."
    )
    side = 2.0 + 0.25 * len(classes)
    return Figure(
        name=slug("confusion", record.benchmark, record.net, record.key[:6]),
        title=f"{record.title}: what is taken for what",
        caption=f"True class (row) and the class of the highest score (column) of {total:,} test"
        f" pictures{over}, by {result.label}; {right:,} lie on the diagonal. {more}"
        f"{is_limited(result)}",
        table=Table.of(
            ["true class", "taken for", "pictures", "of", "share (%)"],
            [_row(classes, counts, *pair) for pair in largest(counts, IN_TABLE)],
        ),
        draw=lambda canvas: (
            _draw_small(canvas, classes, counts)
            if is_small
            else _draw_large(canvas, classes, counts, listed)
        ),
        size=(side + 0.3, side) if is_small else (7.2, 4.5),
    )


def _row(classes: Sequence[str], counts: np.ndarray, true: int, predicted: int) -> list[Cell | str]:
    count, total = int(counts[true, predicted]), int(counts[true].sum())
    numbers = [Cell(values=(n,), number_format="d") for n in (count, total)]
    return [classes[true], classes[predicted], *numbers, Cell(values=(100 * count / total,))]


def _draw_small(canvas: Canvas, classes: Sequence[str], counts: np.ndarray) -> None:
    axes = canvas.subplots()
    shares = _shares(counts)
    _matrix(axes, shares)
    names = [style.short(name, 20) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=style.SMALL)
    axes.set_yticks(range(len(names)), names, fontsize=style.SMALL)
    for (true, predicted), share in np.ndenumerate(shares):
        if share >= 0.5:
            color = ON_DARK if share > DARK else style.TEXT
            axes.text(predicted, true, f"{share:.0f}", ha="center", va="center", fontsize=7,
                      color=color)  # fmt: skip
    axes.set(xlabel="class of the highest score", ylabel="true class")


def _draw_large(
    canvas: Canvas, classes: Sequence[str], counts: np.ndarray, listed: Sequence[tuple[int, int]]
) -> None:
    left, right = canvas.subplots(1, 2, width_ratios=(1.35, 1))
    shares = _shares(counts)
    _matrix(left, shares)
    left.set(xticks=[], yticks=[], xlabel=f"class of the highest score ({len(classes)})")
    rings = {"marker": "o", "markerfacecolor": "none", "markeredgewidth": 0.8, "markersize": 6}
    true, predicted = np.array(listed, dtype=int).reshape(-1, 2).T
    left.plot(predicted, true, linestyle="none", **rings, markeredgecolor=style.COLOURS[1])
    least = np.argsort(shares.diagonal(), kind="stable")[:ROWS]
    _edge_names(left, sorted(least.tolist()), classes)
    right.set_axis_off()
    right.set(xlim=(0, 1), ylim=(LISTED - 0.5, -1.5))
    right.text(0, -1, "true → taken for", fontsize=style.SMALL, color=style.FAINT)
    right.text(1, -1, "%", fontsize=style.SMALL, color=style.FAINT, ha="right")
    for place, pair in enumerate(listed):
        words = " → ".join(style.short(classes[k], 17) for k in pair)
        right.text(0, place, words, fontsize=7, va="center")
        right.text(1, place, f"{shares[pair]:.0f}", fontsize=7, va="center", ha="right")


def _matrix(axes: Axes, shares: np.ndarray) -> None:
    """Shares as opacity of one colour, so that they are seen on light and on dark ground."""
    from matplotlib.colors import to_rgb

    image = np.empty((*shares.shape, 4))
    image[..., :3] = to_rgb(style.COLOURS[0])
    image[..., 3] = (shares / 100) ** GAMMA
    axes.imshow(image, interpolation="none", aspect="equal")
    axes.grid(visible=False)
    axes.spines[["top", "right"]].set_visible(True)


def _edge_names(axes: Axes, rows: Sequence[int], classes: Sequence[str]) -> None:
    """Names left of their rows, moved apart where rows lie close, each with a line to its row."""
    size = len(classes)
    places = _apart([float(row) for row in rows], gap=size / 22, highest=size - 1)
    for row, place in zip(rows, places, strict=True):
        look = {"color": style.FAINT, "linewidth": 0.6, "clip_on": False}
        axes.plot((-0.5, -0.5 - 0.05 * size), (row, place), **look)
        name = style.short(classes[row], 18)
        axes.text(-0.5 - 0.06 * size, place, name, fontsize=7, ha="right", va="center")
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))


def _apart(places: Sequence[float], *, gap: float, highest: float) -> list[float]:
    """Ascending places moved as little as needed so that none is closer than gap to the next."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    above = highest
    for number in reversed(range(len(moved))):
        moved[number] = min(moved[number], above)
        above = moved[number] - gap
    return moved
