"""`vggfeat pretrain`: trains the stages of a chain, one after the other."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vggfeat.errors import OptionError, TrainingError
from vggfeat.layouts.boxes import with_boxes
from vggfeat.layouts.imagenet import Pictures, open_pictures
from vggfeat.plurals import counted
from vggfeat.pretraining.box_recipes import BoxRecipe
from vggfeat.pretraining.colours import Colours, compute_colours
from vggfeat.pretraining.export import Exporter, accuracy_of, digest_of, write_record
from vggfeat.pretraining.initialisation import Start
from vggfeat.pretraining.monitor import Status
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.recipes import STAGES
from vggfeat.pretraining.runs_folder import (
    COLOURS,
    check_start,
    read_json,
    trained_before,
    weights_path,
)
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.pretraining.train import StageSpec, train
from vggfeat.processes.world import World, process_group
from vggfeat.storage.checksums import sealed
from vggfeat.storage.files import new_file, sha256_of
from vggfeat.storage.locks import exclusive
from vggfeat.weights import checkpoint
from vggfeat.weights.checkpoint import read_card

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PretrainingJob:
    """The stages to train, in their order, and the pictures they are trained on."""

    recipes: Sequence[Recipe]
    data: Path
    out: Path  # the folder of runs
    runtime: RuntimeOptions
    colours: Path | None = None  # a file to use, rather than the training pictures' own colours
    command: str = ""

    def pictures(self) -> Pictures:
        """The pictures to train and validate on."""
        return self.usable(open_pictures(self.data))

    def usable(self, labelled: Pictures) -> Pictures:
        """Those of a folder's pictures that can be trained on: regressors need boxes."""
        if any(isinstance(recipe, BoxRecipe) for recipe in self.recipes):
            return with_boxes(labelled)
        return labelled


@dataclass(frozen=True)
class FinishedStage:
    """A stage whose weights are there."""

    name: str
    weights: Path
    accuracy: dict[str, Any]  # the objective's metrics, and the epoch
    skipped: bool  # whether the weights were there before


def pretrain(
    job: PretrainingJob, report: Callable[[Status], None] = lambda status: None
) -> Iterator[FinishedStage]:
    """Train the job's stages, skipping those whose weights exist.

    Every process of torchrun calls this; the leading one alone writes and yields. Raises
    VggfeatError, or Interrupted with everything saved.
    """
    with process_group(job.runtime.device_type) as world:
        labelled = open_pictures(job.data)
        pictures = job.usable(labelled)
        if world.leads:
            for note in pictures.notes:
                log.info("%s: %s", job.data, note)
            log.info(
                "%s: %s, %d training and %s",
                job.data, counted(len(pictures.classes), "class"), len(pictures.train),
                counted(len(pictures.validation), "validation picture"),
            )  # fmt: skip
        stages = _Stages(job, labelled, pictures, world)
        for recipe in job.recipes:
            try:
                stage = stages.finished(recipe, report)
            except (MemoryError, RuntimeError) as error:
                raise _explained(error, world) from error
            world.barrier()
            if world.leads:
                yield stage


def _explained(error: MemoryError | RuntimeError, world: World) -> Exception:
    """The error to raise for it; a defect in a single process stays as it is."""
    no_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if no_memory or "allocate memory" in str(error):
        return OptionError("not enough memory for a pass. Try a smaller --pass-size.")
    if world.size == 1:
        return error
    # Most often another process has ended.
    return TrainingError(f"process {world.rank}: {str(error).splitlines()[0]}")


class _Stages:
    """The stages of one job, on its pictures, which are all or some of the labelled ones."""

    def __init__(self, job: PretrainingJob, labelled: Pictures, pictures: Pictures, world: World):
        self.job, self.pictures, self.world = job, pictures, world
        try:
            job.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(
                f"{job.out}: cannot be made ({error.strerror}). Choose another --out."
            ) from error
        self.digest = world.broadcast(pictures.digest if world.leads else "")
        self.labelled_digest = self.digest
        if labelled is not pictures:
            self.labelled_digest = world.broadcast(labelled.digest if world.leads else "")
        self.colours = self._colours(labelled)

    def finished(self, recipe: Recipe, report: Callable[[Status], None]) -> FinishedStage:
        """The weights of a recipe, trained unless they are there."""
        path = weights_path(self.job.out, recipe.name)
        # Another command may be making them: its weights are waited for, and taken.
        with exclusive(path) if self.world.leads else nullcontext():
            self.world.barrier()
            if path.exists():
                return self._existing(recipe, path)
            return self._train(recipe, path, report)

    def _train(self, recipe: Recipe, path: Path, report: Callable[[Status], None]) -> FinishedStage:
        start = self._start(recipe)
        spec = StageSpec(
            recipe=recipe,
            pictures=self.pictures,
            colours=self.colours,
            folder=self.job.out / recipe.name,
            begun_with=self._begun_with(recipe, start and digest_of(start[1])),
            runtime=self.job.runtime,
            world=self.world,
            start=start,
            report=report,
        )
        exporter = Exporter(
            spec=spec,
            digest=self.digest,
            labelled_digest=self.labelled_digest,
            command=self.job.command,
        )
        trained = train(replace(spec, on_best=exporter.write_best))
        if self.world.leads:
            exporter.write(path, trained)
        if trained.problem:
            told = f"{recipe.name}: process {self.world.rank}: stuck, as process 0 says."
            raise TrainingError(trained.problem if self.world.leads else told)
        metrics = recipe.objective(len(self.pictures.classes)).metrics
        accuracy = accuracy_of(trained.position.curve[-1], metrics)
        return FinishedStage(recipe.name, path, accuracy, skipped=False)

    def _existing(self, recipe: Recipe, path: Path) -> FinishedStage:
        """A stage trained before; raises TrainingError if it was trained otherwise."""
        start_digest = None
        if recipe.start and weights_path(self.job.out, recipe.start).exists():
            start_digest = digest_of(self._start(recipe)[1])
        begun_with = self._begun_with(recipe, start_digest)
        if start_digest is None:
            del begun_with["start"]  # it is not there any more
        training = trained_before(path, recipe, begun_with)
        if self.world.leads and not path.with_suffix(".json").exists():
            write_record(path, sha256_of(path), training)
        return FinishedStage(recipe.name, path, training["accuracy"], skipped=True)

    def _begun_with(self, recipe: Recipe, start_digest: str | None) -> dict[str, Any]:
        """Everything that decides the weights; the digest is that of those they start from."""
        return {
            "recipe": recipe.decisive(),
            "data": self.digest,
            "colours": self.colours.to_json(),
            "start": start_digest,
        }

    def _start(self, recipe: Recipe) -> Start | None:
        """The net that the recipe starts from."""
        if recipe.start is None:
            return None
        check_start(recipe, self.job.out)
        path = weights_path(self.job.out, recipe.start)
        card = read_card(path)
        if self.world.leads and card and card.mean != self.colours.mean:
            log.warning(
                "%s: was trained with another mean colour than these pictures have; --colours takes"
                " the colours.json of its folder",
                path,
            )
        return STAGES[recipe.start].net, checkpoint.read(path)

    def _colours(self, labelled: Pictures) -> Colours:
        """The colours of the job's file, else of the folder of runs, else computed now.

        Of all labelled pictures: a net that regresses boxes has the input of its start.
        """
        if self.job.colours is not None:
            return Colours.from_json(read_json(self.job.colours), str(self.job.colours))
        path, digest = self.job.out / COLOURS, self.labelled_digest
        if path.exists() and read_json(path).get("data") != digest:
            raise TrainingError(
                f"{path}: is of other pictures than {self.job.data}. Choose another --out; or"
                " remove it if there is nothing in this folder to keep."
            )
        self.world.barrier()
        if self.world.leads and not path.exists():
            log.info("computing the mean colour of the training pictures")
            values = sealed({"data": digest, **compute_colours(labelled).to_json()})
            with new_file(path) as file:
                file.write(json.dumps(values, indent=1).encode())
        self.world.barrier()
        return Colours.from_json(read_json(path), str(path))
