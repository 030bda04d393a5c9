"""Mean colour and principal components of the training pictures' pixels (AlexNet, sect. 4.1).

The mean is subtracted from every picture; random multiples of the components shift its colour.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from vggfeat.errors import DatasetError, PictureError
from vggfeat.images import decode, rescale
from vggfeat.layouts.imagenet import Labelled, Pictures
from vggfeat.prefetch import prefetch

MAX_PICTURES = 10_000  # that mean and components are computed from
SIDE = 64  # pixels, shortest side of those pictures


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
        """The values as colours.json and records hold them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object, where: str) -> "Colours":
        """Colours from what `to_json` gives; raises DatasetError, naming `where`, otherwise."""
        try:
            mean, eigenvalues, eigenvectors = (
                np.asarray(values[name], dtype=float)
                for name in ("mean", "eigenvalues", "eigenvectors")
            )
            is_valid = (mean.shape, eigenvalues.shape, eigenvectors.shape) == ((3,), (3,), (3, 3))
            is_valid &= all(np.isfinite(v).all() for v in (mean, eigenvalues, eigenvectors))
        except (KeyError, TypeError, ValueError):
            is_valid = False
        if not is_valid:
            raise DatasetError(
                f"{where}: needs mean [3], eigenvalues [3] and eigenvectors [3][3], as a run's"
                " colours.json has them."
            )
        return cls(
            tuple(mean.tolist()),
            tuple(eigenvalues.tolist()),
            tuple(tuple(row) for row in eigenvectors.tolist()),
        )


def compute_colours(pictures: Pictures) -> Colours:
    """The colours of all training pictures, or of MAX_PICTURES evenly spread ones.

    Pictures that cannot be read are left out.
    """
    step = -(-len(pictures.train) // MAX_PICTURES)

    def small(labelled: Labelled) -> np.ndarray | None:
        try:
            return np.asarray(rescale(decode(pictures.root / labelled[0]), SIDE))
        except PictureError:
            return None  # reported when training comes to it

    small_pictures = prefetch(small, pictures.train[::step])
    return colours_of(picture for picture in small_pictures if picture is not None)


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
    # A component's sign is free; a fixed one makes shifts the same with every linear algebra.
    vectors *= np.sign(vectors[np.arange(3), np.abs(vectors).argmax(axis=1)])[:, None]
    return Colours(
        tuple(mean.tolist()),
        tuple(np.maximum(eigenvalues[largest_first], 0).tolist()),
        tuple(tuple(row) for row in vectors.tolist()),
    )
