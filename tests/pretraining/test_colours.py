"""Mean colour and principal components, against numpy's covariance and by hand."""

import numpy as np
import pytest

from vggfeat.errors import DatasetError
from vggfeat.pretraining.colours import Colours, colours_of


def test_mean_and_components_of_the_pixels():
    """Against numpy's covariance of all pixels together."""
    random = np.random.default_rng(0)
    mix = np.array([[50, 50, 50], [20, 0, -20], [3, -6, 3]])
    pictures = [
        np.clip(random.normal(size=(40, 50, 3)) @ mix + (120, 110, 90), 0, 255).astype(np.uint8)
        for _ in range(5)
    ]
    colours = colours_of(iter(pictures))
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures]) / 255
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
    colours = colours_of([np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)])
    assert Colours.from_json(colours.to_json(), "") == colours
