"""Scale, crop, mirror and colour shift, against values computed by hand or another way."""

import numpy as np
import pytest
from PIL import Image

from vggfeat.errors import DatasetError
from vggfeat.images import rescale
from vggfeat.pretraining.augmentation import crop, draw, place
from vggfeat.pretraining.colours import Colours, colours_of


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
    scales = np.array([one.scale for one in drawn])
    assert scales.min() == 256 and scales.max() == 512
    assert abs(scales.mean() - 384) < 5 and abs(scales.std() - 74.2) < 3  # sqrt((257^2 - 1) / 12)
    assert abs(np.mean([one.mirror for one in drawn]) - 0.5) < 0.03
    multipliers = np.array([one.multipliers for one in drawn])
    assert abs(multipliers.std() - 0.1) < 0.003 and abs(multipliers.mean()) < 0.003
    corners = np.array([one.corner for one in drawn])
    assert abs(corners.mean() - 0.5) < 0.02 and abs(np.corrcoef(corners.T)[0, 1]) < 0.05


def test_a_draw_depends_on_seed_epoch_and_picture_alone():
    def scale(seed, epoch, number):
        return draw(seed, epoch, number, (0, 10**9), mirror=True, colour_std=0.1).scale

    assert scale(1, 2, 3) == scale(1, 2, 3)
    assert len({scale(1, 2, 3), scale(0, 2, 3), scale(1, 0, 3), scale(1, 2, 0)}) == 4
    assert not draw(1, 2, 3, (9, 9), mirror=False, colour_std=0).mirror


def test_mean_and_components_of_the_pixels():
    """Against numpy's covariance of all pixels together."""
    random = np.random.default_rng(0)
    mix = np.array([[50, 50, 50], [20, 0, -20], [3, -6, 3]])
    pictures = [
        np.clip(random.normal(size=(40, 50, 3)) @ mix + (120, 110, 90), 0, 255).astype(np.uint8)
        for _ in range(5)
    ]
    colours = colours_of(iter(pictures))
    pixels = np.concatenate([one.reshape(-1, 3) for one in pictures]) / 255
    covariance = np.cov(pixels.T, bias=True)
    assert np.allclose(colours.mean, 255 * pixels.mean(axis=0))
    vectors = np.array(colours.eigenvectors)
    assert np.allclose(vectors @ vectors.T, np.eye(3), atol=1e-9)
    assert np.allclose(covariance @ vectors.T, vectors.T * colours.eigenvalues, atol=1e-9)
    assert list(colours.eigenvalues) == sorted(colours.eigenvalues, reverse=True)


def test_the_shift_by_hand():
    """255 * (0.1 * 0.2 * first + -0.2 * 0.01 * third component)."""
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    colours = Colours((0.0, 0.0, 0.0), (0.2, 0.05, 0.01), axes)
    assert np.allclose(colours.shift(np.array([0.1, 0.0, -0.2])), [5.1, 0.0, -0.51])


SOUND = {"mean": [1, 2, 3], "eigenvalues": [1, 2, 3], "eigenvectors": [[1, 0, 0]] * 3}


@pytest.mark.parametrize(
    "values",
    [{}, [], SOUND | {"mean": [1, 2]}, SOUND | {"eigenvalues": [1, 2, float("nan")]},
     SOUND | {"mean": "abc"}],
)  # fmt: skip
def test_colours_that_are_none_are_refused(values):
    with pytest.raises(DatasetError, match="here: needs mean"):
        Colours.from_json(values, "here")


def test_colours_go_through_json():
    colours = colours_of([np.asarray(picture((20, 20)))])
    assert Colours.from_json(colours.to_json(), "") == colours
