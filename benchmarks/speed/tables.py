"""Records of speed -> a table each: measured beside the peer, the limit and the goal."""

from collections.abc import Sequence
from pathlib import Path

from vggfeat.benchmarks.speed import record as records
from vggfeat.benchmarks.speed.measuring import Goal, Row, Spread
from vggfeat.benchmarks.speed.record import SpeedRecord
from vggfeat.report.table import formatted
from vggfeat.storage.files import new_file

HEADER = ("who", "device", "what", "median (min to max)", "times as fast as", "goal", "reached")
NOTHING = "Nothing was measured yet.\n"
FILE = "tables.md"


def render(found: Sequence[SpeedRecord], form: str) -> str:
    """A table for each benchmark, as "table" or "md"; records of several devices share one."""
    names = dict.fromkeys(record.name for record in found)
    tables = [_table([one for one in found if one.name == name], form) for name in names]
    return "\n".join(tables) or NOTHING


def write(folder: Path) -> str:
    """Write the tables of a folder's records beside them; returns them for a terminal."""
    found = records.read_all(folder)
    with new_file(folder / FILE) as file:
        file.write(render(found, "md").encode())
    return render(found, "table")


def _table(found: Sequence[SpeedRecord], form: str) -> str:
    title = found[0].name.capitalize()
    heading = f"## {title}\n\n" if form == "md" else f"{title}\n\n"
    rows = [row for record in found for row in (*record.rows, *record.limits)]
    notes = [note for record in found for note in (_about(record), *record.notes)]
    lines = [_line(row) for row in _without_filled_gaps(rows)]
    return heading + formatted(HEADER, lines, list(dict.fromkeys(notes)), form)


def _without_filled_gaps(rows: Sequence[Row]) -> list[Row]:
    """What was not measured on one device is left out where the record of another has it."""
    measured = {_key(row) for row in rows if row.value}
    return [row for row in rows if row.value or _key(row) not in measured]


def _key(row: Row) -> tuple[str, str, str]:
    return row.contender, row.quantity, row.device


def _line(row: Row) -> list[str]:
    value = _spread(row.value) if row.value else f"not measured{row.note and f': {row.note}'}"
    ratio = f"{row.peer}: {_spread(row.ratio)}" if row.ratio else ""
    return [row.contender, row.device, row.quantity, value, ratio, _goal(row.goal), row.reached]


def _spread(spread: Spread) -> str:
    if spread.repeats == 1:
        return _number(spread.median)
    return f"{_number(spread.median)} ({_number(spread.min)} to {_number(spread.max)})"


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
    parts = [str(machine["cpu"]), f"{machine['cores']} cores", f"{machine['threads']} threads"]
    if "memory_gib" in machine:
        parts.append(f"{machine['memory_gib']:g} GiB")
    if "gpu" in machine:
        parts.append(str(machine["gpu"]))
    state = "no commit"
    if record.git:
        state = record.git["commit"][:7] + (" with changes" if record.git["dirty"] else "")
    torch = record.versions["torch"]
    return (
        f"{record.repeats} rounds on {record.time[:10]}: {', '.join(parts)}; torch {torch};"
        f" {state}. `{record.command}`"
    )
