"""What a user may change in a measurement: pictures, splits and labels; extraction and vectors."""

from dataclasses import dataclass

from vggfeat.benchmarks.evaluation import NEWTON, Probe
from vggfeat.errors import OptionError
from vggfeat.features.aggregate import Aggregate
from vggfeat.features.options import Extraction

MAX_SPLITS = 1000
MAX_BOX_MARGIN = 10


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What a user may change in a benchmark's pictures, splits and labels."""

    num_splits: int = 3  # where splits are random
    seed: int = 0  # of random splits
    background: bool = True  # Caltech: whether the background or clutter class counts as a class
    difficult: str = "ignore"  # VOC: what pictures of difficult instances only are in training
    box_margin: float = 0.0  # actions: added on every side of a box, as a share of its sides
    limit: int | None = None  # pictures at most: of a class, or in VOC of a set

    def __post_init__(self):
        if not 1 <= self.num_splits <= MAX_SPLITS:
            raise OptionError(f"splits must be from 1 to {MAX_SPLITS}; got {self.num_splits}.")
        if self.limit is not None and self.limit < 2:
            raise OptionError(
                f"limit must be at least 2, one picture to train and one to test; got {self.limit}."
            )
        if self.difficult not in ("ignore", "negative"):
            raise OptionError(f"difficult must be 'ignore' or 'negative'; got {self.difficult!r}.")
        if not 0 <= self.box_margin <= MAX_BOX_MARGIN:
            raise OptionError(
                f"box margin must be from 0 to {MAX_BOX_MARGIN}; got {self.box_margin}."
            )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a measurement is made: extraction, scale combination, and who fits the SVMs."""

    extraction: Extraction
    aggregate: Aggregate
    scale_l2: bool = False  # normalise each scale before they are combined
    probe: Probe = NEWTON
