"""The folder of runs: where the files of a stage lie, and whether those there are as asked for.

A stage leaves `<stage>.safetensors`, the weights with their card, `<stage>.json`, the record of its
training, and the folder `<stage>/` with its log, its checkpoints and the weights of its best epoch.
"""

import json
from pathlib import Path
from typing import Any

from vggfeat.errors import DatasetError, TrainingError, WeightsError
from vggfeat.plurals import counted
from vggfeat.pretraining.checkpoints import first_difference
from vggfeat.pretraining.recipe import Recipe
from vggfeat.storage.checksums import is_damaged, parse_json
from vggfeat.weights.checkpoint import read_card

COLOURS = "colours.json"


def weights_path(out: Path, stage: str) -> Path:
    """Where the weights of a stage lie in a folder of runs."""
    return out / f"{stage}.safetensors"


def check_start(recipe: Recipe, out: Path) -> None:
    """Raise TrainingError unless the weights that the recipe starts from are there."""
    path = weights_path(out, recipe.start or "")
    if recipe.start and not path.exists():
        raise TrainingError(
            f"{recipe.name} starts from {recipe.start}, and {path} is not there. Train it first"
            f" (vggfeat pretrain --stage {recipe.start}), put it there, or begin without:"
            " --set start=none."
        )


def trained_before(path: Path, recipe: Recipe, begun_with: dict[str, Any]) -> dict[str, Any]:
    """What the card at `path` says of training; TrainingError if it was begun with other values.

    Only the names in begun_with are compared.
    """
    try:
        card = read_card(path)
    except WeightsError as error:
        raise TrainingError(
            f"{error} Remove it: the same command makes it again from its last checkpoint."
        ) from error
    training = card.training if card else {}
    before = {name: training.get("begun_with", {}).get(name) for name in begun_with}
    now = json.loads(json.dumps(begun_with))  # tuples are lists then, as in the card
    if before != now:
        raise TrainingError(
            f"{path}: was trained otherwise than asked: {first_difference(before, now)}. Ask for"
            f" the same, choose another --out, or remove it and {path.with_suffix('')} to train it"
            " again."
        )
    epochs = training["accuracy"]["epoch"]
    if epochs < recipe.epochs and training["ended"].startswith("after all epochs"):
        raise TrainingError(
            f"{path}: was trained for {counted(epochs, 'epoch')}, and {recipe.epochs} are asked"
            f" for. Remove this file to go on from there, or --set epochs={epochs}."
        )
    return training


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that a run wrote, empty if it is none.

    Raises DatasetError if it cannot be read or is not as it was written.
    """
    try:
        values = parse_json(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(
            f"{path}: cannot be read ({error}). Remove it if a run made it: it is made again."
        ) from error
    values = values if isinstance(values, dict) else {}
    if is_damaged(values):
        raise DatasetError(
            f"{path}: not as it was written: its digest is another. If you changed it, remove its"
            " sha256; if a run made it, remove the file: it is made again."
        )
    return values
