"""Missing pictures -> rows of feature files: prepared ahead, run through the net, stored behind.

Threads decode and rescale the batches to come, this thread tells the device what to compute and
stores what it is done with: on a GPU one batch behind, so that it has the next one already.

Shapes: B pictures of a batch, S scales, D channels, h w sides of a picture.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from vggfeat import images
from vggfeat.errors import NetworkError, OptionError, PictureError
from vggfeat.features import store
from vggfeat.features.forward import DeviceTimer, autocast_for, kept_memory
from vggfeat.features.heads.descriptor import Head, describe, is_square
from vggfeat.features.options import Extraction

log = logging.getLogger(__name__)

NUM_AHEAD = 2 + (os.cpu_count() or 1)  # batches that are prepared, or wait for the net
NUM_BEHIND = {"cpu": 0, "cuda": 1}  # batches that the device was told and that are not fetched
STAGES = ("decode", "prepare", "forward", "store")
Progress = Callable[[str, int, int], None]  # label, pictures done, pictures in all


@dataclass(frozen=True)
class _Told:
    """A batch that the device was told to compute."""

    ids: list[str]
    descriptors: Tensor  # [B, S, D] on the CPU, there once the last moment has come
    timers: list[DeviceTimer]  # before the first scale, after each, after the way to the CPU


class Run:
    """One pass over the missing pictures: threads prepare batches, this thread runs the net."""

    def __init__(
        self,
        head: Head,
        options: Extraction,
        pictures: Mapping[str, images.Picture],
        writers: Sequence[store.FeatureWriter],
        progress: Progress,
    ):
        self.head, self.options = head, options
        self.label, self.square = head.network.label, is_square(head.network)
        self.pictures, self.writers, self.progress = pictures, writers, progress
        self.num_new = 0
        self.scale_seconds = dict.fromkeys(options.scales, 0.0)
        self.stage_seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()
        self.skipped: dict[str, str] = {}

    def extract(self, module: nn.Module) -> None:
        """Raises OptionError where memory does not suffice."""
        try:
            self._extract(module)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate" in str(error):
                raise OptionError(
                    f"{self.label}: not enough memory for a batch at scale"
                    f" {max(self.options.scales)}. Try --batch-size 1, or smaller scales."
                ) from error
            raise

    def _extract(self, module: nn.Module) -> None:
        options = self.options
        lacking = [writer.missing(self.pictures) for writer in self.writers]
        missing = set().union(*lacking)
        module = module.to(options.resolved_device, memory_format=torch.channels_last)
        with (
            kept_memory(),
            autocast_for(options.resolved_device, options.resolved_precision),
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            try:
                sizes = self._sizes(pool)
                # Planned over all pictures, so that a resumed run cuts the same batches.
                plan = images.plan_batches(
                    sizes, options.scales, options.batch_size, square=self.square
                )
                batches = [left for ids in plan if (left := [i for i in ids if i in missing])]
                for ids, descriptors in self._described(module, self._loaded(pool, batches)):
                    with self._timed("store"):
                        self._store(ids, descriptors, sizes, lacking)
                    self.num_new += len(ids)
                    done = self.num_new + len(self.skipped)
                    self.progress(f"extracting {self.label}", done, len(missing))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _described(
        self, module: nn.Module, loaded: Iterator[tuple[list[str], list[np.ndarray]]]
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """The batches with their descriptors [B, S, D], on a GPU each once the next was told."""
        waiting: deque[_Told] = deque()
        try:
            for ids, arrays in loaded:
                with self._timed("forward"):
                    waiting.append(self._tell(module, ids, arrays))
                if len(waiting) > NUM_BEHIND[self.options.resolved_device]:
                    told = waiting.popleft()
                    yield told.ids, self._fetched(told)
        except PictureError:  # what was computed before it is not lost
            yield from ((told.ids, self._fetched(told)) for told in waiting)
            raise
        yield from ((told.ids, self._fetched(told)) for told in waiting)

    def _store(
        self,
        ids: list[str],
        descriptors: np.ndarray,
        sizes: Mapping[str, tuple[int, int]],
        lacking: Sequence[set[str]],
    ) -> None:
        """Give each writer its columns of descriptors [B, S, D], of the pictures that it lacks."""
        first = 0
        for writer, lacked in zip(self.writers, lacking, strict=True):
            rows = [row for row, i in enumerate(ids) if i in lacked]
            its_ids = [ids[row] for row in rows]
            if its_ids:
                writer.write(
                    its_ids,
                    descriptors[rows, :, first : first + writer.dim],
                    [sizes[i] for i in its_ids],
                    [images.picture_bytes(self.pictures[i]) for i in its_ids],
                )
            first += writer.dim

    def _tell(self, module: nn.Module, ids: list[str], arrays: list[np.ndarray]) -> _Told:
        device, descriptors = self.options.resolved_device, []
        timers = [DeviceTimer(device)]
        for array in arrays:
            descriptors.append(
                describe(
                    self.head,
                    module,
                    array,
                    mirror=self.options.mirror,
                    device=device,
                    precision=self.options.resolved_precision,
                )
            )
            timers.append(DeviceTimer(device))
        on_cpu = torch.stack(descriptors, dim=1).to("cpu", non_blocking=True)
        return _Told(ids, on_cpu, [*timers, DeviceTimer(device)])

    def _fetched(self, told: _Told) -> np.ndarray:
        """Descriptors [B, S, D] of a batch, as they will be stored."""
        with self._timed("forward"):
            told.timers[-1].wait()
        for scale, (before, after) in zip(
            self.options.scales, pairwise(told.timers[:-1]), strict=True
        ):
            self.scale_seconds[scale] += after.seconds_since(before)
        with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite: see below
            stored = told.descriptors.numpy().astype(self.options.dtype)
        unsound = np.flatnonzero(~np.isfinite(stored).all(axis=(1, 2)))
        if len(unsound):
            raise NetworkError(
                f"{self.label}: the {self.head.name} of {told.ids[unsound[0]]} is not finite as"
                f" {self.options.dtype}. Check the weights, or use --dtype float32 and"
                " --precision fp32."
            )
        return stored

    def _sizes(self, pool: ThreadPoolExecutor) -> dict[str, tuple[int, int]]:
        """Width and height of every picture that can be read, in the order of the pictures."""

        def size(item: tuple[str, images.Picture]) -> tuple[int, int] | PictureError:
            try:
                size = images.picture_size(item[1], exif=self.options.exif)
                for scale in self.options.scales:
                    images.check_fits(item[1], size, scale, square=self.square)
                return size
            except PictureError as error:
                return error

        sizes = {}
        for i, found in zip(self.pictures, pool.map(size, self.pictures.items()), strict=True):
            if isinstance(found, PictureError):
                self._stop_if_asked(found)
                self._skip(i, found)
            else:
                sizes[i] = found
        return sizes

    def _loaded(
        self, pool: ThreadPoolExecutor, batches: Sequence[list[str]]
    ) -> Iterator[tuple[list[str], list[np.ndarray]]]:
        """The batches in their order, each with its S arrays [B, h, w, 3], prepared ahead."""

        def load(ids: list[str]) -> list[np.ndarray]:
            with self._timed("decode"):
                decoded = [images.decode(self.pictures[i], exif=self.options.exif) for i in ids]
            with self._timed("prepare"):
                return images.at_scales(decoded, self.options.scales, square=self.square)

        ahead: deque[Future] = deque()
        for number, ids in enumerate(batches):
            for later in batches[number + len(ahead) : number + 1 + NUM_AHEAD]:
                ahead.append(pool.submit(load, later))
            future = ahead.popleft()
            try:
                yield ids, future.result()
            except PictureError as error:
                self._stop_if_asked(error)
                for i in ids:  # the readable pictures of a batch that has an unreadable one
                    try:
                        yield [i], load([i])
                    except PictureError as error:
                        self._skip(i, error)

    def _stop_if_asked(self, error: PictureError) -> None:
        if self.options.on_error == "stop":
            raise PictureError(f"{error} Use --on-error skip to go on without it.") from error

    def _skip(self, picture_id: str, error: PictureError) -> None:
        log.warning("skipped: %s", error)
        self.skipped[picture_id] = str(error)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Counts the seconds of a block, in whichever thread it runs."""
        began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.stage_seconds[stage] += time.monotonic() - began
