"""Scale, crop, mirror and colour shift, against values computed by hand or another way."""

import numpy as np
import pytest
from PIL import Image

from vggfeat.images import rescale
from vggfeat.pretraining.augmentation import crop, draw, place


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise)


def cut(whole: Image.Image, scale: int, corner: tuple[float, float] | None, side: int):
    return crop(whole, scale, place(whole.size, scale, corner, side), side)


@pytest.mark.parametrize("size", [(90, 60), (60, 97), (64, 64), (31, 200)])
@pytest.mark.parametrize("scale", [32, 45, 73])
def test_a_crop_is_cut_out_of_the_rescaled_picture(size, scale):
    """Only its own region is resampled, which shows in rounding at most."""
    whole = np.asarray(rescale(picture(size), scale)).astype(int)
    for seed in range(4):
        corner = tuple(np.random.default_rng(seed).random(2))
        ours = cut(picture(size), scale, corner, 32)
        left = int(corner[0] * (whole.shape[1] - 32 + 1))
        upper = int(corner[1] * (whole.shape[0] - 32 + 1))
        expected = whole[upper : upper + 32, left : left + 32]
        difference = np.abs(ours - expected)
        assert ours.shape == (32, 32, 3) and difference.max() <= 2 and difference.mean() < 0.5


def test_the_centre_crop_by_hand():
    """Of 8x4 pixels the middle 4; of an odd margin the smaller half is on the left."""
    columns = np.repeat(np.arange(8, dtype=np.uint8)[None, :, None] * 10, 4, axis=0)
    wide = Image.fromarray(np.repeat(columns, 3, axis=2))
    assert cut(wide, 4, None, 4)[0, :, 0].tolist() == [20, 30, 40, 50]
    assert cut(wide.crop((0, 0, 7, 4)), 4, None, 4)[0, :, 0].tolist() == [10, 20, 30, 40]


def test_every_place_is_drawn_and_the_last_one_too():
    columns = np.arange(6, dtype=np.uint8)[None, :, None].repeat(4, axis=0).repeat(3, axis=2)
    wide = Image.fromarray(columns)
    starts = [int(cut(wide, 4, (share, 0.0), 4)[0, 0, 0]) for share in np.linspace(0, 1, 31)]
    assert [starts.count(place) for place in range(3)] == [10, 10, 11]


def test_draws_are_those_of_the_recipe():
    """S over [256, 512] with both ends, one picture in two mirrored, multipliers of N(0, 0.1)."""
    drawn = [draw(0, 3, n, (256, 512), mirror=True, colour_std=0.1) for n in range(4000)]
    scales = np.array([each.scale for each in drawn])
    assert scales.min() == 256 and scales.max() == 512
    assert abs(scales.mean() - 384) < 5 and abs(scales.std() - 74.2) < 3  # sqrt((257^2 - 1) / 12)
    assert abs(np.mean([each.mirror for each in drawn]) - 0.5) < 0.03
    multipliers = np.array([each.multipliers for each in drawn])
    assert abs(multipliers.std() - 0.1) < 0.003 and abs(multipliers.mean()) < 0.003
    corners = np.array([each.corner for each in drawn])
    assert abs(corners.mean() - 0.5) < 0.02 and abs(np.corrcoef(corners.T)[0, 1]) < 0.05


def test_a_draw_depends_on_seed_epoch_and_picture_alone():
    def scale(seed, epoch, number):
        return draw(seed, epoch, number, (0, 10**9), mirror=True, colour_std=0.1).scale

    assert scale(1, 2, 3) == scale(1, 2, 3)
    assert len({scale(1, 2, 3), scale(0, 2, 3), scale(1, 0, 3), scale(1, 2, 0)}) == 4
    assert not draw(1, 2, 3, (9, 9), mirror=False, colour_std=0).mirror
