"""Which results are drawn together: those of the same test pictures, the best of each method."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from vggfeat.errors import RecordError
from vggfeat.records.record import REMEDY
from vggfeat.records.scores import Scores
from vggfeat.report.results import Result
from vggfeat.report.settings import percent
from vggfeat.report.shots import ALL, shots_of
from vggfeat.report.transfer import lower_is_better


def by_test_set(results: Iterable[Result]) -> list[list[Result]]:
    """The results of each benchmark, set of splits and metric, in their order.

    Where all training pictures were used, those of fewer are left out.
    """
    results = list(results)
    trained_on_all = {r.record.benchmark for r in results if shots_of(r.record) == ALL}
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        record = result.record
        if shots_of(record) == ALL or record.benchmark not in trained_on_all:
            place = (record.benchmark, record.splits_sha256, record.metric, record.limited)
            groups.setdefault(place, []).append(result)
    return list(groups.values())


def ranked(results: Sequence[Result]) -> list[Result]:
    """Results by the value of their headline metric, best first; equal ones in their order."""
    way = 1 if lower_is_better(results[0].record.metric) else -1
    return sorted(results, key=lambda result: way * value_of(result))


def best_of_methods(results: Sequence[Result]) -> list[Result]:
    """The best result of each method (nets with their weights), best first."""
    best: dict[str, Result] = {}
    for result in ranked(results):
        best.setdefault(result.record.method, result)
    return list(best.values())


def value_of(result: Result) -> float:
    """The value of the headline metric in %."""
    return percent(result.record.metrics[result.record.metric]["value"])


def is_limited(result: Result) -> str:
    """What a caption says of measurements with --limit; empty for others."""
    return " LIMITED to a part of the pictures." if result.record.limited else ""


def slug(*parts: str) -> str:
    """Texts as a name of a figure: letters, digits, "-", and "." before a digit.

    Letters of other scripts are their numbers, so that names of these alone stay apart.
    """
    spelt = (re.sub(r"[^\W_a-zA-Z0-9]", lambda found: f"{ord(found[0]):x}-", p) for p in parts)
    return "-".join(
        re.sub(r"([^A-Za-z0-9.]|[.](?![0-9]))+", "-", part).strip("-.")[:60] for part in spelt
    )


@contextmanager
def malformed(result: Result, part: str) -> Iterator[None]:
    """A `with` block that reads a part of a record; raises RecordError where it is malformed."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise RecordError(
            f"{result.path}: the record's {part} are malformed ({error!r}). {REMEDY}"
        ) from error


def with_scores(results: Sequence[Result]) -> tuple[Result, Scores] | None:
    """The best result that has scores beside its record, with them; None where none has.

    Raises RecordError if they are damaged.
    """
    for result in ranked(results):
        scores = result.scores()
        if scores is not None:
            return result, scores
    return None
