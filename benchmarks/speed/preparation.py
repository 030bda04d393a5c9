"""Pictures at three scales, read once: `load_batch` beside the usual way, and threads that load.

The first part is on one core. The second is the loader of an extraction, on one core and on all,
and what bounds it on more: the time for which it holds Python's interpreter lock.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.speed import usual
from vggfeat.benchmarks.speed.gil import seconds_with_gil
from vggfeat.benchmarks.speed.limits import MEGA, jpeg_decoding
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Row,
    Setup,
    SpeedResult,
    Spread,
    Timings,
    one_core,
    share_row,
    speed_row,
    time_interleaved,
)
from vggfeat.costs.photographs import write_photographs
from vggfeat.features.batches import plan_batches
from vggfeat.features.device import Cpu
from vggfeat.features.options import Extraction
from vggfeat.features.picture_loader import PictureLoader
from vggfeat.features.stage_times import StageTimes
from vggfeat.images import load_batch, picture_size
from vggfeat.prefetch import available_cores

OURS = "vggfeat"
LOADER_ALONE, LOADER, SIZES = "loader, one core", "loader, all cores", "sizes, one core"
MANY_CORES = 16  # beside one H200
NOTE = (
    "The usual way ends with float tensors; vggfeat ends with bytes, which become floats where the"
    " net runs."
)
BOUND_NOTE = (
    f"What {MANY_CORES} such cores give at most is extrapolated, not measured: {MANY_CORES} times"
    " one core, or a picture for each time that the lock is held if that is less. VGG-16 at 60 % of"
    " an H200 takes about 540 pictures/s at three scales with mirror images, which are made there."
)


def measure(
    setup: Setup, *, scales: tuple[int, ...] = (256, 384, 512), num_pictures: int = 64
) -> SpeedResult:
    """Pictures a second of one core and of all, and shares of the speed of decoding alone."""
    pictures = write_photographs(setup.folder / "pictures", num_pictures)
    paths = list(pictures.values())

    def run_ours() -> None:
        for path in paths:
            load_batch([path], scales)

    def run_peer() -> None:
        for path in paths:
            for scale in scales:
                usual.prepared(path, scale)

    contenders = [
        Contender(usual.NAME, run_peer, num_pictures, "pictures/s"),
        Contender(OURS, run_ours, num_pictures, "pictures/s"),
        jpeg_decoding(paths),
    ]
    with one_core():
        timings = time_interleaved(contenders, setup.repeats)
    reference, ours, limit = timings.values()
    megapixels = sum(width * height for width, height in map(picture_size, paths)) / MEGA
    return SpeedResult(
        settings={
            "scales": list(scales),
            "pictures": num_pictures,
            "cores": 1,
            "all_cores": available_cores(),
        },
        rows=[
            speed_row(reference, "cpu"),
            speed_row(ours, "cpu", peer=reference),
            share_row(ours, num_pictures, limit, "cpu"),
            *_loader_rows(pictures, scales, setup.repeats),
        ],
        limits=[
            speed_row(limit, "cpu"),
            speed_row(limit.in_unit(megapixels, "megapixels/s"), "cpu"),
        ],
        notes=[NOTE, BOUND_NOTE],
    )


def _loader_rows(pictures: Mapping[str, Path], scales: tuple[int, ...], repeats: int) -> list[Row]:
    """The loader of an extraction on one core, on all, and with the lock held."""
    # The same pictures once for each core, so that all have work for as long as one alone.
    for_all = {f"{i}, {core}": p for core in range(available_cores()) for i, p in pictures.items()}

    def alone(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with one_core():
                work()

        return run

    def load() -> None:
        _load(pictures, scales)

    contenders = [
        Contender(LOADER_ALONE, alone(load), len(pictures), "pictures/s"),
        Contender(LOADER, lambda: _load(for_all, scales), len(for_all), "pictures/s"),
        Contender(
            SIZES,
            alone(lambda: _loader(pictures, scales).sizes()),
            len(pictures),
            "pictures/s",
        ),
    ]
    timings = time_interleaved(contenders, repeats)
    one = timings[LOADER_ALONE]
    rows = [
        speed_row(one, "cpu"),
        speed_row(timings[LOADER], "cpu", peer=one),
        speed_row(timings[SIZES], "cpu"),
    ]
    return rows + _lock_rows([seconds_with_gil(load) for _ in range(repeats)], one)


def _lock_rows(held_s: Sequence[float | None], one_core_timings: Timings) -> list[Row]:
    """The milliseconds a picture with the lock held, and what many cores give at most."""
    number = one_core_timings.contender.work
    is_measured = None not in held_s
    note = "" if is_measured else "needs two cores, and a system that binds threads to them"
    held = np.array(held_s, dtype=float) / number if is_measured else None  # [R] seconds a picture
    if is_measured:
        bounds = np.minimum(MANY_CORES * one_core_timings.speeds, 1 / np.maximum(held, 1e-9))
    return [
        Row(
            contender="loader",
            quantity="ms a picture with Python's lock held",
            device="cpu",
            value=Spread.of(1000 * held) if is_measured else None,
            note=note,
        ),
        Row(
            contender="loader",
            quantity=f"pictures/s of {MANY_CORES} cores at most",
            device="cpu",
            value=Spread.of(bounds) if is_measured else None,
            note=note,
        ),
    ]


def _loader(pictures: Mapping[str, Path], scales: tuple[int, ...]) -> PictureLoader:
    options = Extraction(scales=scales, device="cpu")
    return PictureLoader(pictures, options, StageTimes(), Cpu(), square=False)


def _load(pictures: Mapping[str, Path], scales: tuple[int, ...]) -> None:
    """Load pictures as an extraction does, their sizes first."""
    loader = _loader(pictures, scales)
    for _ in loader.loaded(plan_batches(loader.sizes(), scales)):
        pass
