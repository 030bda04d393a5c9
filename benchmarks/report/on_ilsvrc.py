"""ILSVRC's protocols: the grid of nets, scales and views, and the paper's Tables 3 to 10."""

from vggfeat.benchmarks.report.drawings import drawings
from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.pairs import pairs_section
from vggfeat.benchmarks.report.ranking import BenchmarkResults, name_of
from vggfeat.report import ilsvrc_grid, ilsvrc_tables
from vggfeat.report.page.blocks import Block, Folded, Section, TableBlock
from vggfeat.report.results import Results
from vggfeat.report.table import Table


def ilsvrc_section(material: Material) -> Section | None:
    """The tables of all records on ILSVRC, and the best of each set of pictures in pairs."""
    if not material.ilsvrc:
        return None
    records = [result.record for result in material.results.ilsvrc]
    grid, paper = ilsvrc_grid.tables(records), ilsvrc_tables.tables(records)
    blocks: list[Block] = [
        *(_block(material, table, "Nets by scales and view, errors (%)") for table in grid),
        *drawings(
            material, Results(ilsvrc=material.results.ilsvrc), "ilsvrc", "per-class", "confusion"
        ),
    ]
    if paper:
        blocks.append(
            Folded(
                summary="Beside the paper: its tables with these nets below the published rows",
                blocks=tuple(_block(material, table, "Beside the paper") for table in paper),
            )
        )
    return Section(
        id=material.anchors.new("ilsvrc"),
        title="ILSVRC",
        blocks=tuple(blocks),
        parts=tuple(_part(material, b) for b in material.ilsvrc),
    )


def _part(material: Material, benchmark: BenchmarkResults) -> Section:
    pairs = pairs_section(material, benchmark) if "pairs" in material.sections else None
    return Section(
        id=material.benchmark_id(benchmark),
        title=name_of(benchmark),
        parts=(pairs,) if pairs else (),
    )


def _block(material: Material, table: Table, label: str) -> TableBlock:
    return TableBlock(table=table, id=material.anchors.new(table.title or label), label=label)
