"""PASCAL VOC's XML annotations of a picture, in which ILSVRC's boxes are written, too."""

import logging
import math
from pathlib import Path
from xml.etree import ElementTree

from vggfeat import images
from vggfeat.errors import DatasetError, PictureError

log = logging.getLogger(__name__)

CORNERS = ("xmin", "ymin", "xmax", "ymax")
MAX_SIDE = 10**6  # pixels; no format's pictures that Pillow decodes are as wide
Size = tuple[int, int]  # width, height


def read(path: Path) -> ElementTree.ElementTree:
    """The parsed file. Raises DatasetError if it is missing or damaged."""
    try:
        return ElementTree.parse(path)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}. The boxes are read from it.") from error
    # An encoding that the parser does not know is a LookupError or a ValueError.
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise DatasetError(f"{path}: not a devkit annotation ({error}).") from error


def corners(item: ElementTree.Element, path: Path) -> tuple[float, float, float, float]:
    """xmin, ymin, xmax and ymax of an object, as they are written. Raises DatasetError."""
    try:
        left, upper, right, lower = (float(item.find(f"bndbox/{name}").text) for name in CORNERS)
    except (AttributeError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: not a devkit annotation ({error}).") from error
    check_pixels((left, upper, right, lower), str(path))
    return left, upper, right, lower


def check_pixels(box: tuple[float, ...], place: str) -> None:
    """Raise DatasetError, which names the place, if an edge of a box can be in no picture."""
    for edge in box:
        if not (math.isfinite(edge) and abs(edge) <= MAX_SIDE):
            raise DatasetError(
                f"{place}: a box has an edge at {edge:g}, and no picture has. Edges are numbers of"
                f" pixels, at most {MAX_SIDE:,}. Correct the file or get it again."
            )


def stated_size(tree: ElementTree.ElementTree, path: Path) -> Size | None:
    """Width and height in pixels, as they are written; None where one is not. Raises DatasetError.

    Some tools write whole numbers as 500.0.
    """
    texts = [(tree.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    if not all(texts):
        return None
    try:
        width, height = map(float, texts)
    except ValueError as error:
        raise DatasetError(f"{path}: not a devkit annotation ({error}).") from error
    if not all(side.is_integer() and 0 < side <= MAX_SIDE for side in (width, height)):
        raise DatasetError(
            f"{path}: states a picture of {width:g}x{height:g} pixels. Sides are whole numbers from"
            f" 1 to {MAX_SIDE:,}. Correct the file or get it again."
        )
    return int(width), int(height)


def size_of(tree: ElementTree.ElementTree, path: Path, picture: Path) -> Size:
    """Width and height of the picture that boxes are in: as stated, where the file is not another.

    Where none are stated, or in the wrong order, they are the picture file's. Raises DatasetError.
    """
    stated, actual = stated_size(tree, path), _size_of_file(picture)
    if stated is None and actual is None:
        raise DatasetError(
            f"{path}: does not state the picture's size, and {picture} cannot be read."
        )
    if actual is None or stated == actual:
        return stated
    if stated is None or stated == actual[::-1]:
        return actual
    log.warning(
        "%s: states a picture of %dx%d, and %s has %dx%d: boxes may be of another picture",
        path, *stated, picture, *actual,
    )  # fmt: skip
    return stated


def enlargement(tree: ElementTree.ElementTree, path: Path, picture: Path) -> tuple[float, float]:
    """Width and height of a picture, as multiples of those that its annotation states.

    Sides that are stated in the wrong order are put right. Raises DatasetError.
    """
    stated, actual = stated_size(tree, path), _size_of_file(picture)
    if stated is None or actual is None:
        return 1.0, 1.0
    if not _are_proportional(stated, actual) and _are_proportional(stated[::-1], actual):
        stated = stated[::-1]
    return actual[0] / stated[0], actual[1] / stated[1]


def _are_proportional(size: Size, other: Size) -> bool:
    """Whether one is the other enlarged, up to rounding by a pixel."""
    across, down = other[0] / size[0], other[1] / size[1]
    return abs(size[0] * down - other[0]) <= 1 or abs(size[1] * across - other[1]) <= 1


def _size_of_file(picture: Path) -> Size | None:
    """Width and height from the picture's header; none if whoever reads it will report it."""
    try:
        return images.picture_size(picture)
    except PictureError:
        return None
