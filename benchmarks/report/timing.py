"""Where the time went: the seconds of each stage, measurement by measurement."""

from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.ranking import BenchmarkResults
from vggfeat.records.record import STAGES
from vggfeat.report.page.blocks import Block, Section, TableBlock, says
from vggfeat.report.results import Result
from vggfeat.report.table import Cell, Table

ABOUT = (
    "Seconds of each stage, as the record states them. Decoding and preparing are summed over"
    " threads that work beside the forward pass, so stages do not add up to the time on the clock;"
    " stages of 0 used what an earlier measurement had stored."
)
MAX_ROWS = 24  # of a benchmark; those that took most


def time_section(material: Material) -> Section | None:
    """A table for each benchmark; None where no record states any seconds."""
    benchmarks = [b for b in (*material.transfer, *material.ilsvrc) if any(map(_total, b.results))]
    if not benchmarks:
        return None
    blocks: list[Block] = [says(ABOUT, role="note")]
    return Section(
        id=material.anchors.new("time"),
        title="Time",
        blocks=(*blocks, *(_table(material, b) for b in benchmarks)),
    )


def _table(material: Material, benchmark: BenchmarkResults) -> TableBlock:
    longest = sorted(benchmark.results, key=lambda r: (-_total(r), r.label))[:MAX_ROWS]
    stages = [s for s in STAGES if any(_seconds(r).get(s) for r in longest)]
    most = _total(longest[0])
    rows = []
    for result in longest:
        seconds, total = _seconds(result), _total(result)
        share = Cell(values=(100 * total / most,), number_format=".0f")
        stated = (Cell(values=(seconds[s],)) if s in seconds else Cell() for s in stages)
        rows.append([result.label, share, *stated])
    left_out = len(benchmark.results) - len(longest)
    cut = (f"The {MAX_ROWS} that took most; {left_out} took less.",) if left_out else ()
    return TableBlock(
        table=Table.of(
            ["result", "of the longest (%)", *(f"{stage} (s)" for stage in stages)],
            rows,
            legend=cut,
            title=f"{benchmark.title}, seconds",
        ),
        id=material.anchors.new(f"{benchmark.title} seconds"),
        label="seconds",
        bars=frozenset({1}),
    )


def _seconds(result: Result) -> dict[str, float]:
    """Seconds by stage; choosing a hyper-parameter belongs to fitting."""
    seconds = dict(result.record.seconds)
    seconds["fit"] = seconds.pop("choose_C", 0) + seconds.get("fit", 0)
    if any(seconds.get(part) for part in ("decode", "prepare", "forward", "store")):
        seconds.pop("extract", None)
    return seconds


def _total(result: Result) -> float:
    return sum(seconds for stage, seconds in _seconds(result).items() if stage in STAGES)
