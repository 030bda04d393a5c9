"""One update of training: `Trainer.update` beside the plain loop around torchvision."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torchvision
from torch import nn

from vggfeat import vgg
from vggfeat.benchmarks.speed.limits import TERA, finish, matrix_product, product_name
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Setup,
    SpeedResult,
    cuda_only_row,
    share_row,
    speed_row,
    time_interleaved,
)
from vggfeat.boxes import NO_BOXES
from vggfeat.costs import flops
from vggfeat.pretraining.colours import Colours
from vggfeat.pretraining.data_loader import MicroBatch
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.recipes import STAGES
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.pretraining.trainer import build_trainer

GPU_SHARE = Goal(0.45)
NUM_CLASSES = 1000
RATE = 1e-6  # at which noise does not grow; the seconds of a step do not depend on it
CUDA_UPDATES = 10  # updates on a GPU for each one on a CPU
GREY = Colours(
    mean=(123.68, 116.779, 103.939),
    eigenvalues=(0.0, 0.0, 0.0),
    eigenvectors=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
)
NOTE = "Pictures are in memory: neither side loads any."


@dataclass(frozen=True)
class Case:
    """A net with its batch size, and a peer of the same shape."""

    recipe: Recipe  # its batch_size is for a CPU
    peer: Callable[[], nn.Module]
    cuda_batch: int
    updates: int = 1  # in a run, so that it is long enough to be timed
    cuda_goal: Goal | None = None

    @property
    def name(self) -> str:
        """The net as `--net` names it."""
        return self.recipe.net_specification

    def batch(self, device: str) -> int:
        """How many pictures an update takes."""
        return self.cuda_batch if device == "cuda" else self.recipe.batch_size

    def updates_on(self, device: str) -> int:
        """How many updates a timed run makes."""
        return self.updates * (CUDA_UPDATES if device == "cuda" else 1)

    def pictures(self, device: str) -> int:
        """Pictures that a run trains on."""
        return self.batch(device) * self.updates_on(device)


SMALL = Case(
    replace(
        STAGES["vgg11-256"].recipe(),
        width=0.25,
        input_size=64,
        scales=(73, 73),
        init="glorot",
        batch_size=64,
    ),
    lambda: vgg.build("vgg11", width=0.25, input_size=64),
    cuda_batch=256,
    updates=10,
)
FULL = Case(
    replace(STAGES["vgg16-256"].recipe(), start=None, init="glorot", batch_size=8),
    lambda: torchvision.models.vgg16(init_weights=False),
    cuda_batch=128,
    cuda_goal=GPU_SHARE,
)


def measure(setup: Setup, *, cases: tuple[Case, ...] = (SMALL, FULL)) -> SpeedResult:
    """Pictures a second of updates, and the share of the matrix product's speed."""
    device = setup.device
    runtime = RuntimeOptions(device=device)
    precision = runtime.resolved_precision
    product = matrix_product(precision, device)
    pairs = [(_plain_loop(case, device), _ours(case, runtime)) for case in cases]
    contenders = [contender for pair in pairs for contender in pair]
    timings = time_interleaved([*contenders, product], setup.repeats)
    limit, rows = timings[product.name], []
    for case, pair in zip(cases, pairs, strict=True):
        reference, ours = (timings[contender.name] for contender in pair)
        work = _step_flops(case, case.pictures(device)) / TERA
        goal = case.cuda_goal if device == "cuda" else None
        rows += [
            speed_row(reference, device),
            speed_row(ours, device, peer=reference),
            share_row(ours, work, limit, device, goal=goal),
        ]
        if case.cuda_goal and device == "cpu":
            rows.append(cuda_only_row(_name("bf16", case), product_name("bf16"), case.cuda_goal))
    return SpeedResult(
        settings={"batches": {case.name: case.batch(device) for case in cases}},
        rows=rows,
        limits=[speed_row(limit, device)],
        notes=[NOTE],
    )


def _ours(case: Case, runtime: RuntimeOptions) -> Contender:
    device, number = runtime.device_type, case.batch(runtime.device_type)
    recipe = replace(case.recipe, learning_rate=RATE)
    trainer = build_trainer(recipe, NUM_CLASSES, GREY, runtime)
    batch = [
        MicroBatch(
            pixels=_pixels(number, recipe.input_size),
            shifts=np.zeros((number, 3), np.float32),
            labels=_labels(number),
            boxes=np.repeat(NO_BOXES[None], number, axis=0),
            rows=slice(0, number),
            batch_size=number,
        )
    ]

    def run() -> None:
        for step in range(case.updates_on(device)):
            trainer.update(batch, step)
        finish(device)

    return Contender(
        _name(runtime.resolved_precision, case), run, case.pictures(device), "pictures/s"
    )


def _name(precision: str, case: Case) -> str:
    return f"vggfeat, {precision}, {case.name}"


def _plain_loop(case: Case, device: str) -> Contender:
    """The plain loop: fp32, NCHW, on pictures that are floats already."""
    number = case.batch(device)
    net = case.peer().to(device).train()
    recipe = case.recipe
    optimiser = torch.optim.SGD(
        net.parameters(), lr=RATE, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    pixels = torch.from_numpy(_pixels(number, case.recipe.input_size))
    images = (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5).contiguous().to(device)
    labels = torch.from_numpy(_labels(number)).to(device)

    def run() -> None:
        for _ in range(case.updates_on(device)):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            optimiser.step()
        finish(device)

    return Contender(f"plain loop, fp32, {case.name}", run, case.pictures(device), "pictures/s")


def _step_flops(case: Case, number: int) -> int:
    recipe = case.recipe
    with torch.device("meta"):
        net = vgg.build(recipe.net, width=recipe.width, input_size=recipe.input_size)
    return flops.count_step(net, (number, 3, recipe.input_size, recipe.input_size))


def _pixels(number: int, side: int) -> np.ndarray:  # [n, S, S, 3] uint8
    return np.random.default_rng(0).integers(0, 256, (number, side, side, 3), dtype=np.uint8)


def _labels(number: int) -> np.ndarray:  # [n] int64
    return np.random.default_rng(1).integers(0, NUM_CLASSES, number)
