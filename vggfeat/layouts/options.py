"""What a user may change in a benchmark's pictures, splits and labels."""

from dataclasses import dataclass

from vggfeat.options import DATA, Declared, option

MAX_SPLITS = 1000
MAX_BOX_MARGIN = 10
MAX_SHOTS = 100_000


@dataclass(frozen=True, kw_only=True)
class DataOptions(Declared):
    """Which pictures, labels and splits of a dataset are measured on."""

    background: bool = option(
        True, "Caltech: count the background or clutter folder as a class.", changes=DATA
    )
    limit: int | None = option(
        None,
        "At most N pictures a class, in VOC N pictures or people a set, to try things out.",
        changes=DATA,
        minimum=2,
        because="one picture to train and one to test",
        metavar="N",
    )
    box_margin: float = option(
        0.0,
        "Actions: added on every side of a person's box, as a share of the box's sides.",
        changes=DATA,
        minimum=0,
        maximum=MAX_BOX_MARGIN,
    )
    difficult: str = option(
        "ignore",
        "VOC classification: what a picture with difficult instances only is in training.",
        changes=DATA,
        choices=("ignore", "negative"),
    )
    num_splits: int = option(
        3,
        "Number of random splits.",
        changes=DATA,
        minimum=1,
        maximum=MAX_SPLITS,
        flag="splits",
    )
    seed: int = option(0, "Seed of the random splits.", changes=DATA, minimum=0)
    shots: int | None = option(
        None,
        "Only so many training pictures a class, drawn from the training part of each split.",
        changes=DATA,
        minimum=1,
        maximum=MAX_SHOTS,
        metavar="N",
        unset="all",
        added_later=True,
    )
