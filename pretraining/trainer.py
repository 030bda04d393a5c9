"""A net in training: one update of its weights, and its metrics on the validation pictures.

A device has an update queued when the call returns, and how many pictures it has is known without
it; its loss is read once it is there. Only several processes wait in each update, for each other.

With several processes each works on its part of every batch; their gradients are added up, so that
all make the update that one process would make with the whole batch.

Shapes: n pictures of a micro-batch, S side of a crop, K outputs, B boxes of a picture.
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vggfeat.errors import TrainingError
from vggfeat.features.device import DeviceTimer, device_for
from vggfeat.pretraining import communication
from vggfeat.pretraining.colours import Colours
from vggfeat.pretraining.communication import Communication
from vggfeat.pretraining.data_loader import MicroBatch
from vggfeat.pretraining.dropout import replace_dropout, seed_dropout
from vggfeat.pretraining.initialisation import Start, initial_net
from vggfeat.pretraining.interruption import StopRequest
from vggfeat.pretraining.objective import NO_LABEL, Objective
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.runtime import Precision, RuntimeOptions
from vggfeat.processes.world import World
from vggfeat.vgg import VGG

log = logging.getLogger(__name__)


class PeerFailed(TrainingError):
    """Another process cannot go on, and reports the reason itself."""


@dataclass(frozen=True)
class UpdateSums:
    """Sums over all pictures of one update, over all processes."""

    seen: float  # pictures that were trained on
    loss: float
    correct: float


@dataclass(frozen=True)
class QueuedUpdate:
    """An update that is queued on the device."""

    seen: float  # pictures, over all processes
    sums: Tensor  # loss and correct ones [2] on the CPU, valid once the timer has passed
    timer: DeviceTimer
    stop: bool  # whether some process was asked to stop

    def read(self) -> UpdateSums:
        """Wait for the update's sums."""
        self.timer.wait()
        return UpdateSums(self.seen, *self.sums.tolist())


@dataclass
class Trainer:
    """A net, its objective and its optimiser, in one of the processes that train together."""

    net: VGG
    objective: Objective
    optimiser: torch.optim.SGD
    colours: Colours
    precision: Precision
    device: torch.device
    seed: int = 0  # of dropout
    world: World = World()
    model: nn.Module = field(init=False)  # the net, adding up gradients over processes

    def __post_init__(self) -> None:
        self.stop = StopRequest(patient=self.world.size > 1)
        self.transfers = device_for(str(self.device) if self.device.index else self.device.type)
        self.mean = torch.tensor(self.colours.mean, device=self.device).view(1, 3, 1, 1)
        self.model = DistributedDataParallel(self.net) if self.world.size > 1 else self.net

    @property
    def num_queued(self) -> int:
        """How many updates stay queued while the next one's pictures are awaited."""
        return self.transfers.num_in_flight if self.world.size == 1 else 0

    def update(self, batch: Sequence[MicroBatch], step: int) -> QueuedUpdate:
        """Queue update number `step`: one step along the gradient of the batch's mean loss.

        Each picture's loss is divided by the size of the whole batch, so that micro-batches and
        processes with unequal numbers of pictures add up to the mean. If a process holds a picture
        that stops the run, none makes the step: that one raises PictureError, the others
        PeerFailed. Raises Interrupted between micro-batches of a single process.
        """
        self.optimiser.zero_grad()
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for number, micro_batch in enumerate(batch, start=1):
            if self.world.size == 1:
                self.stop.obey()  # one process alone can leave an update undone
            # Gradients travel during the last backward pass only.
            waits = self.world.size > 1 and number < len(batch)
            with self.model.no_sync() if waits else nullcontext():
                sums += self._accumulate_gradients(micro_batch, step)
        seen, sums, stop = self._sum_up(_count(batch), sums, batch)
        if seen:
            self._average_over(seen, batch[0].batch_size)
            self.optimiser.step()
        return QueuedUpdate(seen, sums, self.transfers.timer(), stop)

    @torch.no_grad()
    def validate(self, micro_batches: Iterable[MicroBatch]) -> dict[str, float]:
        """The objective's metrics, shares of pictures, over the micro-batches of all processes.

        Raises Interrupted in all of them if one was asked to stop, PictureError or PeerFailed at a
        picture that stops the run, TrainingError if there is no picture.
        """
        self.net.eval()
        sums = torch.zeros(len(self.objective.metrics), dtype=torch.float64, device=self.device)
        count, last = 0, []
        for micro_batch in micro_batches:
            last = [micro_batch]
            if self.stop.signal_number or micro_batch.failure:
                break
            images, labels, boxes = self._to_input(micro_batch)
            with self.precision.forward():
                outputs = self.net(images)
            sums += self.objective.hits(outputs, labels, boxes).double().sum(dim=0)
            count += _count(last)
        self.net.train()
        seen, hits, stop = self._sum_up(count, sums, last)
        if stop:
            raise self.stop.interruption()
        if not seen:
            raise TrainingError("no validation picture could be read. --check-data names them all.")
        self.transfers.timer().wait()
        metrics = self.objective.metrics
        return {name: total / seen for name, total in zip(metrics, hits.tolist(), strict=True)}

    def measure_communication(self, recipe: Recipe, size: int) -> Communication | None:
        """Time the exchange of gradients with `size` pictures of noise; None for one process."""
        if not isinstance(self.model, DistributedDataParallel):
            return None
        shape = (size, 3, recipe.input_size, recipe.input_size)
        images = torch.randn(shape, device=self.device).to(memory_format=torch.channels_last)

        def backward() -> None:
            seed_dropout(self.net, 0, 0, slice(0, size), size)
            with self.precision.forward():
                scores = self.model(images)
            scores.float().logsumexp(dim=1).sum().backward()

        measured = communication.measure(self.model, backward, self.world, self.device)
        self.model.zero_grad()
        if self.world.leads:
            log.info("%s", measured.summary(self.world.size, size))
        return measured

    def _accumulate_gradients(self, micro_batch: MicroBatch, step: int) -> Tensor:
        """Add a micro-batch's gradients; loss and correct ones, sums [2]."""
        seed_dropout(self.net, self.seed, step, micro_batch.rows, micro_batch.batch_size)
        images, labels, boxes = self._to_input(micro_batch)
        with self.precision.forward():
            outputs = self.model(images)  # [n, K]
        loss = self.objective.loss(outputs, labels, boxes)
        # Of several processes not the sum of their gradients comes back but the mean.
        with self.precision.backward():
            (loss * (self.world.size / micro_batch.batch_size)).backward()
        with torch.no_grad():
            correct = self.objective.hits(outputs, labels, boxes)[:, 0].sum()
            return torch.stack([loss, correct]).double()

    def _average_over(self, seen: float, batch_size: int) -> None:
        """Make gradients those of the mean over the pictures seen, fewer than the batch has.

        Some could not be read, or did not show their object.
        """
        if seen < batch_size:
            for parameter in self.net.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(batch_size / seen)

    def _sum_up(
        self, count: int, sums: Tensor, batch: Sequence[MicroBatch]
    ) -> tuple[float, Tensor, bool]:
        """Pictures and sums over all processes, and whether one of them was asked to stop.

        Those of one process are copied to the CPU, and are there once the device has come so far.
        Raises PictureError or PeerFailed at a picture that stops the run.
        """
        failure = next((each.failure for each in batch if each.failure), None)
        stop = self.stop.signal_number > 0
        if self.world.size == 1:
            if failure:
                raise failure
            return float(count), self.transfers.download(sums), stop
        totals = [count, *sums.tolist(), stop, failure is not None]
        seen, *totals, stops, failures = self.world.all_reduce(totals, self.device)
        if failures:
            raise failure or PeerFailed
        return seen, torch.tensor(totals, dtype=torch.float64), stops > 0

    def _to_input(self, micro_batch: MicroBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Images [n, 3, S, S] float32, channels last; labels [n]; boxes [n, B, 4].

        Images are pixels minus the mean colour plus the picture's shift.
        """
        pixels, shifts, labels, boxes = (
            self.transfers.upload(self.transfers.staged(values))
            for values in (
                micro_batch.pixels, micro_batch.shifts, micro_batch.labels, micro_batch.boxes
            )
        )  # fmt: skip
        images = pixels.permute(0, 3, 1, 2).float() - self.mean + shifts[:, :, None, None]
        return images, labels, boxes


def _count(batch: Sequence[MicroBatch]) -> int:
    """How many pictures of these micro-batches are learned from, or counted."""
    return sum(int((micro_batch.labels != NO_LABEL).sum()) for micro_batch in batch)


def build_trainer(
    recipe: Recipe,
    num_classes: int,
    colours: Colours,
    runtime: RuntimeOptions,
    *,
    world: World = World(),  # noqa: B008
    start: Start | None = None,
) -> Trainer:
    """A recipe's net as its training begins. Raises WeightsError if `start` does not fit."""
    objective, device = recipe.objective(num_classes), runtime.torch_device(world)
    net = initial_net(recipe, objective.num_outputs, start)
    replace_dropout(net, recipe.dropout)
    net = net.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(
        [parameter for parameter in net.parameters() if parameter.requires_grad],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    return Trainer(
        net=net,
        objective=objective,
        optimiser=optimiser,
        colours=colours,
        precision=Precision(device.type, runtime.resolved_precision == "bf16"),
        device=device,
        seed=recipe.seed,
        world=world,
    )
