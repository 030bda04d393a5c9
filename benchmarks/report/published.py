"""How a measured number stands to the published one, in a word, a sentence and reasons."""

from collections.abc import Sequence
from dataclasses import dataclass

from vggfeat.report.judge import NEAR, NOT_COMPARABLE, SAME
from vggfeat.report.published import PublishedRow, read_published
from vggfeat.report.results import Result
from vggfeat.report.settings import percent
from vggfeat.report.transfer import published_of, verdict_on

WORDS = {
    SAME: "Same protocol",
    NEAR: "Near",
    NOT_COMPARABLE: "Not comparable",
    "": "Nothing to compare with",
}
NO_NET = "no published number for this net"  # a reason of verdict_on that the sentence says


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A measured number beside the published one."""

    comparison: str  # as of judge.Verdict
    sentence: str
    reasons: tuple[str, ...]
    difference: float | None  # to the same net's, in percent points

    @property
    def word(self) -> str:
        """The comparison in a word or two."""
        return WORDS[self.comparison]


def standing(result: Result) -> Standing:
    """How a result of `bench` stands to the published number of its net, else of the best net."""
    record, rows = result.record, read_published()
    verdict, same = verdict_on(record, rows), published_of(record, rows)
    difference = None
    if same is not None and same.metric in record.metrics:
        difference = round(percent(record.metrics[same.metric]["value"]) - same.value, 4)
    reasons = tuple(reason for reason in verdict.reasons if reason != NO_NET)
    return Standing(
        comparison=verdict.comparison,
        sentence=_sentence(result, same, difference, verdict.comparison, reasons),
        reasons=reasons,
        difference=difference,
    )


def _sentence(
    result: Result, same: PublishedRow | None, difference: float | None, comparison: str,
    reasons: Sequence[str],
) -> str:  # fmt: skip
    """The published number that is nearest in kind, and how far it is or why it says nothing."""
    best = same or _best_published(result)
    if best is None or not comparison:
        return reasons[0] if reasons else "no number is published for this benchmark"
    number = f"{best.value:.1f} % is published for this net"
    if same is None:
        number = f"of the paper's nets the best, {_method(best)}, have {best.value:.1f} %"
    if comparison == NOT_COMPARABLE:
        return f"{reasons[0]}; {number}"
    if same is None:
        value = percent(result.record.metrics[best.metric]["value"])
        return f"{number}, here {value - best.value:+.1f} points; none is of this net"
    if difference is None:
        return f"{number}, by another metric"
    spread = max(filter(None, (same.spread, _spread(result))), default=None)
    within = "" if spread is None else "within" if abs(difference) <= spread else "more than"
    size = f", {within} the spread over splits" if within else ""
    return f"{number}, here {difference:+.1f} points{size}"


def _best_published(result: Result) -> PublishedRow | None:
    record = result.record
    rows = [
        row
        for row in read_published()
        if row.benchmark == record.benchmark
        and row.kind == "very deep"
        and row.metric in record.metrics
    ]
    return max(rows, key=lambda row: row.value, default=None)


def _method(row: PublishedRow) -> str:
    return row.method.removeprefix("Published, ")


def _spread(result: Result) -> float | None:
    return percent(result.record.metrics[result.record.metric]["spread"])
