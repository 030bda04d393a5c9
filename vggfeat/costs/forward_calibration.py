"""What a net takes on this machine, timed on black pictures: `forward_rates`.

Pictures of many sizes are timed as the batches that an extraction would make of them, each once,
because each is of a shape that is new: kernels are built and memory is laid out for it. Pictures
of one size are timed alone and in a batch, again and again.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from vggfeat.backbones.network import Network
from vggfeat.costs.rates import ForwardRate
from vggfeat.costs.work import net_megapixels
from vggfeat.features.allocator import kept_memory
from vggfeat.features.batch_pixels import MAX_BATCH_PIXELS
from vggfeat.features.batches import BATCH_PIXELS, plan_batches
from vggfeat.features.device import device_for
from vggfeat.features.forward import autocast_for
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import describe
from vggfeat.features.inference import for_inference
from vggfeat.features.options import Extraction
from vggfeat.features.views import is_square
from vggfeat.images import rescaled_size

FORWARD_S = 12.0  # of measuring
LEAST_TIMINGS, MOST_TIMINGS, NUM_NEW_SHAPES = 2, 5, 3
LEAST_BATCHES = 4
Clock = Callable[[], float]
Run = Callable[[int, int, int], float]  # seconds of so many pictures of a width and a height


def batch_pixels_of(device: str) -> int:
    """Pixels a batch on this device, where nothing has measured which number is best."""
    return BATCH_PIXELS if device_for(device).free_bytes() is None else MAX_BATCH_PIXELS // 2


def forward_rates(
    network: Network,
    options: Extraction,
    sizes: Sequence[tuple[int, int]],
    *,
    scales: tuple[int, ...] = (),
    clock: Clock = time.monotonic,
    seconds: float | None = None,
) -> tuple[dict[int, ForwardRate], float]:
    """What the net takes of pictures of these (width, height), and seconds until it computes.

    At the scales, which are all of the options' by default. A single size is that of all pictures.
    """
    scales, seconds = scales or options.scales, FORWARD_S if seconds is None else seconds
    with _running(network, options, clock) as run:
        began = clock()
        width, height = rescaled_size(sizes[0], min(scales), square=is_square(network))
        run(1, width if is_square(network) else width + 2, height)  # the first casts weights
        start_s = clock() - began
        of = _of_one_size if len(sizes) == 1 else _of_many_sizes
        return of(network, options, sizes, scales, run, seconds), start_s


@contextmanager
def _running(network: Network, options: Extraction, clock: Clock) -> Iterator[Run]:
    """A `with` block that has a function which times a forward pass."""
    device, precision = options.resolved_device, options.resolved_precision
    head = Descriptor(network)
    head.batch_pixels = batch_pixels_of(device)
    modules: list = []  # of one, that is built when it is first run

    def run(count: int, width: int, height: int) -> float:
        pixels = np.zeros((count, height, width, 3), dtype=np.uint8)
        if not modules:
            modules.append(for_inference(head.module, network, device, precision))
        began = clock()
        describe(
            head, modules[0], pixels, mirror=options.mirror, device=device, precision=precision
        ).cpu()
        return clock() - began

    with kept_memory(), autocast_for(device, precision):
        yield run


def _of_many_sizes(
    network: Network,
    options: Extraction,
    sizes: Sequence[tuple[int, int]],
    scales: Sequence[int],
    run: Run,
    seconds: float,
) -> dict[int, ForwardRate]:
    """The pictures' own batches, drawn at random for so many seconds: what a megapixel takes."""
    square = is_square(network)
    by_id = {str(number): size for number, size in enumerate(sizes)}
    pixels = batch_pixels_of(options.resolved_device)
    batches = plan_batches(
        by_id, options.scales, options.batch_size, batch_pixels=pixels, square=square
    )
    took, megapixels = dict.fromkeys(scales, 0.0), dict.fromkeys(scales, 0.0)
    for number, drawn in enumerate(np.random.default_rng(0).permutation(len(batches))):
        if number >= LEAST_BATCHES and sum(took.values()) > seconds:
            break
        ids = batches[drawn]
        for scale in scales:
            shape = rescaled_size(by_id[ids[0]], scale, square=square)
            took[scale] += run(len(ids), *shape)
            megapixels[scale] += len(ids) * net_megapixels(network, options, shape)
    return {scale: ForwardRate(took[scale] / megapixels[scale]) for scale in scales}


def _of_one_size(
    network: Network,
    options: Extraction,
    sizes: Sequence[tuple[int, int]],
    scales: Sequence[int],
    run: Run,
    seconds: float,
) -> dict[int, ForwardRate]:
    square = is_square(network)
    shapes = {scale: rescaled_size(sizes[0], scale, square=square) for scale in options.scales}
    most = max(width * height for width, height in shapes.values())
    pixels = batch_pixels_of(options.resolved_device)
    count = options.batch_size or max(1, pixels // most)
    return {
        scale: _of_one_shape(
            run, count, shapes[scale], net_megapixels(network, options, shapes[scale]),
            seconds / len(scales), square=square,
        )
        for scale in scales
    }  # fmt: skip


def _of_one_shape(
    run: Run, count: int, shape: tuple[int, int], mp: float, seconds: float, *, square: bool
) -> ForwardRate:
    """A single picture, the same of other shapes, and a batch: what each part takes."""
    width, height = shape
    run(1, *shape)
    one = _again(run, 1, shape, seconds / 4)
    news = () if square else range(2, 2 * NUM_NEW_SHAPES + 1, 2)
    new_shape_s = statistics.median([run(1, width + n, height) - one for n in news] or [0.0])
    count = min(count, max(1, int(seconds / 4 / max(one, 1e-9))))
    if count == 1:
        return ForwardRate(one / mp, 0.0, max(0.0, new_shape_s))
    run(count, *shape)
    batch = _again(run, count, shape, seconds / 2)
    megapixel_s = (batch - one) / (mp * (count - 1))
    if megapixel_s <= 0:  # of a pass that takes the same whatever is in it
        megapixel_s = batch / (mp * count)
    return ForwardRate(
        megapixel_s, max(0.0, batch - megapixel_s * mp * count), max(0.0, new_shape_s)
    )


def _again(run: Run, count: int, shape: tuple[int, int], seconds: float) -> float:
    """The median of some runs."""
    times: list[float] = []
    while len(times) < LEAST_TIMINGS or (len(times) < MOST_TIMINGS and sum(times) < seconds):
        times.append(run(count, *shape))
    return statistics.median(times)
