"""What a user may change in how pictures become vectors: the extraction, and what follows it."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

from vggfeat import devices
from vggfeat.errors import OptionError
from vggfeat.options import (
    DESCRIPTORS,
    NOTHING,
    VECTORS,
    Declared,
    both,
    option,
    others_of,
)

MAX_SCALE = 10_000
AGGREGATES = ("average", "stack")


def as_scales(scales: int | Iterable[int]) -> tuple[int, ...]:
    """One scale or several, as a tuple. Raises OptionError at what is no number."""
    several = (scales,) if isinstance(scales, Integral) else tuple(scales)
    if not all(isinstance(scale, Real) for scale in several):
        raise OptionError(f"scales must be whole numbers, one or several; got {scales!r}.")
    return several


def scale_subsets(scales: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All scales together, then pairs, then single ones."""
    sizes = [size for size in (2, 1) if size < len(scales)]
    return [scales, *itertools.chain(*(itertools.combinations(scales, size) for size in sizes))]


@dataclass(frozen=True, kw_only=True)
class Extraction(Declared):
    """The options of an extraction. Those that change descriptors are stored with them."""

    scales: tuple[int, ...] = option(
        help="Shortest sides in pixels; each benchmark has the paper's by default.",
        changes=DESCRIPTORS,
        minimum=1,
        maximum=MAX_SCALE,
        by_benchmark=True,
        sweep=scale_subsets,
        sweep_help="single scales, pairs, and all of them",
        phrase=lambda scales: ",".join(map(str, scales)),
    )
    mirror: bool = option(
        True,
        "Average with mirrored pictures, as the paper does (the default).",
        changes=DESCRIPTORS,
        by_benchmark=True,
        sweep=both,
        sweep_help="averaged with mirrored pictures, or not",
        phrase=lambda mirror: "mirror" if mirror else "no mirror",
    )
    exif: bool = option(
        False,
        "Turn pictures as their EXIF orientation says.",
        changes=DESCRIPTORS,
        negatable=False,
    )
    scaled_jpeg: bool = option(
        False,
        "Decode large JPEGs smaller, to no less than twice the scale: faster, and not quite the"
        " same.",
        changes=DESCRIPTORS,
        negatable=False,
        added_later=True,
    )
    on_error: str = option(
        "stop",
        "What to do at a picture that cannot be read.",
        changes=NOTHING,
        choices=("stop", "skip"),
    )
    device: str = option(
        "auto",
        "What to compute on: cpu, cuda, cuda:1, mps or xpu; auto is an NVIDIA GPU where there is"
        " one.",
        changes=NOTHING,
        check=devices.check_name,
        metavar="DEVICE",
    )
    precision: str = option(
        "auto",
        "Precision of the forward pass; auto is bf16 wherever the hardware multiplies it, else"
        " fp32.",
        changes=DESCRIPTORS,
        choices=("auto", "fp32", "bf16"),
    )
    dtype: str = option(
        "float32",
        "Type of the stored descriptors.",
        changes=DESCRIPTORS,
        choices=("float32", "float16"),
    )
    batch_size: int | None = option(  # None: as many as batches.py and batch_pixels.py allow
        None, "Pictures a batch.", changes=NOTHING, minimum=1, metavar="N", unset="auto"
    )

    if TYPE_CHECKING:  # what dataclass makes, but for the types that scales may have

        def __init__(
            self, *, scales: int | Iterable[int], mirror: bool = ..., exif: bool = ...,
            scaled_jpeg: bool = ..., on_error: str = ..., device: str = ..., precision: str = ...,
            dtype: str = ..., batch_size: int | None = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        """Raise OptionError at a value that is not allowed."""
        object.__setattr__(self, "scales", as_scales(self.scales))
        if not self.scales:
            raise OptionError(f"scales must be from 1 to {MAX_SCALE}; got [].")
        super().__post_init__()
        if len(set(self.scales)) < len(self.scales):
            raise OptionError(f"a scale is given twice in {list(self.scales)}.")
        if self.device not in ("auto", "cpu"):
            _ = self.resolved_device  # refuses a device that is not there

    @property
    def resolved_device(self) -> str:
        """The device that this process computes on, as torch calls it."""
        return devices.of_this_process(devices.resolved(self.device))

    @property
    def resolved_precision(self) -> str:
        """The precision of the forward pass, "fp32" or "bf16"."""
        return devices.resolved_precision(self.precision, self.resolved_device)


@dataclass(frozen=True, kw_only=True)
class VectorOptions(Declared):
    """How the stored descriptors of an example become the vector that a probe gets."""

    aggregate: str = option(
        "average",
        "How to combine scales; each benchmark has the paper's default.",
        changes=VECTORS,
        choices=AGGREGATES,
        by_benchmark=True,
        sweep=others_of(AGGREGATES),
        sweep_help="average or stack",
        combines_scales=True,
    )
    scale_l2: bool = option(
        False,
        "Normalise each scale before scales are combined.",
        changes=VECTORS,
        sweep=both,
        sweep_help="each scale normalised before they are combined, or not",
        combines_scales=True,
        phrase=lambda scale_l2: "L2 per scale" if scale_l2 else "",
    )
