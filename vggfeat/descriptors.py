"""Pictures -> descriptors of a frozen net, per picture and scale, in a feature file.

For a picture and a scale Q: rescale the shortest side to Q, run the dense net over the whole
picture, average the descriptor map over its positions, average with the mirrored picture (paper,
appendix B). What is stored is not normalised: aggregation over scales and L2 come later. A net that
takes pictures of one size only sees crops, whose descriptors are averaged; see `backbone.VIEWS`.

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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vggfeat import crops, devices, images, store
from vggfeat.backbones.network import Network, together
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
    """A layer's activations, averaged over positions and over what is seen of a picture.

    Of several networks that share a pass, what they give is joined: D is the sum of theirs.
    """

    def __init__(self, network: Network, beside: Sequence[Network] = ()):
        super().__init__(network)
        self.networks = (network, *beside)

    @property
    def layer(self) -> str:
        return self.network.backbone.layer

    @property
    def dim(self) -> int:
        return sum(network.backbone.dim for network in self.networks)

    @property
    def module(self) -> nn.Module:
        return together(self.networks)

    def read(self, module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
        seen = self._seen(batch)
        if mirror:
            seen = [one for crop in seen for one in (crop, crop.flip(3))]
        return torch.stack([pooled(module, one) for one in seen]).mean(dim=0)

    def _seen(self, batch: Tensor) -> list[Tensor]:
        """What the net sees of the pictures: all of them, or crops."""
        side = self.network.backbone.input_size
        match self.network.backbone.view:
            case "centre":
                return [crops.centre(batch, side)]
            case "corners":
                return crops.corners_and_centre(batch, side)
        return [batch]


def pooled(module: nn.Module, batch: Tensor) -> Tensor:
    """The maps that a net gives, each averaged over positions, one after the other: [B, D]."""
    return torch.cat([one.float().mean(dim=(2, 3)) for one in module(batch)], dim=1)


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
    """Raise OptionError if a scale is not one for the net."""
    backbone, smallest = network.backbone, min(options.scales)
    needed = max(backbone.min_size, backbone.input_size if sees_crops(network) else 0)
    if smallest < needed:
        raise OptionError(
            f"scale {smallest} is too small for {network.name}: it needs at least {needed}."
        )
    if is_square(network) and not backbone.any_size and set(options.scales) != {needed}:
        raise OptionError(
            f"{network.name} takes squares of {needed} only: give --scales {needed}, or view=centre"
            " or view=corners for larger ones."
        )


def is_square(network: Network) -> bool:
    """Whether pictures are rescaled to squares, their aspect ratio not kept."""
    return network.backbone.view == "resized"


def sees_crops(network: Network) -> bool:
    return network.backbone.view in ("centre", "corners")


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
    kind = Descriptor(network)
    module = kind.module.to(device, memory_format=torch.channels_last)
    scale = min(options.scales)
    aspect = 1 if is_square(network) else images.ASSUMED_ASPECT
    picture = np.zeros((1, scale, round(scale * aspect), 3), dtype=np.uint8)
    times = []
    for _ in range(NUM_TIMINGS):
        started = time.monotonic()
        describe(
            kind, module, picture, mirror=False, device=device,
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
    beside: Sequence[Network] = (),
) -> Extracted:
    """Make sure that every picture (id -> file or crop) has its descriptors in a feature file.

    The file lies in `folder` under a name that follows from its conditions; only what is missing
    is extracted, and what is done stays done whatever happens. `beside` are networks that share a
    pass with this one: what they lack is extracted in the same pass, into files of their own.
    Raises PictureError at a picture that cannot be read unless options.on_error is "skip",
    OptionError if a scale is too small for the net, StoreError if the file is damaged.
    """
    assert not beside or reading is Descriptor, "only descriptors are read together"
    started = time.monotonic()
    file_bytes = {i: picture_bytes(picture) for i, picture in pictures.items()}
    files = {}  # of the networks that lack something
    for one in (network, *beside):
        check_scales(one, options)
        asked = conditions(dataset, one, options, reading)
        path, complete = store.find(folder, f"{dataset}-{one.slug}", asked, file_bytes)
        if not complete:
            files[path] = one, asked
        elif one is network:
            return Extracted(path)
    others = [one for one, _ in files.values() if one is not network]
    kind = Descriptor(network, others) if others else reading(network)
    module = kind.module  # weights that do not fit are found before a file is made
    with ExitStack() as opened:
        writers = {}
        for path in sorted(files):  # in an order that two processes have in common
            one, asked = files[path]
            writers[path] = opened.enter_context(
                store.FeatureWriter(
                    path,
                    asked,
                    dim=one.backbone.dim if others else kind.dim,
                    file_bytes=file_bytes,
                    weights_name=one.weights,
                    versions=library_versions(),
                )
            )
        run = _Run(kind, options, pictures, [writers[path] for path in files], progress)
        run.extract(module)
    path = next(iter(files))
    log.info("%s: %d new %ss in %s", network.label, run.num_new, kind.name, path)
    if others:
        layers = ", ".join(one.backbone.layer for one in others)
        log.info("%s: in the same pass: %s", network.label, layers)
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
    reading: Reading,
    module: nn.Module,
    pictures: np.ndarray,
    *,
    mirror: bool,
    device: str = "cpu",
    precision: str = "fp32",
) -> Tensor:
    """What a reading gives for a batch at one scale: [B, h, w, 3] uint8 -> [B, D] float32.

    module is the reading's own, and on `device`.
    """
    batch = normalised(pictures, reading.network.statistics, device)
    with forward_in(device, precision):
        return reading.read(module, batch, mirror=mirror).float().cpu()


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
        writers: Sequence[store.FeatureWriter],
        progress: Progress,
    ):
        self.reading, self.options = reading, options
        self.label, self.square = reading.network.label, is_square(reading.network)
        self.pictures, self.writers, self.progress = pictures, writers, progress
        self.num_new = 0
        self.scale_seconds = dict.fromkeys(options.scales, 0.0)
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
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                sizes = self._sizes(pool)
                # Planned over all pictures, so that a resumed run cuts the same batches.
                plan = images.plan_batches(
                    sizes, options.scales, options.batch_size, square=self.square
                )
                batches = [left for ids in plan if (left := [i for i in ids if i in missing])]
                for ids, arrays in self._loaded(pool, batches):
                    self._store(ids, self._describe(module, ids, arrays), sizes, lacking)
                    self.num_new += len(ids)
                    done = self.num_new + len(self.skipped)
                    self.progress(f"extracting {self.label}", done, len(missing))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

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
                    [picture_bytes(self.pictures[i]) for i in its_ids],
                )
            first += writer.dim

    def _describe(self, module: nn.Module, ids: list[str], arrays: list[np.ndarray]) -> np.ndarray:
        """Descriptors [B, S, D] of a batch, as they will be stored."""
        descriptors = []
        for scale, array in zip(self.options.scales, arrays, strict=True):
            began = time.monotonic()
            descriptors.append(
                describe(
                    self.reading,
                    module,
                    array,
                    mirror=self.options.mirror,
                    device=self.options.resolved_device,
                    precision=self.options.resolved_precision,
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
            pictures = [self.pictures[i] for i in ids]
            return images.load_batch(
                pictures, self.options.scales, exif=self.options.exif, square=self.square
            )

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
