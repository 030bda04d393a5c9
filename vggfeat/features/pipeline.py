"""Missing pictures -> rows of feature files: loaded, run through the net, stored.

Threads load the batches to come (picture_loader.py), this thread queues them on the device and
collects the vectors of those that are done, on a GPU one batch later, so that it has the next one;
another thread stores them (storing.py).

Shapes: B pictures of a batch, S scales, D dimensions of a vector, h w sides of a picture.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from vggfeat import images
from vggfeat.errors import NetworkError, OptionError
from vggfeat.features import store
from vggfeat.features.allocator import KeptMemory, kept_memory
from vggfeat.features.batches import plan_batches
from vggfeat.features.device import Device, DeviceTimer, device_for
from vggfeat.features.forward import autocast_for
from vggfeat.features.heads.head import Head, describe
from vggfeat.features.inference import for_inference
from vggfeat.features.options import Extraction
from vggfeat.features.picture_loader import Loaded, PictureLoader
from vggfeat.features.stage_times import StageTimes
from vggfeat.features.storing import StoringThread
from vggfeat.features.views import is_square
from vggfeat.progress import Progress


@dataclass(frozen=True)
class _InFlight:
    """A batch queued on the device."""

    ids: list[str]
    vectors: Tensor  # [B, S, D] on the CPU, valid once the last timer has passed
    timers: list[DeviceTimer]  # before the first scale, after each, after the copy to the CPU


class ExtractionRun:
    """One extraction of the missing pictures' vectors into one or several feature files.

    After `extract` num_new, scale_seconds, times and the loader's skipped pictures are its result.
    """

    def __init__(
        self,
        head: Head,
        options: Extraction,
        pictures: Mapping[str, images.Picture],
        writers: Sequence[store.FeatureWriter],
        progress: Progress,
        device: Device | None = None,
        times: StageTimes | None = None,  # of other runs, whose seconds are summed
    ):
        self.device = device or device_for(options.resolved_device)
        self.head, self.options = head, options
        self.label = head.network.label
        self.pictures, self.writers, self.progress = pictures, writers, progress
        self.num_new = self._num_reported = 0  # pictures that are stored
        self.scale_seconds = dict.fromkeys(options.scales, 0.0)
        self.times = times or StageTimes()
        self.loader = PictureLoader(
            pictures, options, self.times, self.device, square=is_square(head.network)
        )

    def extract(self, module: nn.Module) -> None:
        """Extract and store what the writers lack; module is the head's.

        Raises PictureError at a picture that cannot be read unless it may be skipped, OptionError
        where memory does not suffice, NetworkError at vectors that are not finite and at a net
        that needs another order in memory.
        """
        with self._explained():
            module = for_inference(
                module, self.head.network, self.device.name, self.options.resolved_precision
            )
            sizes = self.loader.sizes()
            # Planned over all pictures, so that a resumed run cuts the same batches.
            self._extract(module, sizes, batches_of(sizes, self.head, self.options))

    def extract_batches(self, module: nn.Module, batches: Sequence[list[str]]) -> None:
        """Extract and store what the writers lack of batches that were planned before.

        module is the head's as `for_inference` returns it. Raises what `extract` raises.
        """
        with self._explained():
            self._extract(module, self.loader.sizes(), batches)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of memory and of its order into those that name the net."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate" in str(error):
                raise OptionError(
                    f"{self.label}: not enough memory for a batch at scale"
                    f" {max(self.options.scales)}. Try --batch-size 1 (in Python batch_size=1), or"
                    " smaller scales."
                ) from error
            if "view size is not compatible" in str(error):
                raise NetworkError(
                    f"{self.label}: its code calls view() on maps whose channels lie together in"
                    " memory, which is fastest. Write reshape() or flatten() there."
                ) from error
            raise

    def _extract(
        self,
        module: nn.Module,
        sizes: Mapping[str, tuple[int, int]],
        plan: Sequence[list[str]],
    ) -> None:
        missing_of = [writer.missing(self.pictures) for writer in self.writers]
        missing = set().union(*missing_of)
        wanted = missing & sizes.keys()
        batches = [batch for ids in plan if (batch := [i for i in ids if i in wanted])]
        with (
            kept_memory() as memory,
            autocast_for(self.device.name, self.options.resolved_precision),
            closing(self.loader.loaded(batches)) as loaded,
            StoringThread(partial(self._store, sizes, missing_of)) as storing,
        ):
            self._compute(module, loaded, storing, memory, len(missing))
        self._report(len(missing))

    def _compute(
        self,
        module: nn.Module,
        loaded: Iterator[Loaded],
        storing: StoringThread,
        memory: KeptMemory,
        total: int,
    ) -> None:
        """Put the batches' vectors in for storing, on a GPU each once the next has been queued."""
        in_flight: deque[_InFlight] = deque()

        def hand_over() -> None:
            storing.put(in_flight[0].ids, self._collect(in_flight[0]))
            in_flight.popleft()  # not before: an interrupt may come at any time

        try:
            for ids, pictures in loaded:
                with self.times.timed("forward"):
                    in_flight.append(self._enqueue(module, ids, pictures))
                if len(in_flight) > self.device.num_in_flight:
                    hand_over()
                memory.batch_done()
                self._report(total)
        finally:  # also at an error or an interrupt: what was computed before it is not lost
            while in_flight:
                hand_over()

    def _report(self, total: int) -> None:
        """Report progress if something was stored since this was last done."""
        if self.num_new > self._num_reported:
            self._num_reported = self.num_new
            done = self._num_reported + len(self.loader.skipped)
            self.progress(f"extracting {self.label}", done, total)

    def _enqueue(self, module: nn.Module, ids: list[str], pictures: list[Tensor]) -> _InFlight:
        """Queue a batch's forward passes on the device, and the copy of its vectors back."""
        device, vectors = self.device, []
        timers = [device.timer()]
        for staged in pictures:
            vectors.append(
                describe(
                    self.head,
                    module,
                    device.upload(staged),
                    ids=ids,
                    mirror=self.options.mirror,
                    device=device.name,
                    precision=self.options.resolved_precision,
                )
            )
            timers.append(device.timer())
        on_cpu = device.download(torch.stack(vectors, dim=1))
        return _InFlight(ids, on_cpu, [*timers, device.timer()])

    def _collect(self, batch: _InFlight) -> np.ndarray:
        """Vectors [B, S, D] of a batch, in the type that they are stored in."""
        with self.times.timed("forward"):
            batch.timers[-1].wait()
        for scale, (before, after) in zip(
            self.options.scales, pairwise(batch.timers[:-1]), strict=True
        ):
            self.scale_seconds[scale] += after.seconds_since(before)
        with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite: see below
            vectors = batch.vectors.numpy().astype(self.options.dtype)
        not_finite = np.flatnonzero(~np.isfinite(vectors).all(axis=(1, 2)))
        if len(not_finite):
            raise NetworkError(
                f"{self.label}: the {self.head.name} of {batch.ids[not_finite[0]]} is not finite as"
                f" {self.options.dtype}. Check the weights, or use --dtype float32 and"
                " --precision fp32 (in Python dtype=, precision=)."
            )
        return vectors

    def _store(
        self,
        sizes: Mapping[str, tuple[int, int]],
        missing_of: Sequence[set[str]],
        ids: list[str],
        vectors: np.ndarray,
    ) -> None:
        """Give each writer its columns of the vectors [B, S, D], of the pictures that it lacks."""
        first = 0
        with self.times.timed("store"):
            for writer, missing in zip(self.writers, missing_of, strict=True):
                rows = [row for row, i in enumerate(ids) if i in missing]
                new_ids = [ids[row] for row in rows]
                if new_ids:
                    writer.write(
                        new_ids,
                        vectors[rows, :, first : first + writer.dim],
                        [sizes[i] for i in new_ids],
                        [self.loader.file_bytes[i] for i in new_ids],
                        [self.loader.sha256[i] for i in new_ids],
                    )
                first += writer.dim
        self.num_new += len(ids)


def batches_of(
    sizes: Mapping[str, tuple[int, int]], head: Head, options: Extraction
) -> list[list[str]]:
    """The batches that pictures of these sizes go through the head's module in."""
    return plan_batches(
        sizes, options.scales, options.batch_size,
        batch_pixels=head.batch_pixels, square=is_square(head.network),
    )  # fmt: skip
