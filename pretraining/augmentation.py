"""Augmentation of training pictures: scale S, random crop, mirror, colour shift (sect. 3.1).

Every random choice is a function of the recipe's seed, the epoch and the picture's number alone.
So it does not matter which process or thread prepares a picture, nor how often a run was resumed.
Pixels are 0 to 255, channels R, G, B.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vggfeat.images import rescaled_size
from vggfeat.pretraining.rng import Purpose, generator


@dataclass(frozen=True)
class Augmentation:
    """The random choices for one picture in one epoch."""

    scale: int  # S, pixels
    corner: tuple[float, float]  # of the crop, as a share of the room: 0 is left or upper
    mirror: bool
    multipliers: np.ndarray  # [3], of the principal components


def draw(
    seed: int, epoch: int, number: int, scales: tuple[int, int], *, mirror: bool, colour_std: float
) -> Augmentation:
    """The augmentation of picture `number` in this epoch; S is uniform over whole pixels."""
    random = generator(Purpose.PICTURE, seed, epoch, number)
    return Augmentation(
        scale=int(random.integers(scales[0], scales[1], endpoint=True)),
        corner=tuple(random.random(2)),
        mirror=bool(random.random() < 0.5) and mirror,
        multipliers=random.normal(scale=colour_std, size=3),
    )


def place(
    size: tuple[int, int], scale: int, corner: tuple[float, float] | None, side: int
) -> tuple[int, int]:
    """Left and upper edge of a crop, in pixels of the picture with its shortest side at `scale`.

    corner None is the centre.
    """
    width, height = rescaled_size(size, scale)
    if corner is None:
        return (width - side) // 2, (height - side) // 2
    return _place(width - side, corner[0]), _place(height - side, corner[1])


def crop(picture: Image.Image, scale: int, corner: tuple[int, int], side: int) -> np.ndarray:
    """A square [side, side, 3] of the picture with its shortest side at `scale`, uint8.

    corner is a `place`. The same pixels as rescaling the whole picture and cutting the square out
    of it, up to rounding, but only the square is resampled.
    """
    width, height = rescaled_size(picture.size, scale)
    left, upper = corner
    by_x, by_y = picture.width / width, picture.height / height
    box = (left * by_x, upper * by_y, (left + side) * by_x, (upper + side) * by_y)
    # Rounding must not put the box a hair outside the picture.
    box = (*box[:2], min(box[2], picture.width), min(box[3], picture.height))
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box))


def _place(room: int, share: float) -> int:
    """One of room + 1 places, each equally likely if the share is uniform from 0 to 1."""
    return min(int(share * (room + 1)), room)
