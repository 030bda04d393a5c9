"""Records of speed -> a table each: measured beside the peer, the limit and the goal."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vggfeat.benchmarks.speed import record as records
from vggfeat.benchmarks.speed.measuring import Goal, Row, Spread
from vggfeat.benchmarks.speed.record import SpeedRecord
from vggfeat.plurals import counted
from vggfeat.report.render import render as render_tables
from vggfeat.report.table import Cell, Table
from vggfeat.storage.files import new_file

COLUMNS = ("who", "device", "what", "median (min to max)", "times as fast as", "goal", "reached")
NOTHING = "Nothing was measured yet.\n"
FILE = "tables.md"


def tables(measured: Sequence[SpeedRecord]) -> list[Table]:
    """A table for each benchmark; records of several devices share one."""
    names = dict.fromkeys(record.name for record in measured)
    return [_table([record for record in measured if record.name == name]) for name in names]


def render(measured: Sequence[SpeedRecord], form: str, width: int | None = None) -> str:
    """The tables as "table", for a terminal at most width columns wide, or "md"."""
    return render_tables(tables(measured), form, width=width) or NOTHING


def write(folder: Path, width: int | None = None) -> str:
    """Write the tables of a folder's records beside them; returns them for a terminal."""
    measured = records.read_all(folder)
    with new_file(folder / FILE) as file:
        file.write(render(measured, "md").encode())
    return render(measured, "table", width)


def _table(measured: Sequence[SpeedRecord]) -> Table:
    rows = [
        _of_machine(row, record, len(measured) > 1)
        for record in measured
        for row in (*record.rows, *record.limits)
    ]
    notes = [note for record in measured for note in (_about(record), *record.notes)]
    return Table.of(
        COLUMNS,
        [_cells(row) for row in _without_filled_gaps(rows)],
        legend=tuple(dict.fromkeys(notes)),
        title=measured[0].name.capitalize(),
        title_level=2,
    )


def _of_machine(row: Row, record: SpeedRecord, are_several: bool) -> Row:
    """The row; what the CPU beside another record's GPU did names that machine."""
    if not are_several or not row.value or row.device == record.device:
        return row
    return replace(row, device=f"{row.device} beside {record.device}")


def _without_filled_gaps(rows: Sequence[Row]) -> list[Row]:
    """What was not measured on one device is left out where the record of another has it."""
    measured = {_key(row) for row in rows if row.value}
    return [row for row in rows if row.value or _key(row) not in measured]


def _key(row: Row) -> tuple[str, str, str]:
    return row.contender, row.quantity, row.device


def _cells(row: Row) -> list[Cell | str]:
    value = _spread(row.value) if row.value else _not_measured(row)
    ratio = _spread(row.ratio, f"{row.peer}: ") if row.ratio else Cell()
    return [row.contender, row.device, row.quantity, value, ratio, _goal(row.goal), row.reached]


def _not_measured(row: Row) -> Cell:
    return Cell(text=f"not measured{row.note and f': {row.note}'}")


def _spread(spread: Spread, peer: str = "") -> Cell:
    """Median, and the range of several repeats."""
    text = f"{peer}{_number(spread.median)}"
    if spread.repeats > 1:
        text += f" ({_number(spread.min)} to {_number(spread.max)})"
    return Cell(values=(spread.median,), text=text)


def _number(value: float) -> str:
    """Three digits that say something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _goal(goal: Goal | None) -> str:
    if goal is None:
        return ""
    times = " times" if goal.of == "ratio" else ""
    return f"{goal.kind} {goal.bound:g}{times}"


def _about(record: SpeedRecord) -> str:
    machine = record.hardware
    parts = [
        str(machine["cpu"]),
        counted(machine["cores"], "core"),
        counted(machine["threads"], "thread"),
    ]
    if "memory_gib" in machine:
        parts.append(f"{machine['memory_gib']:g} GiB")
    if "gpu" in machine:
        parts.append(str(machine["gpu"]))
    state = "no commit"
    if record.git:
        state = record.git["commit"][:7] + (" with changes" if record.git["dirty"] else "")
    torch = record.versions["torch"]
    return (
        f"{counted(record.repeats, 'round')} on {record.time[:10]}: {', '.join(parts)};"
        f" torch {torch}; {state}. `{record.command}`"
    )
