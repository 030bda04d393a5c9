"""Results of a benchmark in their order: best first, each net at its best, test sets apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from vggfeat.report.figures.selection import best_of_methods, ranked, value_of
from vggfeat.report.published import CLASSIFICATION, LOCALISATION
from vggfeat.report.results import Result
from vggfeat.report.transfer import metric_name

KINDS = {CLASSIFICATION: "classification", LOCALISATION: "localisation"}


@dataclass(frozen=True, eq=False)
class Ranking:
    """Results on the same test pictures by the same metric, best first."""

    results: tuple[Result, ...]

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Ranking":
        """The ranking of results that can be ranked: those of one test set and metric."""
        return cls(tuple(ranked(sorted(results, key=lambda r: r.label))))

    @property
    def first(self) -> Result:
        """The best result."""
        return self.results[0]

    @property
    def metric(self) -> str:
        """The headline metric as tables name it."""
        return metric_name(self.first.record.metric)

    @cached_property
    def nets(self) -> tuple[Result, ...]:
        """The best result of each net, with its weights, best first."""
        return tuple(best_of_methods(self.results))

    @cached_property
    def best(self) -> tuple[Result, ...]:
        """The results with the best value as it is printed: several where numbers are equal."""
        first = f"{value_of(self.first):.1f}"
        return tuple(r for r in self.results if f"{value_of(r):.1f}" == first)


@dataclass(frozen=True, kw_only=True, eq=False)
class BenchmarkResults:
    """All results of a benchmark: those on its main test pictures, and others."""

    benchmark: str
    title: str
    main: Ranking
    others: tuple[Ranking, ...]  # few training pictures, other splits, a part of the pictures

    @property
    def results(self) -> tuple[Result, ...]:
        """All of them, those on the main test pictures first."""
        return tuple(r for ranking in (self.main, *self.others) for r in ranking.results)


def by_benchmark(results: Sequence[Result]) -> tuple[BenchmarkResults, ...]:
    """Results benchmark by benchmark: the one that most nets were measured on comes first.

    The main test pictures are the whole ones with all training pictures, of several those with
    most results.
    """
    grouped: dict[tuple[str, str], dict[tuple, list[Result]]] = {}
    for result in results:
        record = result.record
        question = record.splits_sha256, record.limited, record.metric, _shots(result)
        of_title = grouped.setdefault((record.benchmark, record.title), {})
        of_title.setdefault(question, []).append(result)
    benchmarks = []
    for (benchmark, title), by_question in grouped.items():
        rankings = sorted(map(Ranking.of, by_question.values()), key=_rank)
        main, *others = rankings
        benchmarks.append(
            BenchmarkResults(
                benchmark=benchmark,
                title=title if title.strip() else benchmark,
                main=main,
                others=tuple(others),
            )
        )
    return tuple(sorted(benchmarks, key=lambda b: (_rank(b.main)[:2], -len(b.main.results))))


def name_of(benchmark: BenchmarkResults) -> str:
    """The benchmark's title, of ILSVRC's protocols with what was measured on the pictures."""
    return f"{benchmark.title} {KINDS.get(benchmark.benchmark, '')}".strip()


def _shots(result: Result) -> int:
    return result.record.protocol.get("shots", 0)


def _rank(ranking: Ranking) -> tuple:
    """Whole pictures and all training pictures first, then where most was measured."""
    few = _shots(ranking.first)
    return ranking.first.record.limited, few > 0, -len(ranking.results), -few
