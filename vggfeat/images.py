"""Picture files -> RGB arrays with the shortest side at a scale.

Arrays are uint8. Shapes: S scales, B pictures of a batch, h w sides after rescaling. Sizes are
(width, height) in pixels, as Pillow has them; array shapes are rows first.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps

from vggfeat import png
from vggfeat.dataset_rows import DatasetRow
from vggfeat.errors import PictureError
from vggfeat.storage.section import Section

# Files of a folder that count as pictures, and Pillow's readers of them. Its others are left alone:
# some start programs (EPS), and none is a format of photographs.
PICTURE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm",
    ".pgm", ".pbm", ".pnm", ".jp2", ".avif",
)  # fmt: skip
FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF",
)  # fmt: skip
RESIZE_FILTER = "bilinear"  # Pillow's, which widens its support when shrinking: antialiased
# Largest picture after rescaling. At 64 channels of float32 the first layer of the nets holds
# 256 bytes a pixel, in and out: 4 GiB at this limit.
MAX_RESCALED_PIXELS = 2**23
# How many times a scale is what libjpeg leaves of the shortest side where it may decode less. With
# 2 descriptors stay within a cosine distance of 1e-3 to those of the whole picture; not with 1.
SCALED_MARGIN = 2
JPEG_REDUCTIONS = (8, 4, 2)  # libjpeg computes fewer frequencies of its blocks of 8 x 8
ORIENTATION = 0x0112  # the EXIF tag


@dataclass(frozen=True)
class Crop:
    """A crop of a picture file; box is (left, upper, right, lower) in pixels, its ends excluded.

    The box refers to the picture as it is stored, so EXIF rotation is never applied to a crop.
    """

    path: Path
    box: tuple[int, int, int, int]

    def __str__(self) -> str:
        return f"{self.path}, box {self.box}"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the box, in pixels."""
        left, upper, right, lower = self.box
        return right - left, lower - upper

    def check_within(self, size: tuple[int, int]) -> None:
        """Raise PictureError unless the box lies within a picture of this (width, height)."""
        left, upper, right, lower = self.box
        if not (0 <= left < right <= size[0] and 0 <= upper < lower <= size[1]):
            raise PictureError(f"{self}: not within the picture of {size[0]}x{size[1]} pixels.")


@dataclass(frozen=True, eq=False)
class InMemory:
    """A picture that lies in no file; `name` is how messages call it.

    The image is a loaded one, as several threads may read it.
    """

    image: Image.Image
    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def content(self) -> bytes:
        """Bytes that are the same for the same picture alone."""
        image = self.image
        orientation, transparency = image.getexif().get(ORIENTATION), image.info.get("transparency")
        facts = image.mode, image.size, image.getpalette(), transparency, orientation
        return repr(facts).encode() + image.tobytes()


@dataclass(frozen=True, slots=True)
class Member:
    """A picture inside an uncompressed archive: `size` bytes of the file at `path`, from `offset`.

    `archive` and `name` are how messages call the two, as the file may be a copy of another.
    """

    path: Path
    offset: int
    size: int
    name: str
    archive: str

    def __str__(self) -> str:
        return f"{self.archive}, member {self.name}"

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """The picture as a file to be read. Raises OSError."""
        return io.BufferedReader(Section(self.path, self.offset, self.size))


Whole = Path | InMemory | Member | DatasetRow
Picture = Whole | Crop


def picture_size(
    picture: Picture, *, exif: bool = False, content: bytes | None = None
) -> tuple[int, int]:
    """(width, height) in pixels from the file's header; exif=True applies EXIF rotation.

    content are the file's bytes if they were read. Raises PictureError.
    """
    if isinstance(picture, Crop):
        picture.check_within(picture_size(picture.path, content=content))
        return picture.size
    with _opened(picture, content) as opened:
        width, height = opened.size
        if exif and opened.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8):
            width, height = height, width
    return width, height


def picture_bytes(picture: Picture) -> int:
    """Bytes of a picture's file, which show that it has changed; -1 if it cannot be read."""
    if isinstance(picture, InMemory):
        return len(picture.content)
    if isinstance(picture, Member):
        return picture.size
    if isinstance(picture, DatasetRow):
        if picture.num_bytes is not None:
            return picture.num_bytes
        try:
            return len(_content_of_row(picture))
        except PictureError:
            return -1
    path = picture.path if isinstance(picture, Crop) else picture
    try:
        return path.stat().st_size
    except OSError:
        return -1


def picture_content(picture: Picture) -> bytes:
    """The bytes of a picture's file. Raises PictureError naming the file."""
    if isinstance(picture, InMemory):
        return picture.content
    named = picture.path if isinstance(picture, Crop) else picture
    try:
        if isinstance(named, Member):
            with named.open() as file:
                return file.read(named.size)
        if isinstance(named, DatasetRow):
            return _content_of_row(named)
        _check_ends(named)
        return named.read_bytes()
    except FileNotFoundError as error:
        raise PictureError(f"{named}: no such picture.") from error
    except OSError as error:
        raise PictureError(f"{named}: cannot be read as a picture ({error}).") from error


def _content_of_row(row: DatasetRow) -> bytes:
    try:
        return row.read()
    except Exception as error:  # whatever the library that reads the dataset raises
        raise PictureError(f"{row}: cannot be read as a picture ({error}).") from error


def _check_ends(path: Path) -> None:
    """Raise PictureError at a pipe or a device, which would be waited for, or read, without end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise PictureError(f"{path}: is no file. Save the picture in one.")


def digest(picture: Picture) -> bytes:
    """SHA-256 of a picture's file, 32 bytes; nothing if it cannot be read."""
    try:
        return hashlib.sha256(picture_content(picture)).digest()
    except PictureError:
        return b""


def decode(
    picture: Picture, *, exif: bool = False, content: bytes | None = None, scale: int | None = None
) -> Image.Image:
    """Decode a picture to RGB, 8 bits a channel; content are its file's bytes if they were read.

    Greyscale is repeated over the channels, 16 bits are scaled to 8, transparent pixels are
    composited over white. exif=True applies the EXIF orientation; the published protocols do not.
    With a scale, for which it is decoded, a JPEG may have a half, a fourth or an eighth of its
    sides, the shortest no less than SCALED_MARGIN times the scale; crops are cut from the whole.
    Raises PictureError naming the file.
    """
    if isinstance(picture, Crop):
        whole = _decode_file(picture.path, content, exif=False)
        picture.check_within(whole.size)
        return whole.crop(picture.box)
    return _decode_file(picture, content, exif=exif, scale=scale)


def reduction(size: tuple[int, int], scale: int) -> int:
    """By how much a JPEG of this (width, height) is decoded smaller for a scale: 1, 2, 4 or 8."""
    fit = (r for r in JPEG_REDUCTIONS if min(size) >= r * SCALED_MARGIN * scale)
    return next(fit, 1)


def _decode_file(
    path: Whole, content: bytes | None, *, exif: bool, scale: int | None = None
) -> Image.Image:
    with _opened(path, content) as picture:
        if scale is not None:  # which nothing but a JPEG heeds
            by = reduction(picture.size, scale)
            picture.draft(None, (picture.width // by, picture.height // by))
        if exif:
            picture = ImageOps.exif_transpose(picture)
        if picture.mode in ("I", "I;16", "I;16L", "I;16B", "I;16N"):
            return _from_16_bit(picture, path)
        if picture.mode == "F":
            raise PictureError(f"{path}: floating-point pixels are not supported. Save it as RGB.")
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            return Image.alpha_composite(white, picture).convert("RGB")
        return picture.convert("RGB")


def rescaled_size(size: tuple[int, int], scale: int, *, square: bool = False) -> tuple[int, int]:
    """The (width, height) with the shortest side at `scale`; the longer side is rounded down.

    Rounding down is torchvision's rule; the paper does not say. square=True makes both sides equal.
    """
    if square:
        return scale, scale
    width, height = size
    if width <= height:
        return scale, scale * height // width
    return scale * width // height, scale


def rescale(
    picture: Image.Image,
    scale: int,
    *,
    square: bool = False,
    of: tuple[int, int] | None = None,
) -> Image.Image:
    """Resize a picture to the shortest side `scale`, bilinear and antialiased.

    The aspect ratio is kept unless square=True; it is that of the size `of` if the picture was
    decoded smaller.
    """
    whole = of or picture.size
    size = rescaled_size(whole, scale, square=square)
    if size == picture.size:
        return picture
    # A side that was not divisible ends within the last pixel.
    by = round(max(whole) / max(picture.size))
    box = None if by == 1 else (0, 0, whole[0] / by, whole[1] / by)
    return picture.resize(size, Image.Resampling.BILINEAR, box)


def check_fits(
    picture: Picture, size: tuple[int, int], scale: int, *, square: bool = False
) -> None:
    """Raise PictureError if a picture of this (width, height) at this scale exceeds the memory."""
    width, height = rescaled_size(size, scale, square=square)
    if width * height > MAX_RESCALED_PIXELS:
        raise PictureError(
            f"{picture}: {size[0]}x{size[1]} becomes {width}x{height} at scale {scale}, which would"
            f" not fit in memory: {width * height:,} pixels, and at most {MAX_RESCALED_PIXELS:,}"
            " are allowed. Crop the picture or choose a smaller scale."
        )


def load_batch(
    pictures: Iterable[Picture],
    scales: Sequence[int],
    *,
    exif: bool = False,
    square: bool = False,
) -> list[np.ndarray]:
    """Decode each picture once and rescale it to every scale: S arrays [B, h, w, 3] of uint8.

    The pictures must have equal shapes after rescaling, as in a batch of `plan_batches`. Raises
    PictureError.
    """
    decoded = [decode(picture, exif=exif) for picture in pictures]
    return at_scales(decoded, scales, square=square)


def at_scales(
    decoded: Sequence[Image.Image], scales: Sequence[int], *, square: bool = False
) -> list[np.ndarray]:
    """Rescale pictures, of equal shape then, to every scale: S arrays [B, h, w, 3] of uint8."""
    return [
        np.stack([np.asarray(rescale(picture, scale, square=square)) for picture in decoded])
        for scale in scales
    ]


@contextmanager
def _opened(path: Whole, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open a picture in a `with` block; any error inside the block becomes a PictureError."""
    if content is None and isinstance(path, Path):
        _check_ends(path)
    try:
        if isinstance(path, InMemory):
            yield path.image
            return
        if content is None and isinstance(path, DatasetRow):
            content = _content_of_row(path)
        source = png.without_large_texts(path if content is None else content)
        Image.init()  # only the first time: Pillow loads its readers
        formats = [f for f in FORMATS if f in Image.OPEN]
        with source.open() if isinstance(source, Member) else nullcontext(source) as file:
            with Image.open(file, formats=formats) as picture:
                yield picture
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError(f"{path}: no such picture.") from error
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        raise PictureError(f"{path}: cannot be read as a picture ({error}).") from error


def _from_16_bit(picture: Image.Image, path: Whole) -> Image.Image:
    grey = np.asarray(picture).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise PictureError(
            f"{path}: pixels of more than 16 bits are not supported. Save it as RGB."
        )
    eight_bit = ((grey + 128) // 257).astype(np.uint8)  # 65535 -> 255, as 257 = 65535 / 255
    return Image.fromarray(eight_bit).convert("RGB")
