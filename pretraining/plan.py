"""`--dry-run`: the stages and updates of a job, and about how long they will take.

The durations are extrapolated from short timings on this machine, or from a speed that is given.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vggfeat.costs.model import FORWARD, LOAD, overlapped
from vggfeat.costs.quantities import time_text
from vggfeat.costs.whose_speed import at_once, whose_speed
from vggfeat.durations import in_words
from vggfeat.errors import OptionError
from vggfeat.layouts.imagenet import Pictures
from vggfeat.plurals import counted
from vggfeat.prefetch import available_cores
from vggfeat.pretraining.colours import Colours
from vggfeat.pretraining.data_loader import Loader, MicroBatch
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.run import PretrainingJob
from vggfeat.pretraining.runs_folder import check_start, trained_before, weights_path
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.pretraining.trainer import build_trainer
from vggfeat.processes.world import World

NUM_TIMINGS = 3  # at least, of which the median counts
VALIDATION_SHARE = 1 / 3  # of the net's time, as there is no backward pass
TIMED_S = 1.0  # at least, of the net
TIMED_PIXELS = 2**18  # of the pictures that are timed together
NUM_DECODED = 64
GREY = Colours((128.0,) * 3, (0.0,) * 3, ((0.0,) * 3,) * 3)


def plan(
    job: PretrainingJob, num_processes: int, images_per_second: float | None = None
) -> Iterator[str]:
    """A line for the pictures, one for each stage, timed as if it began now, and one for all.

    images_per_second is what a device trains; without it this machine is timed. Raises
    TrainingError where training would, as at weights that were trained otherwise, and OptionError
    unless images_per_second is a number of more than 0.
    """
    if images_per_second is not None and not 0 < images_per_second < float("inf"):
        raise OptionError(f"images per second must be more than 0; got {images_per_second:g}.")
    pictures = job.pictures()
    for note in pictures.notes:
        yield f"{job.data}: {note}"
    yield (
        f"{job.data}: {counted(len(pictures.classes), 'class')}, {len(pictures.train):,} training"
        f" and {counted(len(pictures.validation), 'validation picture')}"
    )
    total, planned, digest = 0.0, set(), pictures.digest
    for recipe in job.recipes:
        path = weights_path(job.out, recipe.name)
        if path.exists():
            trained_before(path, recipe, {"recipe": recipe.decisive(), "data": digest})
            yield f"{recipe.name}: {path} is there"
            continue
        if recipe.start not in planned:
            check_start(recipe, job.out)
        planned.add(recipe.name)
        if images_per_second is None:
            loader = _loader(recipe, job.runtime, pictures)
            image_s, validation_s = seconds_per_image(recipe, job.runtime, loader)
        else:
            image_s = 1 / images_per_second
            validation_s = VALIDATION_SHARE * image_s
        seconds = recipe.epochs * (
            len(pictures.train) * image_s + len(pictures.validation) * validation_s
        )
        seconds /= at_once(job.runtime.device, num_processes)
        total += seconds
        line = _stage_line(recipe, job.runtime, pictures, seconds)
        is_given = images_per_second is not None
        yield f"{line} ({time_text(image_s)} an image{' as given' if is_given else ' here'})"
    whose = whose_speed(
        job.runtime.device,
        num_processes,
        given=images_per_second,
        remedy=": give its speed by --images-per-second",
    )
    yield f"in all about {in_words(total)}{whose}"


def _loader(recipe: Recipe, runtime: RuntimeOptions, pictures: Pictures) -> Loader:
    return Loader(pictures, recipe, GREY, World(), NUM_DECODED, runtime.on_error)


def _stage_line(recipe: Recipe, runtime: RuntimeOptions, pictures: Pictures, seconds: float) -> str:
    """What a stage is, and how long it takes."""
    num_batches = _loader(recipe, runtime, pictures).num_batches
    num_images = len(pictures.train) * recipe.epochs
    smallest, largest = recipe.scales
    num_updates = num_batches * recipe.epochs
    return (
        f"{recipe.name}: {recipe.net_specification}, from {recipe.begins_with}, S"
        f" {smallest if smallest == largest else f'{smallest} to {largest}'}, rate"
        f" {recipe.learning_rate:g}, at most {counted(recipe.epochs, 'epoch')}:"
        f" {counted(num_images, 'image')}, {counted(num_updates, 'update')}, about"
        f" {in_words(seconds)}"
    )


def seconds_per_image(
    recipe: Recipe, runtime: RuntimeOptions, loader: Loader
) -> tuple[float, float]:
    """Seconds here of an image that is trained on, and of one that validates.

    The net is timed on noise, reading and cropping on some of the pictures, once each.
    On a CPU both take turns; beside a GPU the slower one counts, as in extraction.
    """
    net_s = _net_seconds(recipe, runtime, len(loader.pictures.classes))
    num_train = len(loader.pictures.train)
    times, count = [], min(NUM_DECODED, num_train)
    for number in range(NUM_TIMINGS):
        numbers = np.arange(number * count, (number + 1) * count) % num_train
        began = time.monotonic()
        loader.training_crops(0, numbers, slice(0, count), count)
        times.append(time.monotonic() - began)
    picture_s = statistics.median(times) / count / available_cores()
    is_cpu = runtime.device_type != "cuda"
    return (
        overlapped({LOAD: picture_s, FORWARD: net_s}, is_cpu=is_cpu),
        overlapped({LOAD: picture_s, FORWARD: VALIDATION_SHARE * net_s}, is_cpu=is_cpu),
    )


def _net_seconds(recipe: Recipe, runtime: RuntimeOptions, num_classes: int) -> float:
    side = recipe.input_size
    size = min(runtime.micro_batch_size(recipe, World()), max(1, TIMED_PIXELS // side**2))
    # A rate at which noise changes nothing.
    trainer = build_trainer(replace(recipe, learning_rate=1e-9), num_classes, GREY, runtime)
    noise = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), dtype=np.uint8)
    labels = np.zeros(size, dtype=np.int64)
    boxes = np.tile([0.0, 0.0, side, side], (size, 1, 1))
    shifts = np.zeros((size, 3), np.float32)
    batch = [MicroBatch(noise, shifts, labels, boxes, slice(0, size), size)]
    times: list[float] = []
    while len(times) < NUM_TIMINGS or sum(times) < TIMED_S:
        began = time.monotonic()
        trainer.update(batch, step=0).read()  # when the device is done
        times.append(time.monotonic() - began)
    return statistics.median(times) / size
