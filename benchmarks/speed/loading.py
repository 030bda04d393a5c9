"""Training through the real loader: JPEGs decoded, cropped and trained on; the step alone."""

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from itertools import repeat
from pathlib import Path

from vggfeat.benchmarks.speed.limits import finish, jpeg_decoding
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Setup,
    SpeedResult,
    share_row,
    speed_row,
    time_interleaved,
)
from vggfeat.benchmarks.speed.training import FULL, GREY, NUM_CLASSES, RATE, SMALL, Case
from vggfeat.costs.photographs import write_photographs
from vggfeat.layouts.imagenet import Pictures
from vggfeat.prefetch import available_cores
from vggfeat.pretraining.data_loader import Loader, MicroBatch
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.pretraining.trainer import QueuedUpdate, build_trainer
from vggfeat.processes.world import World

FILES = 256  # written; an epoch has each of them several times
CASES = {"cpu": SMALL, "cuda": FULL}
# Of an epoch, which is what is timed. A thread makes a whole batch: 128 pictures take it half a
# second, in which a GPU waits, so that an epoch of several seconds is needed.
BATCHES = {"cpu": 4, "cuda": 128}
KEEPS_UP = Goal(0.9)
NOTE = (
    "The step alone trains again and again on one batch of the loader's, which is in memory. The"
    " loader alone makes the same epoch and trains on nothing. Whichever is slower is the limit."
)


def measure(
    setup: Setup,
    *,
    case: Case | None = None,
    num_files: int = FILES,
    num_batches: int | None = None,
) -> SpeedResult:
    """Pictures a second of an epoch from JPEGs, and its share of the step's speed alone."""
    device = setup.device
    case, count = case or CASES[device], num_batches or BATCHES[device]
    size = case.batch(device)
    recipe = replace(case.recipe, batch_size=size, learning_rate=RATE)
    runtime = RuntimeOptions(device=device)
    folder = setup.folder / "pictures"
    files = write_photographs(folder, num_files)
    trainer = build_trainer(recipe, NUM_CLASSES, GREY, runtime)
    loader = Loader(
        _listed(folder, list(files.values()), size * count),
        recipe, GREY, World(), runtime.micro_batch_size(recipe, World()),
    )  # fmt: skip
    in_memory = next(loader.training(0, 0))

    def train(batches: Iterable[list[MicroBatch]]) -> None:
        """As `pretrain` does: the sums of an update are read once the next ones are queued."""
        queued: deque[QueuedUpdate] = deque()
        for step, batch in enumerate(batches):
            queued.append(trainer.update(batch, step))
            if len(queued) > trainer.num_queued:
                queued.popleft().read()
        finish(device)

    def load() -> None:
        for _ in loader.training(0, 0):
            pass

    number, unit = size * count, "pictures/s"
    ours = Contender("vggfeat, from JPEGs", lambda: train(loader.training(0, 0)), number, unit)
    step = Contender("the step alone", lambda: train(repeat(in_memory, count)), number, unit)
    loading = Contender("the loader alone", load, number, unit)
    decoding = jpeg_decoding(list(files.values()))
    timings = time_interleaved([ours, step, loading, decoding], setup.repeats)
    mine, limit, loaded, decoded = timings.values()
    settings = {
        "net": case.name, "batch": size, "pictures": number, "files": num_files,
        "loader_threads": available_cores(), "cores": os.cpu_count(),
    }  # fmt: skip
    return SpeedResult(
        settings=settings,
        rows=[
            speed_row(mine, device),
            share_row(mine, number, limit, device, goal=KEEPS_UP if device == "cuda" else None),
            share_row(mine, number, loaded, device),
            speed_row(limit, device),
            speed_row(loaded, "cpu"),
        ],
        limits=[speed_row(decoded, "cpu")],
        notes=[f"{case.name} in {runtime.resolved_precision}, batches of {size}.", NOTE],
    )


def _listed(folder: Path, files: list[Path], number: int) -> Pictures:
    """The files in turn as so many training pictures."""
    names = [str(path.relative_to(folder)) for path in files]
    listed = [(names[n % len(names)], n % NUM_CLASSES) for n in range(number)]
    return Pictures(folder, tuple(f"{n:04d}" for n in range(NUM_CLASSES)), listed, ())
