"""What happens to a picture on its way into training: scale S, crop, mirror, colour shift.

Every random choice is a function of the recipe's seed, the epoch and the picture's number alone.
So it does not matter which process or thread prepares a picture, nor how often a run was resumed.
Pixels are 0 to 255, channels R, G, B.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from vggfeat.errors import DatasetError
from vggfeat.images import rescaled_size
from vggfeat.pretraining.rng import Purpose, generator


@dataclass(frozen=True)
class Colours:
    """Mean colour of the training pictures and the principal components of their pixels.

    eigenvalues are those of the covariance of pixels scaled to 0..1, as AlexNet's successors use
    them; eigenvectors[k] belongs to eigenvalues[k].
    """

    mean: tuple[float, float, float]
    eigenvalues: tuple[float, float, float]
    eigenvectors: tuple[tuple[float, float, float], ...]

    def shift(self, multipliers: np.ndarray) -> np.ndarray:
        """The colour [3] that is added to every pixel of a picture (AlexNet, sect. 4.1).

        multipliers [3] are drawn from N(0, colour_std).
        """
        components = np.array(self.eigenvectors) * np.array(self.eigenvalues)[:, None]
        return 255 * multipliers @ components

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: object, where: str) -> "Colours":
        """Raises DatasetError if the values are not what `to_json` gives."""
        try:
            mean, eigenvalues, eigenvectors = (
                np.asarray(values[name], dtype=float)
                for name in ("mean", "eigenvalues", "eigenvectors")
            )
            sound = (mean.shape, eigenvalues.shape, eigenvectors.shape) == ((3,), (3,), (3, 3))
            sound &= all(np.isfinite(v).all() for v in (mean, eigenvalues, eigenvectors))
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise DatasetError(
                f"{where}: needs mean [3], eigenvalues [3] and eigenvectors [3][3], as a run's"
                " colours.json has them."
            )
        return cls(
            tuple(mean.tolist()),
            tuple(eigenvalues.tolist()),
            tuple(tuple(row) for row in eigenvectors.tolist()),
        )


@dataclass(frozen=True)
class Augmentation:
    """One draw for one picture."""

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
    """One of the room + 1 places, each equally likely for a uniform share of 0 to 1."""
    return min(int(share * (room + 1)), room)


def colours_of(pictures: Iterable[np.ndarray]) -> Colours:
    """Mean and principal components of the pixels of pictures [h, w, 3], each counted alike."""
    sums, products, count = np.zeros(3), np.zeros((3, 3)), 0
    for picture in pictures:
        pixels = picture.reshape(-1, 3).astype(np.float64)
        sums += pixels.mean(axis=0)
        products += pixels.T @ pixels / len(pixels)
        count += 1
    mean = sums / count
    covariance = (products / count - np.outer(mean, mean)) / 255**2
    eigenvalues, columns = np.linalg.eigh(covariance)
    largest_first = np.argsort(eigenvalues)[::-1]
    vectors = columns.T[largest_first]
    # A component's sign is free; a fixed one makes the draw the same with every linear algebra.
    vectors *= np.sign(vectors[np.arange(3), np.abs(vectors).argmax(axis=1)])[:, None]
    return Colours(
        tuple(mean.tolist()),
        tuple(np.maximum(eigenvalues[largest_first], 0).tolist()),
        tuple(tuple(row) for row in vectors.tolist()),
    )
