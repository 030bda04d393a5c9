"""The comparison: each net at its best beside the published numbers, then every result there is."""

from dataclasses import replace

from vggfeat.benchmarks.report.drawings import drawings
from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.published import WORDS, standing
from vggfeat.benchmarks.report.ranking import BenchmarkResults, value_of
from vggfeat.benchmarks.report.verdict import ilsvrc_cards, summary, transfer_cards
from vggfeat.report.judge import LEGEND, MARKS
from vggfeat.report.page.blocks import Block, Folded, Section, TableBlock, says
from vggfeat.report.results import Result, Results
from vggfeat.report.settings import percent
from vggfeat.report.table import Cell, Notes, Table
from vggfeat.report.transfer import TransferResult, compare

NUM_NETS = 5  # of the table on the first screen; the others are in the folded one
AT_BEST = (
    "Each net stands with the setting that scored highest on the test pictures, which favours nets"
    " that were tried with more settings."
)


def comparison_section(material: Material) -> Section | None:
    """The first screen, and below it all results; None where only training is shown."""
    blocks: list[Block] = []
    if material.transfer:
        cards = transfer_cards(material)
        blocks += [summary(material, cards), cards, _nets_table(material)]
        if any(len(b.main.results) > len(b.main.nets) for b in material.transfer):
            blocks.append(says(AT_BEST, role="legend"))
        blocks.append(
            Folded(
                summary=f"All {_count(len(material.results.transfer))}, every setting, best first",
                blocks=tuple(_all_results(material, b) for b in material.transfer),
            )
        )
    if material.ilsvrc:
        blocks.append(ilsvrc_cards(material))
    if main := tuple(result for b in material.transfer for result in b.main.results):
        blocks += drawings(material, Results(transfer=main), "published")
    if not blocks:
        return None
    return Section(
        id=material.anchors.new("comparison"), title="Which net is best?", blocks=tuple(blocks)
    )


def _nets_table(material: Material) -> TableBlock:
    """A row a net, a column a benchmark, best first, the published rows below."""
    benchmarks = material.transfer
    best = {r.record.method: material.net(r) for b in benchmarks for r in b.main.nets}
    places = {method: _places(benchmarks, method) for method in best}
    ranks = {m: (sum(at) / len(at), -len(at), best[m]) for m, at in places.items()}
    methods = sorted(best, key=ranks.__getitem__)[:NUM_NETS]
    left_out = len(best) - len(methods)
    published = _published(benchmarks)
    notes, rows, links = Notes(), [], {}
    for row, method in enumerate(methods):
        cells: list[Cell | str] = [best[method]]
        for column, benchmark in enumerate(benchmarks, start=1):
            result = next((r for r in benchmark.main.nets if r.record.method == method), None)
            if result is None:
                cells.append(Cell())
                continue
            is_best = result in benchmark.main.best and len(benchmark.main.nets) > 1
            cells.append(replace(_measured_cell(result, notes), is_best=is_best))
            links[(row, column)] = result
        rows.append(cells)
    for name, by_benchmark in published.items():
        numbers = (_published_cell(by_benchmark.get(b.benchmark), notes) for b in benchmarks)
        rows.append([name, *numbers])
    has_marks = any(cell.mark for row in rows for cell in row if isinstance(cell, Cell))
    table = Table.of(
        ["net", *(f"{b.title}, {b.main.metric}" for b in benchmarks)],
        rows,
        notes=notes.texts,
        legend=(
            *((LEGEND,) if has_marks else ()),
            *((f"The {NUM_NETS} best of {len(best)} nets.",) if left_out else ()),
        ),
    )
    return TableBlock(
        table=table,
        id=material.anchors.new("nets"),
        label=f"Nets, best first{', and the published numbers' if published else ''}, in %",
        links=material.record_links(links),
        faint=frozenset(range(len(methods), len(rows))),
    )


def _places(benchmarks: tuple[BenchmarkResults, ...], method: str) -> list[int]:
    """The ranks of a net among those of each benchmark that it was measured on."""
    ranked = [[r.record.method for r in b.main.nets] for b in benchmarks]
    return [methods.index(method) for methods in ranked if method in methods]


def _published(
    benchmarks: tuple[BenchmarkResults, ...],
) -> dict[str, dict[str, TransferResult]]:
    """Method -> benchmark -> its published number."""
    shown: dict[str, dict[str, TransferResult]] = {}
    for result in compare([r.record for b in benchmarks for r in b.main.results]):
        if not result.is_measured:
            shown.setdefault(result.method, {})[result.benchmark] = result
    return shown


def _measured_cell(result: Result, notes: Notes) -> Cell:
    place = standing(result)
    word = f"{WORDS[place.comparison].lower()}: " if place.comparison else ""
    note = f"{word}{'; '.join(place.reasons)}." if place.reasons else ""
    return Cell(
        values=(value_of(result),),
        spread=percent(result.record.metrics[result.record.metric]["spread"]),
        difference=place.difference,
        mark=MARKS[place.comparison],
        flag="LIMITED" if result.record.limited else "",
        notes=notes.refer(note),
    )


def _published_cell(result: TransferResult | None, notes: Notes) -> Cell:
    if result is None:
        return Cell()
    source = "; ".join(filter(None, (result.source, *result.reasons)))
    return Cell(values=(result.value,), spread=result.spread, notes=notes.refer(f"{source}."))


def _all_results(material: Material, benchmark: BenchmarkResults) -> TableBlock:
    """A row a result, best first; those of other test pictures or few examples below."""
    notes, rows, links = Notes(), [], {}
    best = benchmark.main.best if len(benchmark.main.results) > 1 else ()
    for row, result in enumerate(benchmark.results):
        cell = replace(_measured_cell(result, notes), is_best=result in best)
        rows.append([result.label, _pictures_of(result), cell])
        links[(row, 2)] = result
    has_words = any(row[1] for row in rows)
    columns = ["result", "trained on", f"{benchmark.main.metric} (%)"]
    if not has_words:
        columns, rows = [columns[0], columns[2]], [[row[0], row[2]] for row in rows]
        links = {(row, 1): result for (row, _), result in links.items()}
    return TableBlock(
        table=Table.of(columns, rows, notes=notes.texts, title=benchmark.title),
        id=material.anchors.new(f"{benchmark.title} all results"),
        label=benchmark.title,
        links=material.record_links(links),
    )


def _pictures_of(result: Result) -> str:
    shots = result.record.protocol.get("shots")
    return f"{shots} a class" if shots else ""


def _count(number: int) -> str:
    return "1 result" if number == 1 else f"{number} results"
