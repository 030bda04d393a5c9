"""How many pixels a batch for a GPU holds: measured once for a feature file, which remembers it.

A CPU takes BATCH_PIXELS. A GPU is busy with more at once, how many depends on the net and on the
GPU: batches of twice as many pixels are timed for as long as that is faster and memory suffices.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vggfeat.errors import PictureError, StoreError
from vggfeat.features import store
from vggfeat.features.batches import BATCH_PIXELS
from vggfeat.features.device import Device, device_for
from vggfeat.features.forward import autocast_for
from vggfeat.features.heads.head import Head, describe
from vggfeat.features.options import Extraction
from vggfeat.features.views import is_square
from vggfeat.images import Picture, picture_size, rescaled_size
from vggfeat.plurals import counted

log = logging.getLogger(__name__)

# With its mirror images and 64 channels it has 2**30 values, which 32 bits can count, and dozens of
# such batches wait in the CPU's memory.
MAX_BATCH_PIXELS = 2**23
AS_FAST = 0.95  # of the highest rate; less is not worth the larger batches
MEMORY_SHARE = 0.5  # of what is free; the rest is for shapes that come later
NUM_TIMED = 3  # batches in a row


def is_measured(options: Extraction) -> bool:
    """Whether batches are cut by measurement: on GPUs, unless the user states their pictures."""
    return device_for(options.resolved_device).free_bytes() is not None and not options.batch_size


def measured_batch_pixels(
    head: Head,
    module: nn.Module,
    options: Extraction,
    pictures: Mapping[str, Picture],
    path: Path,
) -> int | None:
    """Pixels a batch at the largest scale for the feature file at `path`; module is the head's.

    A file that is there decides, as the rest of it must be cut alike. None where batches are as on
    a CPU: on one, by a file that states nothing, where the user states the number of pictures, and
    where none can be read.
    """
    if not is_measured(options):
        return None
    if path.exists():
        try:
            return store.batch_pixels(path)
        except StoreError:
            return None  # whoever writes to it says why
    example = _first_readable(pictures, options)
    if example is None:
        return None
    picture_id, size = example  # some heads give vectors of the pictures that they know only
    device = device_for(options.resolved_device)
    width, height = rescaled_size(size, max(options.scales), square=is_square(head.network))
    module = module.to(device.name, memory_format=torch.channels_last)
    random = np.random.default_rng(0)

    def batch_of(count: int) -> Callable[[], None]:
        head.batch_pixels = count * width * height
        pixels = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
        pictures = device.upload(device.staged(pixels))
        ids = [picture_id] * count
        return lambda: describe(
            head, module, pictures, ids=ids, mirror=options.mirror, device=device.name,
            precision=options.resolved_precision,
        )  # fmt: skip

    with autocast_for(device.name, options.resolved_precision):
        pixels = fastest_batch_pixels(device, batch_of, width * height, len(pictures))
    log.debug(
        "%s: batches of up to %s of %dx%d, by measurement",
        head.network.label, counted(pixels // (width * height), "picture"), width, height,
    )  # fmt: skip
    return pixels


def _first_readable(
    pictures: Mapping[str, Picture], options: Extraction
) -> tuple[str, tuple[int, int]] | None:
    """The id, width and height of the first picture that can be read."""
    for picture_id, picture in pictures.items():
        try:
            return picture_id, picture_size(picture, exif=options.exif)
        except PictureError:
            continue  # reported when extraction comes to it
    return None


def fastest_batch_pixels(
    device: Device,
    batch_of: Callable[[int], Callable[[], object]],
    picture_pixels: int,
    num_pictures: int,
) -> int:
    """The least number of pixels a batch whose rate is within 5 % of the best: a power of two.

    batch_of(count) returns a function that queues a batch of that many pictures on the device.
    """
    rates: dict[int, float] = {}
    pixels, most = BATCH_PIXELS, min(MAX_BATCH_PIXELS, 2 * num_pictures * picture_pixels)
    while pixels <= most and not _is_saturated(list(rates.values())):
        count = max(1, pixels // picture_pixels)
        device.release_memory()
        free = device.free_bytes()
        try:
            rates[pixels] = count / _seconds(device, batch_of(count))
        except RuntimeError:  # of memory, which CUDA's libraries call by many names
            break  # any other the extraction meets, too
        if 2 * (free - device.free_bytes()) > MEMORY_SHARE * free:  # of the next batch
            break
        pixels *= 2
    device.release_memory()
    best = max(rates.values(), default=0)
    return next((n for n, rate in rates.items() if rate >= AS_FAST * best), BATCH_PIXELS)


def _is_saturated(rates: list[float]) -> bool:
    """Whether the last two doublings have brought nothing."""
    return len(rates) > 2 and AS_FAST * max(rates[-2:]) <= max(rates[:-2])


def _seconds(device: Device, queue_batch: Callable[[], object]) -> float:
    """Seconds of a batch, where others are queued before and behind it."""
    queue_batch()  # the first of a shape chooses algorithms and allocates
    device.timer().wait()
    began = device.timer()
    for _ in range(NUM_TIMED):
        queue_batch()
    ended = device.timer()
    ended.wait()
    return ended.seconds_since(began) / NUM_TIMED
