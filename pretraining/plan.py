"""What a job would do, before it does it: stages, updates, and about how long."""

import time
from collections.abc import Iterator

import numpy as np
import torch

from vggfeat.distributed import World
from vggfeat.durations import in_words
from vggfeat.prefetch import available_cores
from vggfeat.pretraining.augmentation import Colours
from vggfeat.pretraining.data_loader import Loader, Pass
from vggfeat.pretraining.dropout import replace_dropout
from vggfeat.pretraining.initialisation import initial_net
from vggfeat.pretraining.interruption import StopRequest
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.run import Job, check_start, trained_before, weights_of
from vggfeat.pretraining.train import InputMaker, Running, update

NUM_TIMINGS = 3  # at least; the fastest counts, as the first ones warm up
TIMED_S = 1.0  # at least, of the net
TIMED_PIXELS = 2**18  # of the pictures that are timed together
NUM_DECODED = 64
GREY = Colours((128.0,) * 3, (0.0,) * 3, ((0.0,) * 3,) * 3)


def plan(job: Job, num_processes: int) -> Iterator[str]:
    """A line for the pictures and one for each stage, timed as if it began now.

    Raises TrainingError where training would, as at weights that were trained otherwise.
    """
    pictures = job.pictures()
    for note in pictures.notes:
        yield f"{job.data}: {note}"
    yield (
        f"{job.data}: {len(pictures.classes)} classes, {len(pictures.train):,} training and"
        f" {len(pictures.validation):,} validation pictures"
    )
    total, planned, digest = 0.0, set(), pictures.digest
    for recipe in job.recipes:
        path = weights_of(job.out, recipe.name)
        if path.exists():
            trained_before(path, recipe, {"recipe": recipe.decisive(), "data": digest})
            yield f"{recipe.name}: {path} is there"
            continue
        if recipe.start not in planned:
            check_start(recipe, job.out)
        planned.add(recipe.name)
        loader = Loader(pictures, recipe, GREY, World(), NUM_DECODED, job.running.on_error)
        num_images = len(pictures.train) * recipe.epochs
        image_s = seconds_per_image(recipe, job.running, loader)
        # Without a way back, a validation picture takes a third.
        num_passed = num_images + len(pictures.validation) * recipe.epochs / 3
        seconds = num_passed * image_s / num_processes
        total += seconds
        first, last = recipe.scales
        yield (
            f"{recipe.name}: {recipe.net_specification}, from {recipe.begins_with}, S"
            f" {first if first == last else f'{first} to {last}'}, rate"
            f" {recipe.learning_rate:g}, at most {recipe.epochs} epochs: {num_images:,} images,"
            f" {loader.num_batches * recipe.epochs:,} updates, about {in_words(seconds)}"
            f" ({1000 * image_s:.3g} ms an image in one process here)"
        )
    together = f" with {num_processes} processes as fast as this one" if num_processes > 1 else ""
    yield f"in all about {in_words(total)}{together}"


def seconds_per_image(recipe: Recipe, running: Running, loader: Loader) -> float:
    """Of training here: the net's part, timed on noise, and the pictures', timed on some of them.

    On a CPU both take turns; beside a GPU the slower one counts.
    """
    net_s = _net_seconds(recipe, running, len(loader.pictures.classes))
    numbers = np.arange(min(NUM_DECODED, len(loader.pictures.train)))
    times = []
    for _ in range(NUM_TIMINGS):
        began = time.monotonic()
        loader.training_pass(0, numbers, slice(0, len(numbers)), len(numbers))
        times.append(time.monotonic() - began)
    picture_s = min(times) / len(numbers) / available_cores()
    return max(net_s, picture_s) if running.device_type == "cuda" else net_s + picture_s


def _net_seconds(recipe: Recipe, running: Running, num_classes: int) -> float:
    side = recipe.input_size
    size = min(running.pass_size_for(recipe, World()), max(1, TIMED_PIXELS // side**2))
    device = torch.device(running.device_type)
    objective = recipe.objective(num_classes)
    net = initial_net(recipe, objective.num_outputs, None)
    replace_dropout(net, recipe.dropout)
    net = net.to(device, memory_format=torch.channels_last)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.0, momentum=recipe.momentum)
    noise = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), dtype=np.uint8)
    labels = np.zeros(size, dtype=np.int64)
    boxes = np.tile([0.0, 0.0, side, side], (size, 1, 1))
    one = Pass(noise, np.zeros((size, 3), np.float32), labels, boxes, slice(0, size), size)
    to_input = InputMaker(GREY, device, running.resolved_precision == "bf16")
    times: list[float] = []
    while len(times) < NUM_TIMINGS or sum(times) < TIMED_S:
        began = time.monotonic()
        update(
            net, optimiser, [one], to_input, objective,
            seed=0, step=0, world=World(), stop=StopRequest(patient=False),
        )  # fmt: skip
        times.append(time.monotonic() - began)
    return min(times) / size
