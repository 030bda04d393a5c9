"""What `vggfeat pretrain` does: the stages of a chain, one after the other.

In the folder of runs a stage leaves `<stage>.safetensors`, the weights with their card,
`<stage>.json`, the record of its training, and the folder `<stage>/` with its log, its checkpoints
and the weights of its best epoch.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.torch import save

from vggfeat.errors import DatasetError, TrainingError
from vggfeat.files import new_file
from vggfeat.locks import making
from vggfeat.networks import VGG
from vggfeat.pretraining.augmentation import Colours
from vggfeat.pretraining.checkpoints import first_difference
from vggfeat.pretraining.data import Pictures, open_pictures
from vggfeat.pretraining.initialisation import Start
from vggfeat.pretraining.loading import compute_colours
from vggfeat.pretraining.monitor import Status
from vggfeat.pretraining.parallel import World, joined
from vggfeat.pretraining.recipes import Recipe
from vggfeat.pretraining.recipes import recipe as recipe_of
from vggfeat.pretraining.train import Running, Trained, train
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.weights import checkpoint
from vggfeat.weights.card import Card, read_card

log = logging.getLogger(__name__)

RECORD_SCHEMA_VERSION = 1
COLOURS = "colours.json"
NO_STD = (1.0, 1.0, 1.0)  # the paper subtracts the mean and does not scale


@dataclass(frozen=True, kw_only=True)
class Job:
    """The stages to train, in their order, and what they are trained on."""

    recipes: Sequence[Recipe]
    data: Path
    out: Path
    running: Running
    colours: Path | None = None  # given, rather than computed from the training pictures
    command: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage whose weights are there."""

    name: str
    weights: Path
    accuracy: dict[str, Any]  # top1, top5, epoch
    skipped: bool  # they were there before


def pretrain(job: Job, report: Callable[[Status], None] = lambda status: None) -> Iterator[Stage]:
    """Train the job's stages, skipping those whose weights exist.

    Every process of torchrun calls this; the leading one alone writes and yields. Raises
    VggfeatError, or Interrupted with everything saved.
    """
    with joined(job.running.device_type) as world:
        pictures = open_pictures(job.data)
        if world.leads:
            for note in pictures.notes:
                log.info("%s: %s", job.data, note)
            log.info(
                "%s: %d classes, %d training and %d validation pictures",
                job.data, len(pictures.classes), len(pictures.train), len(pictures.validation),
            )  # fmt: skip
        runs = _Runs(job, pictures, world)
        for one in job.recipes:
            stage = runs.stage(one, report)
            world.wait()
            if world.leads:
                yield stage


def weights_of(out: Path, stage: str) -> Path:
    return out / f"{stage}.safetensors"


class _Runs:
    """The stages of one job, on its pictures."""

    def __init__(self, job: Job, pictures: Pictures, world: World):
        self.job, self.pictures, self.world = job, pictures, world
        self.digest = pictures.digest
        self.colours = self._colours()

    def stage(self, recipe: Recipe, report: Callable[[Status], None]) -> Stage:
        """The weights of a recipe, trained unless they are there."""
        path = weights_of(self.job.out, recipe.name)
        start, start_sha256 = self._start(recipe)
        begun_with = {
            "recipe": recipe.decisive(),
            "data": self.digest,
            "colours": self.colours.to_json(),
            "start": start_sha256,
        }
        if path.exists():
            return self._existing(recipe, path, begun_with)
        # Two commands must not write into one folder; only the leading process writes.
        with making(path) if self.world.leads else nullcontext():
            return self._train(recipe, path, start, begun_with, report)

    def _train(
        self,
        recipe: Recipe,
        path: Path,
        start: Start | None,
        begun_with: dict[str, Any],
        report: Callable[[Status], None],
    ) -> Stage:
        folder = self.job.out / recipe.name
        exported = _Exporter(self, recipe, begun_with)
        trained = train(
            recipe,
            self.pictures,
            self.colours,
            folder,
            start=start,
            begun_with=begun_with,
            world=self.world,
            running=self.job.running,
            report=report,
            on_best=lambda net, monitor: exported.weights(
                folder / "best.safetensors", net, monitor.curve, "the best epoch so far"
            ),
        )
        if self.world.leads:
            exported.record(path, trained)
        if trained.problem:
            raise TrainingError(trained.problem)
        return Stage(recipe.name, path, accuracy_of(trained.curve[-1]), skipped=False)

    def _existing(self, recipe: Recipe, path: Path, begun_with: dict[str, Any]) -> Stage:
        """A stage trained before; raises TrainingError if it was trained otherwise."""
        card = read_card(path)
        training = card.training if card else {}
        if training.get("begun_with") != _as_read(begun_with):
            difference = first_difference(training.get("begun_with"), _as_read(begun_with))
            raise TrainingError(
                f"{path}: was trained otherwise than asked: {difference}. Ask for the same, choose"
                " another --out, or remove the file to train it again."
            )
        return Stage(recipe.name, path, training.get("accuracy", {}), skipped=True)

    def _start(self, recipe: Recipe) -> tuple[Start | None, str | None]:
        """The net that the recipe starts from, and the digest of its file."""
        if recipe.start is None:
            return None, None
        path = weights_of(self.job.out, recipe.start)
        if not path.exists():
            raise TrainingError(
                f"{recipe.name} starts from {recipe.start}, and {path} is not there. Train it first"
                f" (vggfeat pretrain --stage {recipe.start}), put it there, or begin without:"
                " --set start=none."
            )
        net = recipe_of(recipe.start).net
        return (net, checkpoint.read(path)), checkpoint.sha256_of(path)

    def _colours(self) -> Colours:
        """As given, or as computed from these pictures before, or computed now."""
        if self.job.colours is not None:
            return Colours.from_json(_json(self.job.colours), str(self.job.colours))
        path = self.job.out / COLOURS
        if self.world.leads and not (path.exists() and _json(path).get("data") == self.digest):
            log.info("computing the mean colour of the training pictures")
            values = {"data": self.digest, **compute_colours(self.pictures).to_json()}
            with new_file(path) as file:
                file.write(json.dumps(values, indent=1).encode())
        self.world.wait()
        return Colours.from_json(_json(path), str(path))


class _Exporter:
    """Writes what a stage leaves behind."""

    def __init__(self, runs: _Runs, recipe: Recipe, begun_with: dict[str, Any]):
        self.runs, self.recipe, self.begun_with = runs, recipe, begun_with

    def weights(self, path: Path, net: VGG, curve: list[dict[str, Any]], ended: str) -> str:
        """Write the weights with their card; returns the SHA-256 of the file."""
        card = Card(
            net=self.recipe.net_specification,
            classes=self.runs.pictures.classes,
            mean=self.runs.colours.mean,
            std=NO_STD,
            training=self.facts(curve, ended),
        )
        tensors = {name: value.cpu().contiguous() for name, value in net.state_dict().items()}
        content = save(tensors, card.metadata())
        with new_file(path) as file:
            file.write(content)
        return hashlib.sha256(content).hexdigest()

    def record(self, path: Path, trained: Trained) -> None:
        """Write the weights, unless they have learned nothing, and the record beside them."""
        weights = None
        if not trained.problem:
            sha256 = self.weights(path, trained.net, trained.curve, trained.ended)
            weights = {"file": path.name, "sha256": sha256}
        values = {
            "schema_version": RECORD_SCHEMA_VERSION,
            "weights": weights,
            **self.facts(trained.curve, trained.ended),
            "communication": trained.communication and asdict(trained.communication),
        }
        with new_file(path.with_suffix(".json")) as file:
            file.write((json.dumps(values, indent=1) + "\n").encode())

    def facts(self, curve: list[dict[str, Any]], ended: str) -> dict[str, Any]:
        """How the weights were made, in plain JSON values."""
        job, pictures = self.runs.job, self.runs.pictures
        best = max(curve, key=lambda line: line["top1"])
        return {
            "stage": self.recipe.name,
            "recipe": asdict(self.recipe),
            "begun_with": self.begun_with,
            "data": {
                "digest": self.runs.digest,
                "classes": len(pictures.classes),
                "train": len(pictures.train),
                "validation": len(pictures.validation),
                "notes": list(pictures.notes),
                "unreadable": curve[-1]["unreadable"],
            },
            "accuracy": accuracy_of(curve[-1]),
            "best": accuracy_of(best),
            "ended": ended,
            "updates": curve[-1]["step"],
            "seconds": curve[-1]["seconds"],
            "curve": curve,
            "precision": job.running.resolved_precision,
            "processes": self.runs.world.size,
            "hardware": hardware(job.running.device_type),
            "versions": library_versions(),
            "git": git_state(),
            "command": job.command,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def accuracy_of(line: dict[str, Any]) -> dict[str, Any]:
    """Of the centre crops of the validation pictures after an epoch."""
    return {name: line[name] for name in ("top1", "top5", "epoch")}


def _as_read(values: dict[str, Any]) -> Any:
    """The values as JSON gives them back: tuples are lists."""
    return json.loads(json.dumps(values))


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}).") from error
    return values if isinstance(values, dict) else {}
