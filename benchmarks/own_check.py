"""What is to be known of a user's pictures before any work: counts, copies, leaks, broken pictures.

Every picture is decoded. A picture counts as a copy of another if their files are equal byte for
byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.leaks import copies_of, leak_notes
from vggfeat.errors import PictureError
from vggfeat.images import Whole, decode, picture_size
from vggfeat.layouts.own_pictures import named
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
    yield from _decoded(benchmark, progress)


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


def _decoded(benchmark: Benchmark, progress: Progress) -> Iterator[Finding]:
    """Pictures that cannot be decoded, which a measurement stops at or skips, and turned ones."""
    files = benchmark.files
    broken, turned = [], []
    for number, (i, reason, is_turned) in enumerate(prefetch(_look_at, files.items()), start=1):
        progress("decoding", number, len(files))
        if reason:
            broken.append(f"{i}: {reason.rstrip('.')}")
        if is_turned:
            turned.append(i)
    if turned:
        yield Finding(f"lying on their side, which --exif puts right: {named(turned)}")
    if broken:
        more = f"; and {len(broken) - NUM_NAMED:,} more" if len(broken) > NUM_NAMED else ""
        text = f"{len(broken):,}: {'; '.join(broken[:NUM_NAMED])}{more}"
        yield Finding(f"broken pictures, which --on-error skip leaves out: {text}", is_wrong=True)
    else:
        yield Finding("every picture can be decoded")


def _look_at(file: tuple[str, Whole]) -> tuple[str, str, bool]:
    """A picture's id, why it cannot be decoded if so, and whether its EXIF data turn it."""
    i, picture = file
    try:
        decode(picture)
        return i, "", picture_size(picture, exif=True) != picture_size(picture)
    except PictureError as error:
        reason = str(error).removeprefix(f"{picture}: ").replace(str(picture), picture.name)
        return i, reason, False


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    more = ", ..." if len(pairs) > NUM_NAMED else ""
    return ", ".join(f"{a} is {b}" for a, b in pairs[:NUM_NAMED]) + more
