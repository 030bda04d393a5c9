"""One stage of pretraining, from its first update to its last (paper, sect. 3.1)."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vggfeat.errors import PictureError, TrainingError
from vggfeat.layouts.imagenet import Pictures
from vggfeat.pretraining.checkpoints import remove_unfinished, resume, save_checkpoint
from vggfeat.pretraining.colours import Colours
from vggfeat.pretraining.communication import Communication
from vggfeat.pretraining.data_loader import Loader, MicroBatch
from vggfeat.pretraining.initialisation import Start
from vggfeat.pretraining.interruption import Interrupted
from vggfeat.pretraining.monitor import Monitor, Status
from vggfeat.pretraining.position import Position
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.pretraining.schedule import Schedule
from vggfeat.pretraining.stuck import LEARNS_BELOW, is_stuck, stuck_message
from vggfeat.pretraining.trainer import PeerFailed, QueuedUpdate, build_trainer
from vggfeat.processes.world import World
from vggfeat.vgg import VGG

log = logging.getLogger(__name__)

CHECKPOINT_SHARE = 0.02  # of the time may go into checkpoints
CHECKPOINT_EVERY_S = 1.0  # at most so often
NOTHING_SEEN = (
    "not one training picture of an epoch could be used: none could be read, or no crop showed"
    " enough of its object. --check-data names pictures that cannot be read; smaller scales show"
    " more."
)


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage to train: its recipe, pictures, folder and runtime, and its callbacks."""

    recipe: Recipe
    pictures: Pictures
    colours: Colours
    folder: Path  # of log and checkpoints
    begun_with: Mapping[str, Any]  # what a resumed run must have in common with the one that began
    runtime: RuntimeOptions
    world: World = World()
    start: Start | None = None  # the net to start from
    report: Callable[[Status], None] = lambda status: None  # called after each update
    # Called in the leading process after each epoch whose decisive metric, top-1 or that of the
    # recipe's objective, is better than all before.
    on_best: Callable[[VGG, Position], None] = lambda net, position: None


@dataclass(frozen=True)
class TrainedNet:
    """The net of a stage that has ended."""

    net: VGG
    position: Position
    problem: str | None  # the message for a net that has not learned
    communication: Communication | None  # of several processes

    @property
    def ended(self) -> str:
        """The reason why training ended, in the words of the record."""
        stalled = self.position.schedule.over
        reason = "stalled after the last drop" if stalled else "after all epochs"
        return f"{reason}, stuck at ln(classes)" if self.problem else reason


def train(spec: StageSpec) -> TrainedNet:
    """Train a stage in its folder, from its last checkpoint if there is one.

    A net whose loss stays at ln(classes) for recipe.stuck_after updates ends with a `problem`.
    Raises TrainingError if the run cannot go on. With everything saved it raises Interrupted after
    Ctrl-C or SIGTERM, PictureError at a picture that cannot be read, PeerFailed if another process
    has one.
    """
    run = TrainingRun(spec)
    with run.saved_when_stopped():
        while run.goes_on():
            for batch in run.rest_of_epoch():
                run.update(batch)
                run.checkpoint_if_due()
            run.end_epoch(run.validate())
        run.finish()
    return run.trained_net()


class TrainingRun:
    """A stage in training: its net, where it stands, its batches, its log and checkpoints."""

    def __init__(self, spec: StageSpec):
        self.spec, self.recipe, self.world = spec, spec.recipe, spec.world
        self.trainer = build_trainer(
            spec.recipe, len(spec.pictures.classes), spec.colours, spec.runtime,
            world=spec.world, start=spec.start,
        )  # fmt: skip
        self.plateau = LEARNS_BELOW * self.trainer.objective.plateau
        self.checkpoints = spec.folder / "checkpoints"
        self.position = self._resumed() or _first_position(spec.recipe)
        self._check_same_position()
        self.loader = Loader(
            spec.pictures, spec.recipe, spec.colours, spec.world,
            spec.runtime.micro_batch_size(spec.recipe, spec.world), spec.runtime.on_error,
            unreadable=set(self.position.unreadable),
        )  # fmt: skip
        size = self.loader.micro_batch_size
        self.communication = self.trainer.measure_communication(spec.recipe, size)
        self.monitor = self._monitor()
        self.next_checkpoint = time.monotonic() + CHECKPOINT_EVERY_S
        self.queued: deque[QueuedUpdate] = deque()  # on the device, not counted yet

    # The steps of training

    def goes_on(self) -> bool:
        """Whether another epoch is due; a run resumed in the middle of one always ends it."""
        position = self.position
        if position.epoch >= self.recipe.epochs or position.schedule.over:
            return False
        return position.batch > 0 or not is_stuck(self.recipe, position)

    def rest_of_epoch(self) -> Iterator[list[MicroBatch]]:
        """The batches of this epoch that are still to do, at the epoch's learning rate."""
        for group in self.trainer.optimiser.param_groups:
            group["lr"] = self.position.schedule.rate
        yield from self.loader.training(self.position.epoch, self.position.batch)

    def update(self, batch: list[MicroBatch]) -> None:
        """Queue one step of SGD, and count those that are done; on a GPU all but this one.

        Raises TrainingError at a loss that is not finite.
        """
        update = self.trainer.update(batch, self.position.step + len(self.queued))
        self.queued.append(update)
        self.count_updates(0 if update.stop else self.trainer.num_queued)
        if update.stop:
            raise self.trainer.stop.interruption()

    def count_updates(self, num_queued: int = 0) -> None:
        """Count the updates but for the last num_queued: their sums, the log, the position."""
        while len(self.queued) > num_queued:
            sums = self.queued.popleft().read()
            if not math.isfinite(sums.loss):
                raise TrainingError(self._explosion())
            self.position.add(sums.seen, sums.loss, sums.correct)
            recent_loss = self.monitor.after_update(sums)
            self.position.learns |= recent_loss is not None and recent_loss < self.plateau

    def validate(self) -> dict[str, float]:
        """The metrics on the centre crops of the validation pictures, after a whole epoch."""
        self.count_updates()
        if not self.position.seen:
            raise TrainingError(f"{self.recipe.name}: {NOTHING_SEEN}")
        metrics = self.trainer.validate(self.loader.validation())
        self.loader.unreadable = self.world.gather_set(self.loader.unreadable)
        self.position.unreadable = sorted(self.loader.unreadable)
        return metrics

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Log the epoch and move the learning rate on; a new best net is handed to on_best."""
        position, schedule = self.position, self.position.schedule
        position.learns |= position.loss < self.plateau * position.seen
        decisive = metrics[self.trainer.objective.metrics[0]]
        line = self.monitor.end_epoch(metrics)
        # A net that has not begun to learn has not stalled.
        position.end_epoch(schedule.after(decisive) if position.learns else schedule, line)
        if decisive > schedule.best and self.world.leads:
            self.spec.on_best(self.trainer.net, position)

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint as often as takes CHECKPOINT_SHARE of the time."""
        if time.monotonic() > self.next_checkpoint:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write a checkpoint; only the leading process does."""
        self.count_updates()
        began = time.monotonic()
        self.position.seconds = self.monitor.seconds
        if self.world.leads:
            save_checkpoint(
                self.checkpoints, self.trainer.net, self.trainer.optimiser, self.position,
                self.spec.begun_with,
            )  # fmt: skip
        took = time.monotonic() - began
        self.next_checkpoint = began + max(took / CHECKPOINT_SHARE, CHECKPOINT_EVERY_S)

    def finish(self) -> None:
        """Write the last checkpoint; raise Interrupted if any process was asked to stop."""
        self.checkpoint()
        stop = self.trainer.stop
        if self.world.all_reduce([stop.signal_number > 0], self.trainer.device)[0]:
            raise stop.interruption()

    @contextmanager
    def saved_when_stopped(self) -> Iterator[None]:
        """A `with` block that saves whole updates before Interrupted and the like leave it."""
        with self.trainer.stop:
            try:
                yield
            except (Interrupted, PictureError, PeerFailed):
                self.checkpoint()
                self.world.barrier()
                raise
            finally:
                self.monitor.close()

    def trained_net(self) -> TrainedNet:
        """The result, with a problem if the loss never left ln(classes)."""
        problem = None
        if not self.position.learns:
            problem = stuck_message(self.recipe, self.position, len(self.spec.pictures.classes))
            if not is_stuck(self.recipe, self.position):
                if self.world.leads:
                    log.warning("%s", problem)  # it may only have been too short
                problem = None
        return TrainedNet(self.trainer.net, self.position, problem, self.communication)

    # How a run begins

    def _resumed(self) -> Position | None:
        """The position of the last checkpoint, put into net and optimiser; None without one."""
        if self.world.leads:
            remove_unfinished(self.checkpoints)
        return resume(
            self.checkpoints, self.trainer.net, self.trainer.optimiser, self.spec.begun_with
        )

    def _check_same_position(self) -> None:
        """Raise TrainingError unless all processes stand at the same update."""
        step, folder = self.position.step, self.spec.folder
        if self.world.all_reduce([step], self.trainer.device)[0] != self.world.size * step:
            raise TrainingError(
                f"{folder}: not all processes see the same checkpoints. --out must name a folder"
                " that all machines share."
            )
        if step and self.world.leads:
            log.info(
                "%s: going on from update %d, in epoch %d", folder, step, self.position.epoch + 1
            )

    def _monitor(self) -> Monitor:
        runtime = self.spec.runtime
        return Monitor(
            self.loader, self.position, self.spec.folder,
            tensorboard=runtime.tensorboard, report=self.spec.report,
            about={
                "stage": self.recipe.name, "classes": len(self.spec.pictures.classes),
                "processes": self.world.size, "device": runtime.device_type,
                "precision": runtime.resolved_precision,
                "pass_size": self.loader.micro_batch_size,
                "communication": self.communication and asdict(self.communication),
            },
        )  # fmt: skip

    # Advice

    def _explosion(self) -> str:
        return (
            f"{self.recipe.name}: the loss is not finite at update {self.position.step + 1}, with"
            f" learning_rate {self.position.schedule.rate:g} and init_std"
            f" {self.recipe.init_std:g}. Try a smaller one of them, or --set init=glorot."
        )


def _first_position(recipe: Recipe) -> Position:
    return Position(
        schedule=Schedule(
            rate=recipe.learning_rate, drops_left=recipe.drops, patience=recipe.patience
        )
    )
