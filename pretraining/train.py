"""One stage of pretraining, from its first update to its last (paper, sect. 3.1).

`train` is the stage, `update` one update, `evaluate` the measures on the centre crop. With several
processes each works on its part of every batch; their gradients are added up, so that all make the
update that one process would make with the whole batch.

Shapes: n pictures of a pass, S side of a crop, K outputs, B boxes of a picture.
"""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vggfeat import devices
from vggfeat.amx import right_convolutions
from vggfeat.distributed import World
from vggfeat.errors import PictureError, TrainingError
from vggfeat.layouts.imagenet import Pictures
from vggfeat.pretraining import communication
from vggfeat.pretraining.augmentation import Colours
from vggfeat.pretraining.checkpoints import (
    Position,
    remove_unfinished,
    resume,
    save_checkpoint,
)
from vggfeat.pretraining.communication import Communication
from vggfeat.pretraining.data_loader import Loader, Pass
from vggfeat.pretraining.dropout import draw_for, replace_dropout
from vggfeat.pretraining.initialisation import Start, initial_net
from vggfeat.pretraining.interruption import Interrupted, StopRequest
from vggfeat.pretraining.monitor import Monitor, Status, Update
from vggfeat.pretraining.objective import NO_LABEL, Objective
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.schedule import Schedule
from vggfeat.vgg import VGG

log = logging.getLogger(__name__)

LEARNS_BELOW = 0.98  # of ln(classes): a mean loss below it has left the plateau of equal scores
NOTHING_SEEN = (
    "not one training picture of an epoch could be used: none could be read, or no crop showed"
    " enough of its object. --check-data names pictures that cannot be read; smaller scales show"
    " more."
)
CHECKPOINT_SHARE = 0.02  # of the time may go into checkpoints
CHECKPOINT_EVERY_S = 1.0  # at most so often
VALUES_PER_PIXEL = 900  # that a pass of the full-width 19-layer net keeps for the way back
CPU_PASS_BYTES = 2**32
CUDA_PASS_SHARE = 0.7  # of the free memory


class PeerFailed(TrainingError):
    """Another process cannot go on, and says why."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """How a stage is carried out. Rounding and skipped pictures aside, all learn the same."""

    device: str = "auto"
    precision: str = "auto"
    pass_size: int | None = None  # pictures that go through the net at once; None: what fits
    on_error: str = "stop"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        devices.resolved(self.device)  # refuses one that is not there

    @property
    def device_type(self) -> str:
        return devices.resolved(self.device)

    @property
    def resolved_precision(self) -> str:
        """ "bf16" or "fp32"; auto is bf16 wherever the hardware multiplies it."""
        return devices.resolved_precision(self.precision, self.device_type)

    def pass_size_for(self, recipe: Recipe, world: World) -> int:
        """Pictures in a pass of this recipe."""
        share = -(-recipe.batch_size // world.size)
        if self.pass_size is not None:
            return min(self.pass_size, share)
        room = CPU_PASS_BYTES
        if self.device_type == "cuda":
            # What torch keeps of an earlier stage counts as free.
            kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
            room = int((torch.cuda.mem_get_info()[0] + kept) * CUDA_PASS_SHARE)
        value_bytes = 2 if self.resolved_precision == "bf16" else 4
        picture = recipe.input_size**2 * VALUES_PER_PIXEL * recipe.width * value_bytes
        return max(1, min(share, int(room / picture)))


@dataclass(frozen=True)
class Trained:
    """A stage that has ended."""

    net: VGG
    position: Position
    problem: str | None  # what to tell of a net that has not learned
    communication: Communication | None  # of several processes

    @property
    def ended(self) -> str:
        """Why."""
        stalled = self.position.schedule.over
        why = "stalled after the last drop" if stalled else "after all epochs"
        return f"{why}, stuck at ln(classes)" if self.problem else why


def train(
    recipe: Recipe,
    pictures: Pictures,
    colours: Colours,
    folder: Path,
    *,
    start: Start | None = None,
    begun_with: Mapping[str, Any],
    world: World,
    running: Running,
    report: Callable[[Status], None] = lambda status: None,
    on_best: Callable[[VGG, Position], None] = lambda net, position: None,
) -> Trained:
    """Train a stage in `folder`, going on from its last checkpoint if there is one.

    begun_with is what a run that goes on must have in common with the one that began. on_best is
    called in the leading process after each epoch with a better top-1 than all before (or what else
    decides about the rate). A net that
    stays at ln(classes) for recipe.stuck_after updates ends the stage with a `problem`.

    Raises TrainingError if the run cannot go on. With everything saved it raises Interrupted after
    Ctrl-C or SIGTERM, PictureError at a picture that cannot be read, PeerFailed if another process
    has one.
    """
    gpu = running.device_type == "cuda"
    device = torch.device("cuda", world.local_rank) if gpu else torch.device("cpu")
    objective = recipe.objective(len(pictures.classes))
    net = initial_net(recipe, objective.num_outputs, start)
    replace_dropout(net, recipe.dropout)
    net = net.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(
        [parameter for parameter in net.parameters() if parameter.requires_grad],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    checkpoints = folder / "checkpoints"
    if world.leads:
        remove_unfinished(checkpoints)
    position = resume(checkpoints, net, optimiser, begun_with) or Position(
        schedule=Schedule(
            rate=recipe.learning_rate, drops_left=recipe.drops, patience=recipe.patience
        )
    )
    if world.total([position.step], device)[0] != world.size * position.step:
        raise TrainingError(
            f"{folder}: not all processes see the same checkpoints. --out must name a folder that"
            " all machines share."
        )
    if position.step and world.leads:
        log.info(
            "%s: going on from update %d, in epoch %d", folder, position.step, position.epoch + 1
        )
    model = DistributedDataParallel(net) if world.size > 1 else net
    loader = Loader(
        pictures, recipe, colours, world, running.pass_size_for(recipe, world), running.on_error,
        unreadable=set(position.unreadable),
    )  # fmt: skip
    to_input = InputMaker(colours, device, running.resolved_precision == "bf16")
    exchange = None
    if isinstance(model, DistributedDataParallel):
        exchange = _measure_exchange(model, loader, to_input)
    monitor = Monitor(
        loader, position, folder, tensorboard=running.tensorboard, report=report,
        about={
            "stage": recipe.name, "processes": world.size, "device": running.device_type,
            "precision": running.resolved_precision, "pass_size": loader.pass_size,
            "communication": exchange and asdict(exchange),
        },
    )  # fmt: skip
    plateau = LEARNS_BELOW * objective.plateau
    next_checkpoint = time.monotonic() + CHECKPOINT_EVERY_S

    def save() -> None:
        nonlocal next_checkpoint
        began = time.monotonic()
        position.seconds = monitor.seconds
        if world.leads:
            save_checkpoint(checkpoints, net, optimiser, position, begun_with)
        took = time.monotonic() - began
        next_checkpoint = began + max(took / CHECKPOINT_SHARE, CHECKPOINT_EVERY_S)

    def goes_on() -> bool:
        # Asked between epochs: a run that goes on in the middle of one ends it first.
        tried = position.batch == 0 and position.step >= recipe.stuck_after
        stuck = tried and not position.learns
        return position.epoch < recipe.epochs and not position.schedule.over and not stuck

    with StopRequest(patient=world.size > 1) as stop:
        try:
            while goes_on():
                for group in optimiser.param_groups:
                    group["lr"] = position.schedule.rate
                for passes in loader.training(position.epoch, position.batch):
                    done = update(
                        model, optimiser, passes, to_input, objective,
                        seed=recipe.seed, step=position.step, world=world, stop=stop,
                    )  # fmt: skip
                    _check_finite(done, position, recipe)
                    position.add(done.seen, done.loss, done.correct)
                    recent_loss = monitor.after_update(done)
                    position.learns |= recent_loss is not None and recent_loss < plateau
                    if done.stop:
                        raise Interrupted(stop.signal_number or signal.SIGTERM)
                    if time.monotonic() > next_checkpoint:
                        save()
                if not position.seen:
                    raise TrainingError(f"{recipe.name}: {NOTHING_SEEN}")
                measures = evaluate(net, loader.validation(), to_input, objective, world, stop)
                loader.unreadable = world.union(loader.unreadable)
                position.unreadable = sorted(loader.unreadable)
                position.learns |= position.loss < plateau * position.seen
                decisive = measures[objective.measures[0]]
                improved = decisive > position.schedule.best
                line = monitor.end_epoch(measures)
                # A net that has not begun to learn has not stalled.
                schedule = position.schedule
                position.next_epoch(schedule.after(decisive) if position.learns else schedule, line)
                if improved and world.leads:
                    on_best(net, position)
            save()
            if world.total([stop.signal_number > 0], device)[0]:
                raise Interrupted(stop.signal_number or signal.SIGTERM)
        except (Interrupted, PictureError, PeerFailed):
            save()  # what is done up to the last whole update
            world.wait()
            raise
        finally:
            monitor.close()
    problem = None
    if not position.learns:
        problem = _stuck(recipe, position, len(pictures.classes))
        if position.step < recipe.stuck_after:
            log.warning("%s", problem)  # it may only have been too short
            problem = None
    return Trained(net, position, problem, exchange)


def update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    passes: list[Pass],
    to_input: "InputMaker",
    objective: Objective,
    *,
    seed: int,
    step: int,
    world: World,
    stop: StopRequest,
) -> Update:
    """One step along the gradient of the mean loss over all pictures of the batch.

    Each picture's loss is divided by the size of the whole batch, so that passes and processes with
    unequal numbers of pictures add up to the mean. If a process holds a picture that stops the run,
    none makes the step: there PictureError is raised, elsewhere PeerFailed.
    """
    net = model.module if isinstance(model, DistributedDataParallel) else model
    optimiser.zero_grad()
    sums = torch.zeros(3, dtype=torch.float64, device=to_input.device)
    for number, one in enumerate(passes, start=1):
        if world.size == 1:
            stop.obey()  # between passes, as one process can leave an update undone
        draw_for(net, seed, step, one.rows, one.batch_size)
        images, labels, boxes = to_input(one)
        # Gradients travel during the last pass, while it goes back through the net.
        alone = world.size > 1 and number < len(passes)
        with model.no_sync() if alone else nullcontext():
            with to_input.autocast():
                outputs = model(images)  # [n, K]
            loss = objective.loss(outputs, labels, boxes)
            # Of several processes not the sum of their gradients comes back but the mean.
            with to_input.right_convolutions():
                (loss * (world.size / one.batch_size)).backward()
        with torch.no_grad():
            correct = objective.hits(outputs, labels, boxes)[:, 0].sum()
            sums += torch.stack([(labels != NO_LABEL).sum(), loss, correct]).double()
    failure = next((one.failure for one in passes if one.failure), None)
    seen, loss_sum, correct_sum, stops, failures = world.total(
        [*sums.tolist(), stop.signal_number > 0, failure is not None], to_input.device
    )
    if failures:
        raise failure or PeerFailed
    if seen:
        if seen < passes[0].batch_size:  # some pictures could not be read, or show no object
            for parameter in net.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(passes[0].batch_size / seen)
        optimiser.step()
    return Update(seen, loss_sum, correct_sum, stop=stops > 0)


@torch.no_grad()
def evaluate(
    net: VGG,
    passes: Iterator[Pass],
    to_input: "InputMaker",
    objective: Objective,
    world: World,
    stop: StopRequest,
) -> dict[str, float]:
    """The task's measures on the centre crops, over the passes of all processes.

    Raises Interrupted in all of them if one was asked to stop, PictureError or PeerFailed at a
    picture that stops the run.
    """
    net.eval()
    sums = torch.zeros(len(objective.measures) + 1, dtype=torch.float64, device=to_input.device)
    failure = None
    for one in passes:
        failure = one.failure
        if stop.signal_number or failure:
            break
        images, labels, boxes = to_input(one)
        with to_input.autocast():
            outputs = net(images)
        hits = objective.hits(outputs, labels, boxes).double().sum(dim=0)
        sums += torch.cat([hits, (labels != NO_LABEL).sum()[None]])
    net.train()
    *hits, seen, stops, failures = world.total(
        [*sums.tolist(), stop.signal_number > 0, failure is not None], to_input.device
    )
    if failures:
        raise failure or PeerFailed
    if stops:
        raise Interrupted(stop.signal_number or signal.SIGTERM)
    if not seen:
        raise TrainingError("no validation picture could be read. --check-data names them all.")
    return {name: total / seen for name, total in zip(objective.measures, hits, strict=True)}


class InputMaker:
    """A pass as the net takes it: pixels minus the mean colour plus the picture's shift."""

    def __init__(self, colours: Colours, device: torch.device, bf16: bool):
        self.device, self.bf16 = device, bf16
        self.mean = torch.tensor(colours.mean, device=device).view(1, 3, 1, 1)

    def __call__(self, one: Pass) -> tuple[Tensor, Tensor, Tensor]:
        """Images [n, 3, S, S] float32, channels last; labels [n]; boxes [n, B, 4]."""
        pixels, shifts, labels, boxes = (
            torch.from_numpy(array) for array in (one.pixels, one.shifts, one.labels, one.boxes)
        )
        if self.device.type == "cuda":
            pixels, shifts, labels = (
                t.pin_memory().to(self.device, non_blocking=True) for t in (pixels, shifts, labels)
            )
        images = pixels.permute(0, 3, 1, 2).float() - self.mean + shifts[:, :, None, None]
        return images, labels, boxes

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """A `with` block for what goes forward."""
        with (
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
            self.right_convolutions(),
        ):
            yield

    def right_convolutions(self) -> AbstractContextManager:
        """A `with` block for the way back, which is not autocast's."""
        return right_convolutions(self.device.type, bf16=self.bf16)


def _measure_exchange(
    model: DistributedDataParallel, loader: Loader, to_input: InputMaker
) -> Communication:
    """With pictures of noise; the gradients are thrown away."""
    side, size = loader.recipe.input_size, loader.pass_size
    shape = (size, 3, side, side)
    images = torch.randn(shape, device=to_input.device).to(memory_format=torch.channels_last)

    def backward() -> None:
        draw_for(model.module, 0, 0, slice(0, size), size)
        with to_input.autocast():
            scores = model(images)
        scores.float().logsumexp(dim=1).sum().backward()

    measured = communication.measure(model, backward, loader.world, to_input.device)
    model.zero_grad()
    if loader.world.leads:
        log.info("%s", measured.told(loader.world.size, size))
    return measured


def _check_finite(done: Update, position: Position, recipe: Recipe) -> None:
    if not math.isfinite(done.loss):
        raise TrainingError(
            f"{recipe.name}: the loss is not finite at update {position.step + 1}, with"
            f" learning_rate {position.schedule.rate:g} and init_std {recipe.init_std:g}. Try a"
            " smaller one of them, or --set init=glorot."
        )


def _stuck(recipe: Recipe, position: Position, num_classes: int) -> str:
    loss = position.curve[-1]["loss"]
    return (
        f"{recipe.name}: after {position.step} updates the loss is {loss:.3f}, and ln(classes) is"
        f" {math.log(num_classes):.3f}: as if all classes had the same score. Start from a"
        " shallower net as the recipes do, or try --set init=glorot, another init_std (it is"
        f" {recipe.init_std:g}) or another learning_rate (it was {recipe.learning_rate:g}). If it"
        f" only needs longer: --set stuck_after={2 * position.step}."
    )
