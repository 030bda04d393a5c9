"""Records of training -> a table beside the paper's Table 3."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vggfeat.errors import RecordError, VggfeatError
from vggfeat.pretraining.export import RECORD_SCHEMA_VERSION
from vggfeat.pretraining.recipe import Recipe
from vggfeat.report.table import formatted

ILSVRC = {"classes": 1000, "train": 1_281_167, "validation": 50_000}
HEADER = (
    "net", "S", "begins with", "epochs", "minutes", "top-1 error (%)", "top-5 error (%)",
    "best top-1 error (%)", "published top-1 / top-5 (%)",
)  # fmt: skip
NOTES = (
    "Errors are those on the centre crop of the validation pictures, after the last epoch.",
    "Published errors are dense ones on ILSVRC-2012 of the full-size nets: ~ near (the"
    " centre crop is another view), x not comparable (other pictures, width or input size).",
)


def read_training_records(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder of runs, in the order of their times. Raises RecordError."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            values = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: cannot be read ({error}).") from error
        # Regressors of boxes are told of by what `localise evaluate` measures.
        if isinstance(values, dict) and "stage" in values and not _is_regressor(values):
            found.append(_checked(values, path))
    if not found:
        raise RecordError(
            f"{folder}: holds no records of nets that tell classes. `vggfeat pretrain` makes them."
        )
    return sorted(found, key=lambda record: record["time"])


def render_training(records: Sequence[dict[str, Any]], form: str) -> str:
    """A line a stage, as "table", "md" or "latex"."""
    return formatted(HEADER, [_line(record) for record in records], NOTES, form)


def _line(record: dict[str, Any]) -> list[str]:
    recipe = record["recipe"]
    last, best = record["accuracy"], record["best"]
    first, final = recipe.scales
    stuck = " (stuck)" if "stuck" in record["ended"] else ""
    return [
        recipe.net_specification,
        str(first) if first == final else f"{first} to {final}",
        recipe.begins_with,
        f"{last['epoch']}{stuck}",
        f"{record['seconds'] / 60:.1f}",
        _error(last["top1"]),
        _error(last["top5"]),
        _error(best["top1"]),
        _published(recipe, record["data"]),
    ]


def _published(recipe: Recipe, data: dict[str, Any]) -> str:
    if recipe.published is None:
        return ""
    top1, top5 = recipe.published
    same = all(data[name] == count for name, count in ILSVRC.items()) and recipe.is_full_size
    return f"{top1} / {top5} {'~' if same else 'x'}"


def _error(accuracy: float) -> str:
    return f"{100 * (1 - accuracy):.1f}"


def _checked(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """The record with its recipe as one; raises RecordError if a table cannot be made of it."""
    if values.get("schema_version") != RECORD_SCHEMA_VERSION:
        raise RecordError(f"{path}: not a record of schema version {RECORD_SCHEMA_VERSION}.")
    try:
        record = values | {"recipe": _recipe(values["recipe"])}
        _line(record)
    except (TypeError, KeyError, ValueError, VggfeatError) as error:
        raise RecordError(f"{path}: not a record of training ({error!r}).") from error
    return record


def _is_regressor(values: dict[str, Any]) -> bool:
    recipe = values.get("recipe")
    return isinstance(recipe, dict) and "regressor" in recipe


def _recipe(values: dict[str, Any]) -> Recipe:
    """As it was before it went through JSON, which has no tuples."""
    return Recipe(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
