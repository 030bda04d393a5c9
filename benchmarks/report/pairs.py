"""Results compared in pairs on the same test pictures, where scores lie beside the records."""

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import combinations

from vggfeat.benchmarks.comparison.comparison import Comparison, compared
from vggfeat.benchmarks.comparison.facets import located
from vggfeat.benchmarks.comparison.tables import pair_tables, several_tables
from vggfeat.benchmarks.report.drawings import drawing
from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.ranking import BenchmarkResults, Ranking
from vggfeat.errors import RecordError
from vggfeat.plurals import counted
from vggfeat.records.scores import scores_path
from vggfeat.report.figures.forest import Difference, forest
from vggfeat.report.page.blocks import Block, Code, Folded, Section, TableBlock, says
from vggfeat.report.results import Result

MAX_ROWS = 10  # of a table that is not folded
NUM_COMPARED = 8  # results of a benchmark: 28 pairs are as many as a reader will look through


def paired(a: Result, b: Result) -> Comparison | str:
    """a compared with b; or, where that cannot be done, why not."""
    if without := _without_scores((a, b)):
        return without
    try:
        return compared([tuple(located([a.path, b.path]))])[0]
    except RecordError as error:
        return _without_folders(error, (a, b))


def difference_in_words(c: Comparison) -> tuple[str, str]:
    """Whether there is a difference, in a word or two, and how large it is."""
    if c.better is not None:
        return "Difference seen", c.size
    but = f", but {c.too_few}" if c.too_few else ""
    pictures = counted(c.pictures.num_pictures, "test picture")
    return "No difference seen", f"{c.size} with {pictures}{but}"


def pairs_section(material: Material, benchmark: BenchmarkResults) -> Section | None:
    """The best results of a benchmark, every two of them; None where there are no two."""
    results = benchmark.main.results
    if len(results) < 2:
        return None
    with_scores = [result for result in results if scores_path(result.path).is_file()]
    shown = _chosen(Ranking(tuple(with_scores))) if len(with_scores) > 1 else []
    return Section(
        id=material.anchors.new(f"{benchmark.title} pairs"),
        title="Every two compared on the same pictures",
        blocks=(*_left_out(results, with_scores, shown), *_tables(material, benchmark, shown)),
    )


def _left_out(
    results: Sequence[Result], with_scores: Sequence[Result], shown: Sequence[Result]
) -> Iterator[Block]:
    """Which results are not compared, and why."""
    if len(with_scores) < len(results):
        lacking = f"{len(results) - len(with_scores)} of {len(results)} results are not compared"
        yield says(
            f"{lacking}: no scores of the test pictures lie beside their records. A record's"
            " command, with another ",
            Code("--out"),
            ", makes them.",
            role="lacking",
        )
    if len(shown) < len(with_scores):
        all_of_them = Code("vggfeat compare --all")
        yield says(
            f"Of {len(with_scores)} results with scores {len(shown)} are here, each net's best and"
            " the best of the others; ",
            all_of_them,
            " compares all.",
            role="note",
        )


def _tables(
    material: Material, benchmark: BenchmarkResults, shown: Sequence[Result]
) -> Iterator[Block]:
    if not shown:
        return
    members = located([result.path for result in shown])
    try:
        comparisons = compared(list(combinations(members, 2)))
    except RecordError as error:
        yield says(f"Not compared: {_without_folders(error, shown)}", role="lacking")
        return
    yield from _forest(material, benchmark, comparisons, shown[0])
    is_pair = len(comparisons) == 1
    for table in pair_tables(comparisons[0]) if is_pair else several_tables(comparisons):
        label = table.title or f"{benchmark.title}, pairs"
        block = TableBlock(table=table, id=material.anchors.new(label), label=label)
        is_long = len(table.rows) > MAX_ROWS
        summary = f"All {len(table.rows)} pairs"
        yield Folded(summary=summary, blocks=(block,)) if is_long else block


def _forest(
    material: Material, benchmark: BenchmarkResults, comparisons: Sequence[Comparison], best: Result
) -> Iterator[Block]:
    """The best result less each other one, drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    differences = []
    for c in comparisons:
        if best.path in (c.a.path, c.b.path):
            sign, other = (1, c.b) if c.a.path == best.path else (-1, c.a)
            first = c.a if sign == 1 else c.b
            interval = c.interval.scaled(sign)
            differences.append(
                Difference(a=first.label, b=other.label, value=sign * c.difference,
                           low=interval.low, high=interval.high)
            )  # fmt: skip
    title = f"{benchmark.title}: the best result and the others"
    name = f"{benchmark.benchmark}-{best.record.key[:6]}"
    figure = forest(differences, name=name, title=title, metric=benchmark.main.metric)
    yield drawing(material, figure)


def _chosen(ranking: Ranking) -> list[Result]:
    """Each net's best result first, then the best of the others, in their order."""
    first = list(ranking.nets)
    others = [result for result in ranking.results if result not in first]
    chosen = [*first, *others][:NUM_COMPARED]
    return [result for result in ranking.results if result in chosen]


def _without_folders(error: RecordError, results: Sequence[Result]) -> str:
    """What the error says, records named as the page names them: FOLDER/FILE."""
    text = str(error)
    for folder in {result.path.parent.parent for result in results}:
        text = text.replace(f"{folder}/", "")
    return text


def _without_scores(results: Sequence[Result]) -> str:
    """Why results cannot be compared; empty if all have their scores."""
    lacking = [r for r in results if not scores_path(r.path).is_file()]
    if not lacking:
        return ""
    which = f"{len(lacking)} of {len(results)} records" if len(results) > 2 else "the records"
    return f"no scores of the test pictures lie beside {which}"
