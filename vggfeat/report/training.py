"""Records of training -> a table beside the paper's Table 3."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vggfeat.errors import RecordError
from vggfeat.report.best import with_best
from vggfeat.report.judge import PAPER_NET, TRAINING, judge
from vggfeat.report.table import Cell, Table
from vggfeat.storage.checksums import is_damaged, parse_json

SCHEMA_VERSION = 1  # of the records that `pretrain` writes
COLUMNS = (
    "net", "S", "begins with", "epochs", "minutes", "top-1 error (%)", "top-5 error (%)",
    "best top-1 error (%)", "published top-1 / top-5 (%)",
)  # fmt: skip
LEGEND = (
    "Errors are those on the centre crop of the validation pictures, after the last epoch.",
    "Published errors are dense ones on ILSVRC-2012 of the full-size nets: ~ near (the"
    " centre crop is another view), x not comparable (other pictures, width or input size).",
)


def read_training_records(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder of runs, in the order of their times.

    Raises RecordError if one cannot be read or tabulated, or if there is none.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RecordError(f"{path}: cannot be read ({error}).") from error
        if isinstance(record, dict) and is_damaged(record):
            raise RecordError(f"{path}: not as it was written: its digest is another.")
        # Regressors of boxes are in what `localise evaluate` measures.
        if isinstance(record, dict) and "stage" in record and not _is_regressor(record):
            _check(record, path)
            records.append(record)
    if not records:
        raise RecordError(
            f"{folder}: holds no records of trained classifiers. `vggfeat pretrain` makes them."
        )
    return sorted(records, key=lambda record: str(record.get("time", "")))


def table(records: Sequence[dict[str, Any]]) -> Table:
    """A row for each stage of training."""
    rows = [_row(record) for record in records]
    errors = [place for place, title in enumerate(COLUMNS) if title.endswith("error (%)")]
    rows = with_best(rows, errors, [True] * len(rows), lower_is_better=True)
    return Table.of(COLUMNS, rows, legend=LEGEND)


def _row(record: dict[str, Any]) -> list[Cell | str]:
    recipe, last = record["recipe"], record["accuracy"]
    first_scale, last_scale = recipe["scales"]
    stuck = "(stuck)" if "stuck" in record["ended"] else ""
    return [
        _net(recipe),
        str(first_scale) if first_scale == last_scale else f"{first_scale} to {last_scale}",
        begins_with(recipe),
        Cell(values=(last["epoch"],), number_format="d", flag=stuck),
        _minutes(record),
        _error(last["top1"]),
        _error(last["top5"]),
        _error(record["best"]["top1"]),
        _published(record),
    ]


def _minutes(record: dict[str, Any]) -> Cell:
    """How long it took; a record that was made again from the weights' card does not know."""
    return Cell(values=(record["seconds"] / 60,)) if "seconds" in record else Cell()


def _net(recipe: dict[str, Any]) -> str:
    """The net as `--net` names it, without weights."""
    changed = [name for name, usual in PAPER_NET.items() if recipe[name] != usual]
    options = [f"{name}={recipe[name]}" for name in changed]
    return f"{recipe['net']}:{','.join(options)}" if options else recipe["net"]


def begins_with(recipe: dict[str, Any]) -> str:
    """The weights that training begins with, in words."""
    random = "Glorot" if recipe["init"] == "glorot" else f"N(0, {recipe['init_std']:g})"
    if recipe["start"] is None:
        return random
    # A shallower net gives some of its layers; the others are random.
    is_same_net = recipe["start"].startswith(f"{recipe['net']}-")
    return recipe["start"] if is_same_net else f"{recipe['start']}, {random}"


def _error(accuracy: float) -> Cell:
    return Cell(values=(100 * (1 - accuracy),))


def _published(record: dict[str, Any]) -> Cell:
    """Top-1 and top-5 error of Table 3, which the recipe states."""
    published = record["recipe"]["published"]
    if published is None:
        return Cell()
    top1, top5 = published
    verdict = judge(TRAINING, record, published)
    return Cell(values=(top1, top5), number_format="", mark=verdict.mark)


def _check(record: dict[str, Any], path: Path) -> None:
    if record.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(f"{path}: not a record of schema version {SCHEMA_VERSION}.")
    try:
        list(map(str, _row(record)))  # also formats every number
        if not isinstance(record.get("time", ""), str):
            raise TypeError("its time is no text")
    except (
        TypeError, LookupError, ValueError, AttributeError, ArithmeticError, RecursionError,
    ) as error:  # fmt: skip
        raise RecordError(f"{path}: not a record of training ({error!r}).") from error


def _is_regressor(record: dict[str, Any]) -> bool:
    recipe = record.get("recipe")
    return isinstance(recipe, dict) and "regressor" in recipe
