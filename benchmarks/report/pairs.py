"""Results compared in pairs on the same test pictures, where scores lie beside the records."""

from collections.abc import Sequence
from itertools import combinations

from vggfeat.benchmarks.comparison.comparison import NUM_DECIDING, Comparison, compared
from vggfeat.benchmarks.comparison.facets import located
from vggfeat.benchmarks.comparison.tables import pair_tables, several_tables
from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.ranking import BenchmarkResults, Ranking
from vggfeat.errors import RecordError
from vggfeat.records.scores import scores_path
from vggfeat.report.page.blocks import Block, Section, TableBlock, says
from vggfeat.report.results import Result

NUM_COMPARED = 8  # results of a benchmark: 28 pairs are as many as a reader will look through


def paired(a: Result, b: Result) -> Comparison | str:
    """a compared with b; or, where that cannot be done, why not."""
    if without := _without_scores((a, b)):
        return without
    try:
        return compared([tuple(located([a.path, b.path]))])[0]
    except RecordError as error:
        return str(error)


def difference_in_words(c: Comparison) -> tuple[str, str]:
    """Whether there is a difference, in a word or two, and how large it is."""
    interval = c.interval if c.difference >= 0 else c.interval.scaled(-1)
    size = f"{abs(c.difference):.1f} points ({interval.low:.1f} to {interval.high:.1f})"
    if c.better is not None:
        return "Difference seen", f"{size}"
    pictures = f"{c.pictures.num_pictures:,} test pictures"
    if c.interval.excludes(0):
        return "No difference seen", (
            f"{size}, but one alone is right on {c.num_deciding} of {pictures}, and"
            f" {NUM_DECIDING} are needed"
        )
    return "No difference seen", f"{size} with {pictures}"


def pairs_section(material: Material, benchmark: BenchmarkResults) -> Section | None:
    """The best results of a benchmark, every two of them; None where there are no two."""
    shown = _chosen(benchmark.main)
    if len(shown) < 2:
        return None
    return Section(
        id=material.anchors.new(f"{benchmark.title} pairs"),
        title="Every two compared on the same pictures",
        blocks=tuple(_blocks(material, benchmark, shown)),
    )


def _blocks(
    material: Material, benchmark: BenchmarkResults, shown: Sequence[Result]
) -> list[Block]:
    if without := _without_scores(shown):
        again = "The command of a record, with another --out, makes them."
        return [says(f"Not compared: {without}. {again}", role="lacking")]
    members = located([result.path for result in shown])
    try:
        comparisons = compared(list(combinations(members, 2)))
    except RecordError as error:
        return [says(str(error), role="lacking")]
    tables = pair_tables(comparisons[0]) if len(comparisons) == 1 else several_tables(comparisons)
    left_out = len(benchmark.main.results) - len(shown)
    more = (
        [says(f"Of {len(benchmark.main.results)} results the {len(shown)} best are here;"
              " `vggfeat compare --all` has all.", role="note")]
        if left_out else []
    )  # fmt: skip
    ids = [material.anchors.new(f"{benchmark.title} pairs table") for _ in tables]
    return more + [
        TableBlock(table=table, id=i, label=table.title or f"{benchmark.title}, pairs")
        for table, i in zip(tables, ids, strict=True)
    ]


def _chosen(ranking: Ranking) -> list[Result]:
    """Each net's best result first, then the best of the others, in their order."""
    first = list(ranking.nets)
    others = [result for result in ranking.results if result not in first]
    chosen = [*first, *others][:NUM_COMPARED]
    return [result for result in ranking.results if result in chosen]


def _without_scores(results: Sequence[Result]) -> str:
    """Why results cannot be compared; empty if all have their scores."""
    lacking = [r for r in results if not scores_path(r.path).is_file()]
    if not lacking:
        return ""
    which = f"{len(lacking)} of {len(results)} records" if len(results) > 2 else "the records"
    return f"no scores of the test pictures lie beside {which}"
