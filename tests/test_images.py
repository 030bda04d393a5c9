"""Decoding every kind of picture to RGB, rescaling, batches of equal shape."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torchvision
from helpers.pictures import write_picture
from PIL import Image

from vggfeat import images
from vggfeat.costs.photographs import photograph
from vggfeat.errors import PictureError


def test_greyscale_is_repeated_over_the_channels(tmp_path):
    Image.fromarray(np.array([[0, 100], [200, 255]], np.uint8)).save(tmp_path / "grey.png")
    rgb = np.asarray(images.decode(tmp_path / "grey.png"))
    assert (rgb == np.array([[0, 100], [200, 255]])[:, :, None]).all()


def test_palette_gives_the_palettes_colours(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "palette.png")
    rgb = np.asarray(images.decode(tmp_path / "palette.png"))
    assert rgb.tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    red, green, blue = np.asarray(images.decode(tmp_path / "cmyk.jpg"))[4, 4]
    assert red > 240 and green < 15 and blue < 15


def test_sixteen_bits_are_scaled_to_eight_not_clipped(tmp_path):
    deep = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    rgb = np.asarray(images.decode(tmp_path / "deep.png"))
    assert rgb[0, :, 0].tolist() == [0, 1, 128, 255]


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(PictureError, match="float.tiff: floating-point"):
        images.decode(tmp_path / "float.tiff")


@pytest.mark.parametrize("mode, clear", [("RGBA", (9, 9, 9, 0)), ("LA", (9, 0))])
def test_transparent_pixels_are_laid_over_white(tmp_path, mode, clear):
    Image.new(mode, (2, 2), clear).save(tmp_path / "clear.png")
    assert (np.asarray(images.decode(tmp_path / "clear.png")) == 255).all()


def test_transparent_palette_colour_is_laid_over_white(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "palette.png", transparency=0)
    rgb = np.asarray(images.decode(tmp_path / "palette.png"))
    assert rgb.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_a_png_called_jpg_is_read_by_its_content(tmp_path):
    write_picture(tmp_path / "picture.png").rename(tmp_path / "picture.jpg")
    assert images.decode(tmp_path / "picture.jpg").mode == "RGB"


def test_exif_rotation_only_when_asked_for(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert images.decode(tmp_path / "turned.jpg").size == (40, 20)
    assert images.picture_size(tmp_path / "turned.jpg") == (40, 20)
    assert images.decode(tmp_path / "turned.jpg", exif=True).size == (20, 40)
    assert images.picture_size(tmp_path / "turned.jpg", exif=True) == (20, 40)


def test_truncated_picture_is_an_error_that_names_it(tmp_path):
    path = write_picture(tmp_path / "half.jpg", (200, 200))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(PictureError, match="half.jpg: cannot be read as a picture"):
        images.decode(path)


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\xff\xd8\xff\xe0"])
def test_what_is_no_picture_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "odd.jpg").write_bytes(content)
    with pytest.raises(PictureError, match="odd.jpg: cannot be read as a picture"):
        images.picture_size(tmp_path / "odd.jpg")


def test_missing_picture_says_so(tmp_path):
    with pytest.raises(PictureError, match="gone.jpg: no such picture"):
        images.decode(tmp_path / "gone.jpg")


@pytest.mark.parametrize("read", [images.decode, images.picture_size, images.picture_content])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(PictureError, match="is no file. Save the picture in one"):
            read(path)


def test_a_header_that_claims_a_giant_picture_is_refused(tmp_path):
    """A few bytes of PNG that would unfold to 100,000 x 100,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    with pytest.raises(PictureError, match="bomb.png"):
        images.picture_size(tmp_path / "bomb.png")


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (300, 300), (301, 200), (1, 1), (90, 7)])
@pytest.mark.parametrize("scale", [32, 256])
def test_rescaled_size_and_pixels_are_torchvisions(tmp_path, size, scale):
    picture = images.decode(write_picture(tmp_path / "picture.png", size))
    theirs = torchvision.transforms.Resize(scale)(picture)
    ours = images.rescale(picture, scale)
    assert ours.size == theirs.size == images.rescaled_size(size, scale)
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_a_jpeg_decoded_for_a_scale_keeps_twice_the_scale(tmp_path):
    path = write_picture(tmp_path / "large.jpg", (803, 601))
    sizes = {scale: images.decode(path, scale=scale).size for scale in (30, 64, 128, 150, 151)}
    assert sizes == {
        30: (101, 76), 64: (201, 151), 128: (402, 301), 150: (402, 301), 151: (803, 601),
    }  # fmt: skip
    png = write_picture(tmp_path / "large.png", (803, 601))
    assert images.decode(png, scale=30).size == (803, 601)


def test_a_reduced_jpeg_is_rescaled_to_the_shape_and_nearly_the_pixels_of_the_whole(tmp_path):
    photograph((803, 601), seed=1).save(tmp_path / "large.jpg", quality=90)
    whole, reduced = (images.decode(tmp_path / "large.jpg", scale=s) for s in (None, 64))
    expected = np.asarray(images.rescale(whole, 64)).astype(int)
    pixels = np.asarray(images.rescale(reduced, 64, of=whole.size)).astype(int)
    assert reduced.size != whole.size and pixels.shape == expected.shape
    assert np.abs(pixels - expected).mean() < 1


def test_shrinking_is_antialiased():
    """A one-pixel chessboard shrunk to a quarter is grey; picking pixels would keep it black."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    picture = Image.fromarray(board.astype(np.uint8)).convert("RGB")
    small = np.asarray(images.rescale(picture, 16)).astype(int)
    assert np.abs(small[2:-2, 2:-2] - 127).max() < 12


def test_an_elongated_picture_is_refused_with_the_limit(tmp_path):
    with pytest.raises(PictureError, match=r"thin.png.*at most 8,388,608") as error:
        images.check_fits(tmp_path / "thin.png", (20_000, 2), 256)
    assert "256" in str(error.value) and "20000x2" in str(error.value)
    images.check_fits(tmp_path / "photo.jpg", (500, 375), 768)


def test_a_batch_has_an_array_for_each_scale(tmp_path):
    paths = [write_picture(tmp_path / f"{i}.png", (60, 40), seed=i) for i in range(3)]
    small, large = images.load_batch(paths, (32, 48))
    assert small.shape == (3, 32, 48, 3) and large.shape == (3, 48, 72, 3)
    assert small.dtype == np.uint8


def test_a_crop_is_a_part_of_the_picture(tmp_path):
    path = write_picture(tmp_path / "picture.png", (40, 30))
    crop = images.Crop(path, (10, 5, 30, 30))
    assert images.picture_size(crop) == images.decode(crop).size == (20, 25)
    assert np.array_equal(images.decode(crop), np.asarray(images.decode(path))[5:30, 10:30])


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 41, 5), (5, 5, 5, 9), (0, 9, 5, 3)])
def test_a_box_outside_its_picture_is_refused(tmp_path, box):
    crop = images.Crop(write_picture(tmp_path / "picture.png", (40, 30)), box)
    for read in (images.picture_size, images.decode):
        with pytest.raises(PictureError, match=r"picture.png, box \(.*within the picture of 40x30"):
            read(crop)


def test_a_format_that_starts_programs_is_not_opened(tmp_path):
    """Pillow hands EPS to Ghostscript, whatever the file's name."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    (tmp_path / "a.jpg").write_bytes(eps)
    with pytest.raises(PictureError, match="a.jpg: cannot be read as a picture"):
        images.decode(tmp_path / "a.jpg")
