"""What is to be known of a user's pictures before any work: counts, copies, leaks, broken pictures.

Every picture is decoded. A picture counts as a copy of another if their files are equal byte for
byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.leaks import copies_of, leak_notes
from vggfeat.errors import PictureError
from vggfeat.images import decode
from vggfeat.prefetch import prefetch
from vggfeat.progress import Progress

NUM_LISTED = 30  # classes that are listed with their counts
NUM_NAMED = 5  # pictures


@dataclass(frozen=True)
class Finding:
    """Something to know of the pictures, in words, and whether it is to be put right."""

    text: str
    is_wrong: bool = False


def findings(benchmark: Benchmark, progress: Progress) -> Iterator[Finding]:
    """What there is to say of a benchmark of a user's pictures, the quickest to know first."""
    for text in benchmark.remarks:
        yield Finding(text)
    yield Finding(_class_counts(benchmark))
    for text in benchmark.notes:
        yield Finding(text)
    yield from _copies(benchmark)
    notes = leak_notes(benchmark.leaks)
    for text in notes or ["no test picture is a training picture too"]:
        yield Finding(text, is_wrong=bool(notes))
    yield _broken(benchmark, progress)


def _class_counts(benchmark: Benchmark) -> str:
    counts = (benchmark.labels > 0).sum(axis=0)
    names = benchmark.classes
    least, most = counts.argmin(), counts.argmax()
    if counts[least] == counts[most]:
        text = f"pictures of each class: {counts[least]:,}"
    else:
        text = (
            f"pictures of a class: {counts[least]:,} ({names[least]}) to {counts[most]:,}"
            f" ({names[most]}), median {np.median(counts):,.0f}"
        )
    if len(names) > NUM_LISTED:
        return text
    listed = (f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
    return f"{text}: {', '.join(listed)}"


def _copies(benchmark: Benchmark) -> Iterator[Finding]:
    """Pictures that are there several times, and those of them whose labels disagree."""
    row_of = {i: row for row, i in enumerate(benchmark.ids)}
    copies = list(copies_of(benchmark.files).items())
    if not copies:
        yield Finding("no picture is there twice")
        return
    is_random = "test_share" in benchmark.protocol
    kept = "; random splits keep them on the side of their original" if is_random else ""
    yield Finding(f"copies, byte for byte: {len(copies):,}: {_pairs(copies)}{kept}")
    labels = benchmark.labels
    differing = [(i, j) for i, j in copies if (labels[row_of[i]] != labels[row_of[j]]).any()]
    if differing:
        text = f"copies with other labels: {len(differing):,}: {_pairs(differing)}"
        yield Finding(text, is_wrong=True)


def _broken(benchmark: Benchmark, progress: Progress) -> Finding:
    """Pictures that cannot be decoded, which a measurement stops at or skips."""
    files = benchmark.files
    reasons = []
    for number, (i, reason) in enumerate(prefetch(_reason, files.items()), start=1):
        progress("decoding", number, len(files))
        if reason:
            reasons.append(f"{i}: {reason.rstrip('.')}")
    if not reasons:
        return Finding("every picture can be decoded")
    more = f"; and {len(reasons) - NUM_NAMED:,} more" if len(reasons) > NUM_NAMED else ""
    listed = "; ".join(reasons[:NUM_NAMED])
    text = f"broken pictures, which --on-error skip leaves out: {len(reasons):,}: {listed}{more}"
    return Finding(text, is_wrong=True)


def _reason(file: tuple[str, Path]) -> tuple[str, str]:
    """A picture's id, and why it cannot be decoded; empty if it can."""
    i, path = file
    try:
        decode(path)
    except PictureError as error:
        return i, str(error).removeprefix(f"{path}: ").replace(str(path), path.name)
    return i, ""


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    more = ", ..." if len(pairs) > NUM_NAMED else ""
    return ", ".join(f"{a} is {b}" for a, b in pairs[:NUM_NAMED]) + more
