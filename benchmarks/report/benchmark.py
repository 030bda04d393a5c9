"""The section of a benchmark: its classes, settings, comparisons and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vggfeat.benchmarks.report.drawings import drawings
from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.pairs import pairs_section
from vggfeat.benchmarks.report.ranking import BenchmarkResults
from vggfeat.benchmarks.report.sheets import sheets_section
from vggfeat.records.scores import scores_path
from vggfeat.report import shots, sweep
from vggfeat.report.page.blocks import Block, Folded, Section, TableBlock, says
from vggfeat.report.results import Results
from vggfeat.report.table import Cell, Table

# How the names of figures begin.
OF_CLASSES = ("per-class", "precision-recall", "confusion")
OF_SETTINGS = ("scales", "choice", "shots")


def benchmark_section(material: Material, benchmark: BenchmarkResults) -> Section | None:
    """The parts of a benchmark that are shown; None where there is nothing to show."""
    parts: dict[str, Callable[[Material, BenchmarkResults], Section | None]] = {
        "classes": _classes,
        "settings": _settings,
        "pairs": pairs_section,
        "pictures": sheets_section,
    }
    made = (part(material, benchmark) for name, part in parts.items() if name in material.sections)
    shown = tuple(part for part in made if part)
    if not shown:
        return None
    return Section(id=material.benchmark_id(benchmark), title=benchmark.title, parts=shown)


def _classes(material: Material, benchmark: BenchmarkResults) -> Section | None:
    """Each class: values, precision and recall, what is taken for what."""
    blocks = drawings(material, Results(transfer=benchmark.main.results), *OF_CLASSES)
    if not any(scores_path(result.path).is_file() for result in benchmark.main.results):
        blocks.append(
            says(
                "No scores of the test pictures lie beside these records: precision-recall curves"
                " and confusions cannot be drawn.",
                role="lacking",
            )
        )
    return Section(
        id=material.anchors.new(f"{benchmark.title} classes"),
        title="Class by class",
        blocks=tuple(blocks),
    )


def _settings(material: Material, benchmark: BenchmarkResults) -> Section | None:
    """What a change of scales, C, probe or the number of training pictures brings."""
    blocks = drawings(material, Results(transfer=benchmark.results), *OF_SETTINGS)
    records = [result.record for result in benchmark.results]
    whole = [r.record for r in benchmark.main.results if "shots" not in r.record.protocol]
    blocks += _tables(material, shots.tables(records), f"{benchmark.title}, few pictures")
    if len(whole) > 1:
        label = f"{benchmark.title}, setting by setting"
        blocks.append(
            Folded(
                summary="All settings in columns, best first",
                blocks=tuple(_tables(material, sweep.tables(whole), label)),
            )
        )
    if not blocks:
        return None
    return Section(
        id=material.anchors.new(f"{benchmark.title} settings"),
        title="Setting by setting",
        blocks=tuple(blocks),
    )


def _tables(material: Material, tables: Sequence[Table], label: str) -> list[Block]:
    return [
        TableBlock(table=_named(material, t), id=material.anchors.new(label), label=label)
        for t in tables
    ]


def _named(material: Material, table: Table) -> Table:
    """The table with nets called as everywhere on the page."""
    rows = [
        [Cell(text=material.net_names[c.text]) if c.text in material.net_names else c for c in row]
        for row in table.rows
    ]
    return replace(table, rows=tuple(map(tuple, rows)))
