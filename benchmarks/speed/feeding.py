"""Feeding a GPU: how busy a stand-in for the net is behind the real loader and the real storing.

The stand-in takes a stated time for each pixel, as a GPU does, and none of the processor's: a batch
begins when it is queued or when the one before it has ended. What it returns is stored.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Row,
    Setup,
    SpeedResult,
    Spread,
    speed_row,
    time_interleaved,
)
from vggfeat.costs.photographs import write_photographs
from vggfeat.features import store
from vggfeat.features.conditions import conditions
from vggfeat.features.device import Device, DeviceTimer
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.options import Extraction
from vggfeat.features.pipeline import ExtractionRun
from vggfeat.images import picture_size, rescaled_size
from vggfeat.prefetch import available_cores
from vggfeat.progress import no_progress

NET = "vgg16@random:0"  # never built: its name and its 4,096 dimensions are used
SCALES = (256, 384, 512)
# VGG-16 takes 0.875 TFLOP for a picture at these scales and its mirror images: 60 % of 790 TFLOP/s.
GPU_RATE = 540.0
GPU_CORES = 16
ROOM = 0.9  # the stand-in's rate over what the cores can feed
BUSY = Goal(0.9)
BUSY_SHARE, MOST = "share of time it is busy", "pictures/s at most"
FILES = 64
SAMPLE_EVERY_S = 0.001
WAITED_S = 0.0001  # longer than a thread takes to wake up
NOTES = [
    "The stand-in takes a stated time for each pixel and none of the processor's. Its rate is so"
    f" many pictures a second; of N cores it is {ROOM:g} of what they feed to one that takes no"
    " time. Files are in memory; decoding, threads, storing and copies as into pinned memory are"
    " real.",
    "The lock is the interpreter's: the share of moments at which another thread would have had to"
    " wait for it, while one core feeds. Storing is done by one thread.",
    f"What {GPU_CORES} cores feed is extrapolated: {GPU_CORES} times a second of CPU, but no more"
    " than the lock and storing let through.",
]


@dataclass
class _Timer(DeviceTimer):
    at: float

    def wait(self) -> None:
        time.sleep(max(0.0, self.at - time.monotonic()))

    def seconds_since(self, earlier: "_Timer") -> float:
        return self.at - earlier.at


@dataclass
class StandIn(Device):
    """A device that is busy for `seconds_per_pixel` and computes nothing."""

    seconds_per_pixel: float
    busy_s: float = 0.0
    free_at: float = field(default_factory=time.monotonic)
    name = "cpu"
    num_in_flight = 1  # as of a GPU

    def staged(self, pictures: np.ndarray) -> Tensor:
        return torch.from_numpy(pictures.copy())  # as into pinned memory, by this thread alone

    def upload(self, pictures: Tensor) -> Tensor:
        seconds = pictures[..., 0].numel() * self.seconds_per_pixel
        self.free_at = max(self.free_at, time.monotonic()) + seconds
        self.busy_s += seconds
        return pictures[:, :1, :1]  # one pixel: what a GPU does with them takes no processor

    def download(self, values: Tensor) -> Tensor:
        return values

    def timer(self) -> DeviceTimer:
        return _Timer(max(self.free_at, time.monotonic()))


class _Head(Descriptor):
    """Vectors of the right size, which cost nothing."""

    module = nn.Identity()

    def forward(
        self, module: nn.Module, batch: Tensor, *, ids: Sequence[str], mirror: bool
    ) -> Tensor:
        return torch.ones(len(batch), self.dim)


@dataclass
class _Feeding:
    """Extractions with a stand-in, each into a new file; the share of their time it was busy."""

    folder: Path
    pictures: Mapping[str, Path]
    rate: float  # of the stand-in, in pictures a second; infinite: it takes no time
    cores: int
    scales: tuple[int, ...]
    shares: list[float] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)  # pictures a second while storing
    by_cpu: list[float] = field(default_factory=list)  # pictures a second of CPU

    def __post_init__(self) -> None:
        self.head = _Head(load_network(NET))
        sizes = [picture_size(path) for path in self.pictures.values()]
        shapes = [rescaled_size(size, scale) for size in sizes for scale in self.scales]
        pixels = sum(width * height for width, height in shapes) / len(sizes)
        self.seconds_per_pixel = 1 / (self.rate * pixels)
        self.numbers = count()

    def __call__(self) -> None:
        options = Extraction(scales=self.scales, device="cpu", precision="fp32")
        path = self.folder / f"{self.rate:.0f}-{self.cores}-{next(self.numbers)}.h5"
        file_bytes = {i: picture.stat().st_size for i, picture in self.pictures.items()}
        with (
            on_cores(self.cores),
            store.FeatureWriter(
                path,
                conditions("photographs", self.head.network, options),
                dim=self.head.dim,
                file_bytes=file_bytes,
                weights_name="",
                versions={},
            ) as writer,
        ):
            began, cpu_began = time.monotonic(), time.process_time()
            device = StandIn(self.seconds_per_pixel)
            run = ExtractionRun(self.head, options, self.pictures, [writer], no_progress, device)
            run.extract(self.head.module)
        self.shares.append(device.busy_s / (time.monotonic() - began))
        self.by_cpu.append(len(self.pictures) / (time.process_time() - cpu_began))
        self.stored.append(len(self.pictures) / run.times.seconds["store"])
        path.unlink()


def measure(
    setup: Setup,
    *,
    scales: tuple[int, ...] = SCALES,
    num_pictures: int = 512,
    num_files: int = FILES,
) -> SpeedResult:
    """Pictures a second that cores can feed, and how busy a stand-in at such rates is."""
    files = list(write_photographs(setup.folder / "pictures", num_files).values())
    pictures = {f"{n:06d}": files[n % num_files] for n in range(num_pictures)}
    cores = available_cores()
    runs = {}
    for number in sorted({1, cores}):
        endless = _Feeding(setup.folder, pictures, np.inf, number, scales)
        speed = _speed(endless, num_pictures)
        runs[f"{_cores(number)}, to one that takes no time"] = endless
        runs[f"{_cores(number)}, to one at their rate"] = _Feeding(
            setup.folder, pictures, ROOM * speed, number, scales
        )
    at_gpu = f"{_cores(cores)}, to one at {GPU_RATE:g} pictures/s"
    runs[at_gpu] = _Feeding(setup.folder, pictures, GPU_RATE, cores, scales)
    timings = time_interleaved(
        [Contender(name, run, num_pictures, "pictures/s") for name, run in runs.items()],
        setup.repeats,
    )
    rows = []
    for name, run in runs.items():
        rows.append(speed_row(timings[name], "cpu"))
        if np.isfinite(run.rate):
            is_judged = name != at_gpu or cores >= GPU_CORES
            shares = run.shares[-setup.repeats :]
            rows.append(_row(name, BUSY_SHARE, shares, BUSY if is_judged else None))
    alone, together = (f"{_cores(number)}, to one that takes no time" for number in (1, cores))
    limits = [
        _row("storing", MOST, runs[together].stored[-setup.repeats :]),
        *_lock_rows(runs[alone], cores),
    ]
    by_cpu = np.array(runs[alone].by_cpu[-setup.repeats :])
    return SpeedResult(
        settings={
            "scales": list(scales),
            "pictures": num_pictures,
            "files": num_files,
            "cores": cores,
            "rates": {name: run.rate for name, run in runs.items() if np.isfinite(run.rate)},
        },  # fmt: skip
        rows=[
            *rows,
            _row(alone, "pictures/s of CPU", by_cpu),
            *_extrapolated(by_cpu, limits, cores),
        ],
        limits=limits,
        notes=NOTES,
    )


def _cores(number: int) -> str:
    return "1 core" if number == 1 else f"{number} cores"


def _speed(run: Callable[[], None], number: int) -> float:
    began = time.monotonic()
    run()
    return number / (time.monotonic() - began)


def _row(
    name: str, quantity: str, values: Sequence[float] | np.ndarray, goal: Goal | None = None
) -> Row:
    return Row(contender=name, quantity=quantity, device="cpu", value=Spread.of(values), goal=goal)


def _lock_rows(feeding: _Feeding, cores: int) -> Iterator[Row]:
    """The share of time that one core's feeding holds the interpreter's lock, and the limit by it.

    Another core is needed to look.
    """
    if cores == 1:
        return
    held, seconds = _lock_held(feeding)
    yield _row("1 core", "share of time it holds the interpreter's lock", [held])
    if held:
        yield _row("the interpreter's lock", MOST, [len(feeding.pictures) / (held * seconds)])


def _extrapolated(by_cpu: np.ndarray, limits: Sequence[Row], cores: int) -> Iterator[Row]:
    """The row of what more cores than there are would feed."""
    if cores >= GPU_CORES:
        return
    most = min(row.value.median for row in limits if row.quantity == MOST)
    fed = np.minimum(GPU_CORES * by_cpu, most)
    yield _row(f"{_cores(GPU_CORES)}, extrapolated", "pictures/s", fed, Goal(GPU_RATE))


def _lock_held(run: Callable[[], None]) -> tuple[float, float]:
    """The share of moments at which a thread on another core waits for the interpreter's lock.

    And the seconds of the run.
    """
    ended, late = threading.Event(), []

    def sample() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            time.sleep(SAMPLE_EVERY_S)  # without the lock, which it then asks for
            late.append(time.perf_counter() - began - SAMPLE_EVERY_S)

    sampler = threading.Thread(target=sample)
    sampler.start()  # before the cores are chosen, which later threads inherit
    began = time.monotonic()
    try:
        run()
    finally:
        seconds = time.monotonic() - began
        ended.set()
        sampler.join()
    return float(np.mean(np.array(late) > WAITED_S)), seconds


@contextmanager
def on_cores(number: int) -> Iterator[None]:
    """A `with` block that computes on so many of the available cores, where this can be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(cores)[:number]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
