"""Pictures -> descriptors of a frozen net, per picture and scale, in a feature file.

For a picture and a scale Q: rescale the shortest side to Q, run the dense net over the whole
picture, average the descriptor map over its positions, average with the mirrored picture (paper,
appendix B). What is stored is not normalised: aggregation over scales and L2 come later.

Other vectors that a net gives for a picture and a scale are extracted in the same way: `Reading` is
what a kind of them has to define, and `Descriptor` the kind that this project is about.

Shapes: B pictures of a batch, S scales, D channels, h w sides of a picture or a map.
"""

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vggfeat import devices, images, store
from vggfeat.backbones import Network
from vggfeat.errors import NetworkError, OptionError, PictureError
from vggfeat.provenance import library_versions

log = logging.getLogger(__name__)

MAX_SCALE = 10_000
NUM_TIMINGS = 3  # the first of which warms up
BATCHES_AHEAD = 4  # prepared while the net works
CHOICES = {
    "precision": ("auto", "fp32", "bf16"),
    "dtype": ("float32", "float16"),
    "on_error": ("stop", "skip"),
}
Progress = Callable[[str, int, int], None]  # label, pictures done, pictures in all


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """The options of an extraction. Those that change descriptors are stored with them."""

    scales: tuple[int, ...]
    mirror: bool = True
    exif: bool = False
    device: str = "auto"
    precision: str = "auto"
    dtype: str = "float32"
    batch_size: int | None = None  # None: as many as images.BATCH_PIXELS allows
    on_error: str = "stop"

    def __post_init__(self):
        object.__setattr__(self, "scales", tuple(self.scales))
        if not self.scales or not all(1 <= scale <= MAX_SCALE for scale in self.scales):
            raise OptionError(f"scales must be from 1 to {MAX_SCALE}; got {list(self.scales)}.")
        if len(set(self.scales)) < len(self.scales):
            raise OptionError(f"a scale is given twice in {list(self.scales)}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError(f"batch size must be at least 1; got {self.batch_size}.")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise OptionError(
                    f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}."
                )
        devices.resolved(self.device)  # refuses one that is not there

    @property
    def resolved_device(self) -> str:
        return devices.resolved(self.device)

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
    scale_seconds: Mapping[int, float] = field(default_factory=dict)  # scale -> of the net alone


class Reading(ABC):
    """A kind of vector [D] that a net gives for each picture and scale."""

    name = "descriptor"  # what people are told of

    def __init__(self, network: Network):
        self.network = network

    @property
    @abstractmethod
    def layer(self) -> str:
        """What feature files call it; no two kinds have the same name."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """D."""

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """What the pictures go through, in eval mode on the CPU; built on first use."""

    @abstractmethod
    def read(self, module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
        """Normalised pictures [B, 3, h, w] of equal shape -> [B, D]; module is on their device."""


class Descriptor(Reading):
    """The last hidden layer, averaged over positions."""

    @property
    def layer(self) -> str:
        return self.network.backbone.layer

    @property
    def dim(self) -> int:
        return self.network.backbone.dim

    @property
    def module(self) -> nn.Module:
        return self.network.module

    def read(self, module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
        return pooled(module, batch, mirror=mirror)


def pooled(module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
    """The map of a batch averaged over positions, and with the mirrored batch's: [B, D]."""
    descriptor = module(batch).float().mean(dim=(2, 3))
    if mirror:
        descriptor = (descriptor + module(batch.flip(3)).float().mean(dim=(2, 3))) / 2
    return descriptor


def conditions(
    dataset: str, network: Network, options: Extraction, reading: type[Reading] = Descriptor
) -> store.Conditions:
    """What decides the descriptors of this dataset, net and options."""
    return store.Conditions(
        dataset=dataset,
        network=network.name,
        weights=network.weights_identity,
        layer=reading(network).layer,
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


def check_scales(network: Network, options: Extraction) -> None:
    """Raise OptionError if a scale is too small for the net."""
    smallest, needed = min(options.scales), network.backbone.min_size
    if smallest < needed:
        raise OptionError(
            f"scale {smallest} is too small for {network.name}: it needs at least {needed}."
        )


def missing(
    dataset: str,
    pictures: Mapping[str, images.Picture],
    network: Network,
    options: Extraction,
    *,
    folder: Path,
) -> tuple[Path, set[str]]:
    """The feature file that `extract` would use, and the pictures it would have to extract."""
    file_bytes = {i: picture_bytes(picture) for i, picture in pictures.items()}
    asked = conditions(dataset, network, options)
    path, _ = store.find(folder, f"{dataset}-{network.slug}", asked, file_bytes)
    return path, store.lacking(path, file_bytes)


def seconds_per_megapixel(network: Network, options: Extraction) -> float:
    """How long the net takes over a million pixels here, by timing one picture a few times."""
    device = options.resolved_device
    module = network.module.to(device, memory_format=torch.channels_last)
    scale = min(options.scales)
    picture = np.zeros((1, scale, round(scale * images.ASSUMED_ASPECT), 3), dtype=np.uint8)
    times = []
    for _ in range(NUM_TIMINGS):
        started = time.monotonic()
        describe(
            module, picture, network.statistics, mirror=False, device=device,
            precision=options.resolved_precision,
        )  # fmt: skip
        times.append(time.monotonic() - started)
    return min(times) / (picture.size / 3 / 1e6)


def extract(
    dataset: str,
    pictures: Mapping[str, images.Picture],
    network: Network,
    options: Extraction,
    *,
    folder: Path,
    progress: Progress = lambda label, done, total: None,
    reading: type[Reading] = Descriptor,
) -> Extracted:
    """Make sure that every picture (id -> file or crop) has its descriptors in a feature file.

    The file lies in `folder` under a name that follows from its conditions; only what is missing
    is extracted, and what is done stays done whatever happens. Raises PictureError at a picture
    that cannot be read unless options.on_error is "skip", OptionError if a scale is too small for
    the net, StoreError if the file is damaged.
    """
    check_scales(network, options)
    started = time.monotonic()
    asked = conditions(dataset, network, options, reading)
    file_bytes = {i: picture_bytes(picture) for i, picture in pictures.items()}
    path, complete = store.find(folder, f"{dataset}-{network.slug}", asked, file_bytes)
    if complete:
        return Extracted(path)
    kind = reading(network)
    module = kind.module  # weights that do not fit are found before a file is made
    with store.FeatureWriter(
        path,
        asked,
        dim=kind.dim,
        file_bytes=file_bytes,
        weights_name=network.weights,
        versions=library_versions(),
    ) as writer:
        run = _Run(kind, options, pictures, writer, progress)
        try:
            run.extract(module, writer.missing(pictures))
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate" in str(error):
                raise OptionError(
                    f"{network.label}: not enough memory for a batch at scale"
                    f" {max(options.scales)}. Try --batch-size 1, or smaller scales."
                ) from error
            raise
    log.info("%s: %d new %ss in %s", network.label, run.num_new, kind.name, path)
    seconds = time.monotonic() - started
    return Extracted(path, run.num_new, seconds, run.skipped, dict(run.scale_seconds))


def picture_bytes(picture: images.Picture) -> int:
    """Size of a picture's file, by which a changed picture is noticed; -1 if there is none."""
    path = picture.path if isinstance(picture, images.Crop) else picture
    try:
        return path.stat().st_size
    except OSError:
        return -1


@torch.inference_mode()
def describe(
    module: nn.Module,
    pictures: np.ndarray,
    statistics: images.InputStatistics,
    *,
    mirror: bool,
    device: str = "cpu",
    precision: str = "fp32",
    read: Callable[..., Tensor] = pooled,
) -> Tensor:
    """Descriptors of a batch at one scale: pictures [B, h, w, 3] uint8 -> [B, D] float32.

    module maps normalised images [B, 3, h, w] to a map [B, D, h', w'] and is on `device`; read is a
    Reading's.
    """
    batch = normalised(pictures, statistics, device)
    with forward_in(device, precision):
        return read(module, batch, mirror=mirror).float().cpu()


def normalised(pictures: np.ndarray, statistics: images.InputStatistics, device: str) -> Tensor:
    """Pictures [B, h, w, 3] uint8 as a net takes them: [B, 3, h, w] float32 on the device."""
    # Rows of B x h x w x 3 seen as [B, 3, h, w] are channels-last, the layout kernels like best.
    batch = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float()
    mean = torch.tensor(statistics.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(statistics.std, device=device).view(1, 3, 1, 1)
    return (batch - mean) / std


@contextmanager
def forward_in(device: str, precision: str) -> Iterator[None]:
    """A `with` block for passes through a net at this precision."""
    with (
        torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"),
        # Otherwise "fp32" would mean TF32 on a GPU, and other digits than on a CPU.
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
    ):
        yield


class _Run:
    """One pass over the missing pictures: threads prepare batches, this thread runs the net."""

    def __init__(
        self,
        reading: Reading,
        options: Extraction,
        pictures: Mapping[str, images.Picture],
        writer: store.FeatureWriter,
        progress: Progress,
    ):
        self.reading, self.options = reading, options
        self.label, self.statistics = reading.network.label, reading.network.statistics
        self.pictures, self.writer, self.progress = pictures, writer, progress
        self.num_new = 0
        self.scale_seconds = dict.fromkeys(options.scales, 0.0)
        self.skipped: dict[str, str] = {}

    def extract(self, module: nn.Module, missing: set[str]) -> None:
        options = self.options
        module = module.to(options.resolved_device, memory_format=torch.channels_last)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                sizes = self._sizes(pool)
                # Planned over all pictures, so that a resumed run cuts the same batches.
                plan = images.plan_batches(sizes, options.scales, options.batch_size)
                batches = [left for ids in plan if (left := [i for i in ids if i in missing])]
                for ids, arrays in self._loaded(pool, batches):
                    self.writer.write(
                        ids,
                        self._describe(module, ids, arrays),
                        [sizes[i] for i in ids],
                        [picture_bytes(self.pictures[i]) for i in ids],
                    )
                    self.num_new += len(ids)
                    done = self.num_new + len(self.skipped)
                    self.progress(f"extracting {self.label}", done, len(missing))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _describe(self, module: nn.Module, ids: list[str], arrays: list[np.ndarray]) -> np.ndarray:
        """Descriptors [B, S, D] of a batch, as they will be stored."""
        descriptors = []
        for scale, array in zip(self.options.scales, arrays, strict=True):
            began = time.monotonic()
            descriptors.append(
                describe(
                    module,
                    array,
                    self.statistics,
                    mirror=self.options.mirror,
                    device=self.options.resolved_device,
                    precision=self.options.resolved_precision,
                    read=self.reading.read,
                )
            )
            self.scale_seconds[scale] += time.monotonic() - began
        with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite: see below
            stored = torch.stack(descriptors, dim=1).numpy().astype(self.options.dtype)
        unsound = np.flatnonzero(~np.isfinite(stored).all(axis=(1, 2)))
        if len(unsound):
            raise NetworkError(
                f"{self.label}: the {self.reading.name} of {ids[unsound[0]]} is not finite as"
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
            pictures = [self.pictures[i] for i in ids]
            return images.load_batch(pictures, self.options.scales, exif=self.options.exif)

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
