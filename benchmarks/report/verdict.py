"""The verdicts of a report, in words: which net is best, and whether it matches."""

from collections.abc import Mapping, Sequence

from vggfeat.benchmarks.comparison.comparison import Comparison
from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.pairs import difference_in_words, paired
from vggfeat.benchmarks.report.published import Standing, standing
from vggfeat.benchmarks.report.ranking import BenchmarkResults, Ranking, name_of, value_of
from vggfeat.records.scores import scores_path
from vggfeat.report.ilsvrc_results import measured_result, published_results
from vggfeat.report.judge import NEAR, NOT_COMPARABLE
from vggfeat.report.page.blocks import Card, Cards, Folded, Paragraph, says
from vggfeat.report.results import Result

Line = tuple[str, str, str]
OF_BENCHMARKS = {"classes", "settings", "pairs", "pictures", "ilsvrc"}  # sections below a heading
SUMMARIES = {NEAR: "Why only near", NOT_COMPARABLE: "Why not comparable"}


def summary(material: Material, cards: Cards) -> Paragraph:
    """The words of all cards: which net is best where, whether that is seen, and what matches."""
    said: dict[str, dict[str, list[str]]] = {}
    for benchmark, card in zip(material.transfer, cards.cards, strict=True):
        first = "Best" if len(benchmark.main.nets) > 1 else "Measured alone"
        said.setdefault(first, {}).setdefault(card.answer, []).append(card.title)
        for question, word, _ in card.lines:
            if word:
                said.setdefault(question, {}).setdefault(word.lower(), []).append(card.title)
    return says(" ".join(f"{question}: {_where(words)}." for question, words in said.items()),
                role="lead")  # fmt: skip


def _where(words: Mapping[str, Sequence[str]]) -> str:
    if len(words) == 1 and len(titles := next(iter(words.values()))) > 1:
        return f"{next(iter(words))} on each of the {len(titles)} benchmarks"
    return "; ".join(f"{word} on {_listed(titles)}" for word, titles in words.items())


def transfer_cards(material: Material) -> Cards:
    """A card for each benchmark of `bench`."""
    return Cards(cards=tuple(_card(material, b, standing(b.main.first)) for b in material.transfer))


def ilsvrc_cards(material: Material) -> Cards:
    """A card for each set of pictures that was classified or localised by ILSVRC's protocols."""
    return Cards(cards=tuple(_card(material, b, _on_ilsvrc(b.main.first)) for b in material.ilsvrc))


def _card(material: Material, benchmark: BenchmarkResults, published: Standing) -> Card:
    best, ranking = benchmark.main.first, benchmark.main
    setting = material.setting(best)
    return Card(
        title=name_of(benchmark),
        to=material.benchmark_id(benchmark) if material.sections & OF_BENCHMARKS else "",
        answer=_listed([material.net(net) for net in _best_nets(ranking)]),
        value=(
            f"{_is_best(ranking)} ",
            material.record_link(best, f"{value_of(best):.1f} %"),
            f" {ranking.metric}",
        ),
        lines=(
            *((("With", "", setting),) if setting else ()),
            *_second(material, ranking),
            ("Published", published.word, published.sentence),
        ),
        blocks=_reasons(published),
    )


def _is_best(ranking: Ranking) -> str:
    words = "is best" if len(ranking.nets) > 1 else "alone was measured"
    words = "are equal" if len(_best_nets(ranking)) > 1 else words
    limited = ", LIMITED to a part of the pictures" if ranking.first.record.limited else ""
    return f"{words}{limited}:"


def _best_nets(ranking: Ranking) -> list[Result]:
    """The net with the best number; several where their numbers are equal."""
    return [net for net in ranking.nets if net in ranking.best]


def _second(material: Material, ranking: Ranking) -> tuple[Line, ...]:
    """How the next net stands to the best, or of one net its next setting."""
    if len(ranking.nets) > 1:
        name, other = "Next net", ranking.nets[1]
        who = material.net(other)
    elif len(ranking.results) > 1:
        name, other = "Next", ranking.results[1]
        who = material.setting(other)
    else:
        return ()
    number = f"{who}, {value_of(other):.1f} %"
    word, size = _difference(ranking, other)
    return ((name, word, f"{number}; {size}"),)


def _difference(ranking: Ranking, other: Result) -> tuple[str, str]:
    """Whether the best differs from another result, else the nets' best that have scores."""
    comparison = paired(ranking.first, other)
    if not isinstance(comparison, str):
        return _turned(*difference_in_words(comparison), comparison)
    ours, theirs = (_best_with_scores(ranking, r) for r in (ranking.first, other))
    if ours is None or theirs is None or ours is theirs:
        return "Not tested", comparison
    instead = paired(ours, theirs)
    if isinstance(instead, str):
        return "Not tested", instead
    word, size = _turned(*difference_in_words(instead), instead)
    values = f"{value_of(ours):.1f} and {value_of(theirs):.1f} %"
    return word, f"of their results that have scores, {values}: {size}"


def _turned(word: str, size: str, comparison: Comparison) -> tuple[str, str]:
    """What is seen, where it is the other that is better on the pictures that both have."""
    is_turned = comparison.better is comparison.b
    return f"{word}{', the other way round' if is_turned else ''}", size


def _best_with_scores(ranking: Ranking, result: Result) -> Result | None:
    """The best result of the same net beside which scores lie."""
    of_net = (r for r in ranking.results if r.record.method == result.record.method)
    return next((r for r in of_net if scores_path(r.path).is_file()), None)


def _reasons(published: Standing) -> tuple[Folded, ...]:
    if not published.reasons:
        return ()
    return (
        Folded(
            summary=SUMMARIES.get(published.comparison, "What is to be known of it"),
            blocks=tuple(says(f"{reason}.") for reason in published.reasons),
        ),
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _on_ilsvrc(result: Result) -> Standing:
    """How a result on ILSVRC stands to the published one of the same configuration."""
    every = [row for rows in published_results().values() for row in rows]
    measured = measured_result(result.record, every)
    verdict = measured.verdict
    differences = measured.differences
    if result.record.metric in differences:
        value = measured.published[result.record.metric]
        difference = differences[result.record.metric]
        sentence = f"{value:.1f} % is published for this net, here {difference:+.1f} points"
        return Standing(comparison=verdict.comparison, sentence=sentence, reasons=verdict.reasons,
                        difference=difference)  # fmt: skip
    first = verdict.reasons[0] if verdict.reasons else "nothing is published of this net and view"
    return Standing(
        comparison=verdict.comparison,
        sentence=first,
        reasons=verdict.reasons,
        difference=None,
    )
