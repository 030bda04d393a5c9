"""What `vggfeat pretrain` does: the stages of a chain, one after the other.

In the folder of runs a stage leaves `<stage>.safetensors`, the weights with their card,
`<stage>.json`, the record of its training, and the folder `<stage>/` with its log, its checkpoints
and the weights of its best epoch.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from vggfeat.distributed import World, joined
from vggfeat.errors import DatasetError, OptionError, TrainingError, WeightsError
from vggfeat.layouts.boxes import with_boxes
from vggfeat.layouts.imagenet import Pictures, open_pictures
from vggfeat.pretraining.augmentation import Colours
from vggfeat.pretraining.box_recipes import BoxRecipe
from vggfeat.pretraining.checkpoints import Position, first_difference
from vggfeat.pretraining.data_loader import compute_colours
from vggfeat.pretraining.initialisation import Start
from vggfeat.pretraining.monitor import Status
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.recipes import STAGES
from vggfeat.pretraining.train import Running, Trained, train
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.storage.files import new_file
from vggfeat.storage.locks import making
from vggfeat.vgg import VGG
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

    def pictures(self) -> Pictures:
        """What is trained and validated on."""
        return self.taken(open_pictures(self.data))

    def taken(self, labelled: Pictures) -> Pictures:
        """Of a folder's pictures those that can be used: regressors need boxes."""
        if any(isinstance(recipe, BoxRecipe) for recipe in self.recipes):
            return with_boxes(labelled)
        return labelled


@dataclass(frozen=True)
class Stage:
    """A stage whose weights are there."""

    name: str
    weights: Path
    accuracy: dict[str, Any]  # the task's measures, and the epoch
    skipped: bool  # they were there before


def pretrain(job: Job, report: Callable[[Status], None] = lambda status: None) -> Iterator[Stage]:
    """Train the job's stages, skipping those whose weights exist.

    Every process of torchrun calls this; the leading one alone writes and yields. Raises
    VggfeatError, or Interrupted with everything saved.
    """
    with joined(job.running.device_type) as world:
        labelled = open_pictures(job.data)
        pictures = job.taken(labelled)
        if world.leads:
            for note in pictures.notes:
                log.info("%s: %s", job.data, note)
            log.info(
                "%s: %d classes, %d training and %d validation pictures",
                job.data, len(pictures.classes), len(pictures.train), len(pictures.validation),
            )  # fmt: skip
        runs = _Runs(job, labelled, pictures, world)
        for recipe in job.recipes:
            try:
                stage = runs.stage(recipe, report)
            except (MemoryError, RuntimeError) as error:
                raise _explained(error, world) from error
            world.wait()
            if world.leads:
                yield stage


def _explained(error: MemoryError | RuntimeError, world: World) -> Exception:
    """What a user is told of it; an error of our own in a single process stays what it is."""
    no_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if no_memory or "allocate memory" in str(error):
        return OptionError("not enough memory for a pass. Try a smaller --pass-size.")
    if world.size == 1:
        return error
    # Most often another process has ended.
    return TrainingError(f"process {world.rank}: {str(error).splitlines()[0]}")


def weights_of(out: Path, stage: str) -> Path:
    return out / f"{stage}.safetensors"


def check_start(recipe: Recipe, out: Path) -> None:
    """Raise TrainingError if what the recipe starts from is not there."""
    path = weights_of(out, recipe.start or "")
    if recipe.start and not path.exists():
        raise TrainingError(
            f"{recipe.name} starts from {recipe.start}, and {path} is not there. Train it first"
            f" (vggfeat pretrain --stage {recipe.start}), put it there, or begin without:"
            " --set start=none."
        )


def trained_before(path: Path, recipe: Recipe, asked: dict[str, Any]) -> dict[str, Any]:
    """How the weights at `path` were trained; TrainingError if otherwise than asked."""
    try:
        card = read_card(path)
    except WeightsError as error:
        raise TrainingError(
            f"{error} Remove it: the same command makes it again from its last checkpoint."
        ) from error
    training = card.training if card else {}
    begun = training.get("begun_with", {})
    begun, asked = {name: begun.get(name) for name in asked}, _as_read(asked)
    if begun != asked:
        raise TrainingError(
            f"{path}: was trained otherwise than asked: {first_difference(begun, asked)}. Ask for"
            f" the same, choose another --out, or remove it and {path.with_suffix('')} to train it"
            " again."
        )
    epochs = training["accuracy"]["epoch"]
    if epochs < recipe.epochs and training["ended"].startswith("after all epochs"):
        raise TrainingError(
            f"{path}: was trained for {epochs} epochs, and {recipe.epochs} are asked for. Remove"
            f" this file to go on from there, or --set epochs={epochs}."
        )
    return training


class _Runs:
    """The stages of one job, on its pictures, which are all or some of the labelled ones."""

    def __init__(self, job: Job, labelled: Pictures, pictures: Pictures, world: World):
        self.job, self.pictures, self.world = job, pictures, world
        try:
            job.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(
                f"{job.out}: cannot be made ({error.strerror}). Choose another --out."
            ) from error
        self.digest = world.from_leader(pictures.digest if world.leads else "")
        self.labelled_digest = self.digest
        if labelled is not pictures:
            self.labelled_digest = world.from_leader(labelled.digest if world.leads else "")
        self.colours = self._colours(labelled)

    def stage(self, recipe: Recipe, report: Callable[[Status], None]) -> Stage:
        """The weights of a recipe, trained unless they are there."""
        path = weights_of(self.job.out, recipe.name)
        # Another command may be making them: its weights are waited for, and taken.
        with making(path) if self.world.leads else nullcontext():
            self.world.wait()
            if path.exists():
                return self._existing(recipe, path)
            return self._train(recipe, path, report)

    def _train(self, recipe: Recipe, path: Path, report: Callable[[Status], None]) -> Stage:
        folder = self.job.out / recipe.name
        start = self._start(recipe)
        begun_with = self._begun_with(recipe, start and _digest(start[1]))
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
            on_best=lambda net, position: exported.weights(
                folder / "best.safetensors", net, position, "the best epoch so far"
            ),
        )
        if self.world.leads:
            exported.record(path, trained)
        if trained.problem:
            raise TrainingError(trained.problem)
        measures = recipe.objective(len(self.pictures.classes)).measures
        accuracy = accuracy_of(trained.position.curve[-1], measures)
        return Stage(recipe.name, path, accuracy, skipped=False)

    def _existing(self, recipe: Recipe, path: Path) -> Stage:
        """A stage trained before; raises TrainingError if it was trained otherwise."""
        start = None
        if recipe.start and weights_of(self.job.out, recipe.start).exists():
            start = _digest(self._start(recipe)[1])
        asked = self._begun_with(recipe, start)
        if start is None:
            del asked["start"]  # it is not there any more
        training = trained_before(path, recipe, asked)
        if self.world.leads and not path.with_suffix(".json").exists():
            _write_record(path, {"sha256": checkpoint.sha256_of(path)}, training)
        return Stage(recipe.name, path, training["accuracy"], skipped=True)

    def _begun_with(self, recipe: Recipe, start: str | None) -> dict[str, Any]:
        """What decides the weights; start is the digest of those that they start from."""
        return {
            "recipe": recipe.decisive(),
            "data": self.digest,
            "colours": self.colours.to_json(),
            "start": start,
        }

    def _start(self, recipe: Recipe) -> Start | None:
        """The net that the recipe starts from."""
        if recipe.start is None:
            return None
        check_start(recipe, self.job.out)
        path = weights_of(self.job.out, recipe.start)
        card = read_card(path)
        if self.world.leads and card and card.mean != self.colours.mean:
            log.warning(
                "%s: was trained with another mean colour than these pictures have; --colours takes"
                " the colours.json of its folder",
                path,
            )
        return STAGES[recipe.start].net, checkpoint.read(path)

    def _colours(self, labelled: Pictures) -> Colours:
        """As given, or as computed from these pictures before, or computed now.

        Of all labelled ones: a net that regresses boxes has the input of the one it starts from.
        """
        if self.job.colours is not None:
            return Colours.from_json(_json(self.job.colours), str(self.job.colours))
        path, digest = self.job.out / COLOURS, self.labelled_digest
        if path.exists() and _json(path).get("data") != digest:
            raise TrainingError(
                f"{path}: is of other pictures than {self.job.data}. Choose another --out; or"
                " remove it if there is nothing in this folder to keep."
            )
        self.world.wait()
        if self.world.leads and not path.exists():
            log.info("computing the mean colour of the training pictures")
            values = {"data": digest, **compute_colours(labelled).to_json()}
            with new_file(path) as file:
                file.write(json.dumps(values, indent=1).encode())
        self.world.wait()
        return Colours.from_json(_json(path), str(path))


class _Exporter:
    """Writes what a stage leaves behind."""

    def __init__(self, runs: _Runs, recipe: Recipe, begun_with: dict[str, Any]):
        self.runs, self.recipe, self.begun_with = runs, recipe, begun_with

    def weights(self, path: Path, net: VGG, position: Position, ended: str) -> None:
        """Write the weights with their card."""
        with new_file(path) as file:
            file.write(self.content(net, position, ended))

    def content(self, net: VGG, position: Position, ended: str) -> bytes:
        """A .safetensors file of the weights with their card."""
        card = Card(
            net=self.recipe.net_specification,
            classes=self.runs.pictures.classes,
            mean=self.runs.colours.mean,
            std=NO_STD,
            training=self.facts(position, ended),
        )
        tensors = {name: value.cpu().contiguous() for name, value in net.state_dict().items()}
        return save(tensors, card.metadata())

    def record(self, path: Path, trained: Trained) -> None:
        """Write the record, and then the weights unless they have learned nothing.

        In this order, as a stage whose weights are there is not begun again.
        """
        content = self.content(trained.net, trained.position, trained.ended)
        weights = {"sha256": hashlib.sha256(content).hexdigest()}
        facts = self.facts(trained.position, trained.ended)
        facts["communication"] = trained.communication and asdict(trained.communication)
        _write_record(path, None if trained.problem else weights, facts)
        if not trained.problem:
            with new_file(path) as file:
                file.write(content)

    def facts(self, position: Position, ended: str) -> dict[str, Any]:
        """How the weights were made, in plain JSON values."""
        job, pictures, curve = self.runs.job, self.runs.pictures, position.curve
        measures = self.recipe.objective(len(pictures.classes)).measures
        best = max(curve, key=lambda line: line[measures[0]])
        return {
            "stage": self.recipe.name,
            "recipe": asdict(self.recipe),
            "begun_with": self.begun_with,
            "data": {
                "digest": self.runs.digest,
                "labelled": self.runs.labelled_digest,
                "classes": len(pictures.classes),
                "train": len(pictures.train),
                "validation": len(pictures.validation),
                "notes": list(pictures.notes),
                "unreadable": position.unreadable,
            },
            "accuracy": accuracy_of(curve[-1], measures),
            "best": accuracy_of(best, measures),
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


def _write_record(path: Path, weights: dict[str, str] | None, facts: dict[str, Any]) -> None:
    """Beside the weights at `path`, or where they would be."""
    values = {"schema_version": RECORD_SCHEMA_VERSION, "weights": weights, **facts}
    with new_file(path.with_suffix(".json")) as file:
        file.write((json.dumps(values, indent=1) + "\n").encode())


def accuracy_of(line: dict[str, Any], measures: Sequence[str]) -> dict[str, Any]:
    """Of the centre crops of the validation pictures after an epoch."""
    return {name: line[name] for name in (*measures, "epoch")}


def _digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors, whatever file they lie in."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(f"{name}\n".encode())
        total.update(weights[name].contiguous().numpy())
    return total.hexdigest()


def _as_read(values: dict[str, Any]) -> Any:
    """The values as JSON gives them back: tuples are lists."""
    return json.loads(json.dumps(values))


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: cannot be read ({error}). Remove it if a run made it: it is made again."
        ) from error
    return values if isinstance(values, dict) else {}
