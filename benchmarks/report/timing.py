"""Where the time went: the seconds of each stage, measurement by measurement."""

from collections import Counter
from collections.abc import Mapping, Sequence

from vggfeat.benchmarks.report.drawings import drawings
from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.ranking import BenchmarkResults, name_of
from vggfeat.records.record import PARTS_OF_EXTRACT, STAGES
from vggfeat.report.page.blocks import Folded, Section, TableBlock, says
from vggfeat.report.results import Result, Results
from vggfeat.report.table import Cell, Table

Seconds = Mapping[str, float]  # by stage
ABOUT = (
    "Seconds of each stage, as the record states them. Decoding and preparing are summed over"
    " threads that work beside the forward pass, so stages do not add up to the time on the clock;"
    " stages of 0 used what an earlier measurement had stored."
)


def time_section(material: Material) -> Section | None:
    """Each benchmark in all, then folded each result; None where no record states any seconds."""
    benchmarks = [b for b in (*material.transfer, *material.ilsvrc) if any(map(_total, b.results))]
    if not benchmarks:
        return None
    totals = [(name_of(b), _sum(b.results)) for b in benchmarks]
    return Section(
        id=material.anchors.new("time"),
        title="Time",
        blocks=(
            says(ABOUT, role="note"),
            _table(material, totals, "All results of a benchmark together"),
            *drawings(material, Results(transfer=material.results.transfer), "time"),
            *(_folded(material, b) for b in benchmarks),
        ),
    )


def _folded(material: Material, benchmark: BenchmarkResults) -> Folded:
    longest = sorted(benchmark.results, key=lambda r: (-_total(r), r.label))
    rows = [(result.label, _seconds(result)) for result in longest]
    name = name_of(benchmark)
    return Folded(
        summary=f"{name}, result by result",
        blocks=(_table(material, rows, f"{name}, those that took longest first"),),
        is_for_paper=False,
    )


def _table(material: Material, rows: Sequence[tuple[str, Seconds]], label: str) -> TableBlock:
    """A row a name with its seconds; the bar is the share of the row with most of them."""
    stages = [stage for stage in STAGES if any(seconds.get(stage) for _, seconds in rows)]
    most = max(sum(seconds.values()) for _, seconds in rows)
    lines = []
    for name, seconds in rows:
        share = Cell(values=(100 * sum(seconds.values()) / most,), number_format=".0f")
        stated = (Cell(values=(seconds[s],)) if s in seconds else Cell() for s in stages)
        lines.append([name, share, *stated])
    return TableBlock(
        table=Table.of(["", "of the longest (%)", *(f"{stage} (s)" for stage in stages)], lines),
        id=material.anchors.new(label),
        label=label,
        bars=frozenset({1}),
    )


def _sum(results: Sequence[Result]) -> Seconds:
    total: Counter[str] = Counter()
    for result in results:
        total.update(_seconds(result))
    return total


def _seconds(result: Result) -> Seconds:
    """Seconds by stage; choosing a hyper-parameter belongs to fitting."""
    seconds = dict(result.record.seconds)
    seconds["fit"] = seconds.pop("choose_C", 0) + seconds.get("fit", 0)
    if any(seconds.get(part) for part in PARTS_OF_EXTRACT):
        seconds.pop("extract", None)
    return {stage: seconds[stage] for stage in STAGES if stage in seconds}


def _total(result: Result) -> float:
    return sum(_seconds(result).values())
