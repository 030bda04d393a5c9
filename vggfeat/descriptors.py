"""Pictures -> descriptors of a frozen net, per picture and scale, in a feature file.

For a picture and a scale Q: rescale the shortest side to Q, run the dense net over the whole
picture, average the descriptor map over its positions, average with the mirrored picture (paper,
appendix B). What is stored is not normalised: aggregation over scales and L2 come later.

Shapes: B pictures of a batch, S scales, D channels, h w sides of a picture or a map.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from vggfeat import images, store
from vggfeat.backbones import Network
from vggfeat.errors import OptionError, PictureError
from vggfeat.provenance import library_versions

log = logging.getLogger(__name__)

BATCHES_AHEAD = 4  # prepared while the net works
Progress = Callable[[str, int, int], None]  # label, pictures done, pictures in all


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """The options of an extraction. Those that change descriptors are stored with them."""

    scales: tuple[int, ...]
    mirror: bool = True
    exif: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    dtype: Literal["float32", "float16"] = "float32"
    batch_size: int | None = None  # None: as many as images.BATCH_PIXELS allows
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self):
        if not self.scales or min(self.scales) < 1:
            raise OptionError(f"scales must be positive numbers; got {list(self.scales)}.")
        if len(set(self.scales)) < len(self.scales):
            raise OptionError(f"a scale is given twice in {list(self.scales)}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError(f"batch size must be at least 1; got {self.batch_size}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise OptionError("device cuda: no CUDA device was found. Use auto or cpu.")

    @property
    def resolved_device(self) -> str:
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        return self.device

    @property
    def resolved_precision(self) -> str:
        if self.precision == "auto":
            return "bf16" if self.resolved_device == "cuda" else "fp32"
        return self.precision


@dataclass(frozen=True)
class Extracted:
    """Where the descriptors are, what was new, and which pictures could not be read."""

    path: Path
    num_new: int = 0
    seconds: float = 0.0
    skipped: Mapping[str, str] = field(default_factory=dict)  # id -> reason


def conditions(dataset: str, network: Network, options: Extraction) -> store.Conditions:
    """What decides the descriptors of this dataset, net and options."""
    return store.Conditions(
        dataset=dataset,
        network=network.name,
        weights=network.weights_identity,
        layer=network.backbone.layer,
        scales=options.scales,
        mirror=options.mirror,
        mean=network.statistics.mean,
        std=network.statistics.std,
        decoder="Pillow",
        exif=options.exif,
        resize_filter=images.RESIZE_FILTER,
        precision=options.resolved_precision,
        dtype=options.dtype,
    )


def extract(
    dataset: str,
    pictures: Mapping[str, Path],
    network: Network,
    options: Extraction,
    *,
    folder: Path,
    progress: Progress = lambda label, done, total: None,
) -> Extracted:
    """Make sure that every picture (id -> path) has its descriptors in a feature file.

    The file lies in `folder` under a name that follows from its conditions; only what is missing
    is extracted, and what is done stays done whatever happens. Raises PictureError at a picture
    that cannot be read unless options.on_error is "skip", OptionError if a scale is too small for
    the net, StoreError if the file is damaged or in use.
    """
    too_small = [scale for scale in options.scales if scale < network.backbone.min_size]
    if too_small:
        raise OptionError(
            f"scale {too_small[0]} is too small for {network.name}: it needs at least"
            f" {network.backbone.min_size}."
        )
    started = time.monotonic()
    asked = conditions(dataset, network, options)
    file_bytes = {i: _file_bytes(picture) for i, picture in pictures.items()}
    path, complete = store.find(folder, f"{dataset}-{network.slug}", asked, file_bytes)
    if complete:
        return Extracted(path)
    with store.FeatureWriter(
        path,
        asked,
        dim=network.backbone.dim,
        file_bytes=file_bytes,
        provenance={"weights_name": network.weights, "versions": json.dumps(library_versions())},
    ) as writer:
        run = _Run(network, options, pictures, writer, progress)
        run.extract(writer.missing(pictures))
    log.info("%s: %d new descriptors in %s", network.label, run.num_new, path)
    return Extracted(path, run.num_new, time.monotonic() - started, run.skipped)


@torch.inference_mode()
def describe(
    module: nn.Module,
    pictures: np.ndarray,
    statistics: images.InputStatistics,
    *,
    mirror: bool,
    device: str = "cpu",
    precision: str = "fp32",
) -> Tensor:
    """Descriptors of a batch at one scale: pictures [B, h, w, 3] uint8 -> [B, D] float32.

    module maps normalised images [B, 3, h, w] to a map [B, D, h', w'] and is on `device`.
    """
    # Rows of B x h x w x 3 seen as [B, 3, h, w] are channels-last, the layout kernels like best.
    batch = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float()
    mean = torch.tensor(statistics.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(statistics.std, device=device).view(1, 3, 1, 1)
    batch = (batch - mean) / std
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        descriptor = module(batch).float().mean(dim=(2, 3))
        if mirror:
            descriptor = (descriptor + module(batch.flip(3)).float().mean(dim=(2, 3))) / 2
    return descriptor.cpu()


class _Run:
    """One pass over the missing pictures: threads prepare batches, this thread runs the net."""

    def __init__(
        self,
        network: Network,
        options: Extraction,
        pictures: Mapping[str, Path],
        writer: store.FeatureWriter,
        progress: Progress,
    ):
        self.network, self.options, self.pictures = network, options, pictures
        self.writer, self.progress = writer, progress
        self.num_new = 0
        self.skipped: dict[str, str] = {}

    def extract(self, missing: set[str]) -> None:
        options, device = self.options, self.options.resolved_device
        module = self.network.module.to(device, memory_format=torch.channels_last)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                sizes = self._sizes(pool)
                # Planned over all pictures, so that a resumed run cuts the same batches.
                plan = images.plan_batches(sizes, options.scales, options.batch_size)
                batches = [left for ids in plan if (left := [i for i in ids if i in missing])]
                label, total = f"extracting {self.network.label}", sum(map(len, batches))
                for ids, arrays in self._loaded(pool, batches):
                    descriptors = [
                        describe(
                            module,
                            array,
                            self.network.statistics,
                            mirror=options.mirror,
                            device=device,
                            precision=options.resolved_precision,
                        )
                        for array in arrays
                    ]  # S tensors [B, D]
                    self.writer.write(
                        ids,
                        torch.stack(descriptors, dim=1).numpy(),  # [B, S, D]
                        [sizes[i] for i in ids],
                        [_file_bytes(self.pictures[i]) for i in ids],
                    )
                    self.num_new += len(ids)
                    self.progress(label, self.num_new + len(self.skipped), total)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _sizes(self, pool: ThreadPoolExecutor) -> dict[str, tuple[int, int]]:
        """Width and height of every picture that can be read, in the order of the pictures."""

        def size(item: tuple[str, Path]) -> tuple[int, int] | PictureError:
            try:
                size = images.picture_size(item[1], exif=self.options.exif)
                for scale in self.options.scales:
                    images.check_fits(item[1], size, scale)
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
            paths = [self.pictures[i] for i in ids]
            return images.load_batch(paths, self.options.scales, exif=self.options.exif)

        waiting: list[tuple[list[str], Future]] = []
        for ids in batches[:BATCHES_AHEAD]:
            waiting.append((ids, pool.submit(load, ids)))
        for number in range(len(batches)):
            ids, future = waiting.pop(0)
            if number + BATCHES_AHEAD < len(batches):
                ahead = batches[number + BATCHES_AHEAD]
                waiting.append((ahead, pool.submit(load, ahead)))
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


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise PictureError(f"{path}: no such picture.") from error
