"""The test pictures that several records have in common, and why records cannot be compared.

Shapes: n rows of scores, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggfeat.errors import RecordError
from vggfeat.records.resampling import ScoredRecord


@dataclass(frozen=True, eq=False)
class Alignment:
    """Rows of each record's scores that are the same pictures in the same splits."""

    rows: Sequence[np.ndarray]  # for each record, equally many
    num_left_out: int  # pictures that not every record has scores of


def aligned(compared: Sequence[ScoredRecord]) -> Alignment:
    """The rows that all records have scores of, in the order of the first record.

    Raises RecordError where the records are not of the same test pictures.
    """
    first, *others = compared
    for other in others:
        _check_same(first, other)
    places = [_places(scored) for scored in compared]
    in_all = set.intersection(*(set(of_record) for of_record in places))
    for scored, of_record in zip(compared, places, strict=True):
        _check_explained(scored, set().union(*places) - set(of_record), first)
    read = [
        {key for key, row in of_record.items() if scored.read_rows[row]}
        for scored, of_record in zip(compared, places, strict=True)
    ]
    kept = [key for key in places[0] if key in in_all and all(key in keys for keys in read)]
    if not kept:
        raise RecordError(f"{first.path}: no test picture has scores in all records compared.")
    rows = [np.array([of_record[key] for key in kept]) for of_record in places]
    labels = [scored.scores.labels[r] for scored, r in zip(compared, rows, strict=True)]
    for scored, of_record in zip(others, labels[1:], strict=True):
        if not np.array_equal(labels[0], of_record):
            raise RecordError(
                f"{first.path} and {scored.path}: the labels of the test pictures differ."
            )
    every_picture = {picture for of_record in places for _, picture in of_record}
    return Alignment(rows, len(every_picture) - len({picture for _, picture in kept}))


def _places(scored: ScoredRecord) -> dict[tuple[int, str], int]:
    """(split, picture) -> row."""
    splits = scored.scores.splits.tolist()
    return {key: row for row, key in enumerate(zip(splits, scored.scores.ids, strict=True))}


def _check_same(a: ScoredRecord, b: ScoredRecord) -> None:
    """Raise RecordError, saying in what the records' questions differ."""
    ours, theirs = a.record, b.record
    if a.path.resolve() == b.path.resolve():
        raise RecordError(f"{a.path}: a record is not compared with itself.")
    for what, of_a, of_b in (
        ("benchmarks", ours.benchmark, theirs.benchmark),
        ("splits or test pictures", ours.splits_sha256[:12], theirs.splits_sha256[:12]),
        ("headlines", ours.metric, theirs.metric),
        ("numbers of pictures (--limit)", ours.limited, theirs.limited),
        ("classes", tuple(a.scores.classes), tuple(b.scores.classes)),
    ):
        if of_a != of_b:
            shown = "" if isinstance(of_a, tuple | bool) else f", {of_a} and {of_b}"
            raise RecordError(f"{a.path} and {b.path} have other {what}{shown}: not comparable.")
    if untrained := set(_untrained(a)) ^ set(_untrained(b)):
        raise RecordError(
            f"{a.path} and {b.path}: class {min(untrained)} was trained in one of them only, so"
            " their means are over other classes: not comparable."
        )


def _untrained(scored: ScoredRecord) -> list[str]:
    """The classes that have no score in some split."""
    without = np.isnan(scored.scores.scores).any(axis=0)
    return [
        name for name, is_without in zip(scored.scores.classes, without, strict=True) if is_without
    ]


def _check_explained(
    scored: ScoredRecord, missing: set[tuple[int, str]], first: ScoredRecord
) -> None:
    """Raise RecordError if a record lacks pictures of others that it did not skip."""
    unexplained = {picture for _, picture in missing} - scored.record.skipped.keys()
    if unexplained:
        raise RecordError(
            f"{first.path} and {scored.path} were tested on other pictures: {len(unexplained)},"
            f" such as {min(unexplained)}, are in one of them only."
        )
