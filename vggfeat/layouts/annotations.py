"""PASCAL VOC's XML annotations of a picture, in which ILSVRC's boxes are written, too."""

from pathlib import Path
from xml.etree import ElementTree

from vggfeat.errors import DatasetError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


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
    return left, upper, right, lower


def picture_size(tree: ElementTree.ElementTree, path: Path) -> tuple[int, int]:
    """Width and height in pixels, as they are written. Raises DatasetError."""
    try:
        width, height = (int(tree.find(f"size/{side}").text) for side in ("width", "height"))
    except (AttributeError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: not a devkit annotation ({error}).") from error
    return width, height
