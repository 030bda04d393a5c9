"""--scaled-jpeg: large JPEGs decoded smaller, which the feature file states."""

import numpy as np
import pytest
from helpers.pictures import NARROW
from PIL import Image

from vggfeat.backbones.load import load_network
from vggfeat.costs.photographs import photograph
from vggfeat.features import store
from vggfeat.features.extract import extract
from vggfeat.features.options import Extraction

SCALES = (64, 32)


@pytest.fixture
def pictures(tmp_path):
    """A large JPEG that lies on its side, and a large PNG, id -> path."""
    paths = {"turned": tmp_path / "turned.jpg", "png": tmp_path / "large.png"}
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    photograph((602, 403), seed=2).save(paths["turned"], quality=90, exif=exif)
    photograph((602, 403), seed=3).save(paths["png"])
    return paths


def descriptors(pictures, folder, scales=SCALES, **options):
    """The feature file, and descriptors [N, S, D]."""
    options = Extraction(scales=scales, precision="fp32", exif=True, **options)
    done = extract("test", pictures, load_network(NARROW), options, folder=folder)
    return done.path, store.read(done.path, list(pictures), scales)


def test_descriptors_are_near_those_of_whole_pictures_in_a_file_of_their_own(tmp_path, pictures):
    plain_path, a = descriptors(pictures, tmp_path)
    scaled_path, b = descriptors(pictures, tmp_path, scaled_jpeg=True)
    decoders = [store.contents(path)[0].decoder for path in (plain_path, scaled_path)]
    assert decoders == ["Pillow", "Pillow, scaled JPEG"]
    assert (a[0] != b[0]).any(), "the JPEG was decoded smaller"
    assert np.array_equal(a[1], b[1]), "the PNG was not"
    cosines = (a * b).sum(2) / (np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2))
    assert cosines.min() > 1 - 1e-3


def test_a_scale_does_not_depend_on_the_others(tmp_path, pictures):
    _, together = descriptors(pictures, tmp_path, scaled_jpeg=True)
    for column, scale in enumerate(SCALES):
        _, alone = descriptors(pictures, tmp_path / "alone", (scale,), scaled_jpeg=True)
        np.testing.assert_array_equal(alone[:, 0], together[:, column])


def test_keys_of_records_without_it_stay_what_they_were():
    assert "scaled_jpeg" not in Extraction(scales=(64,)).key_values()
    assert Extraction(scales=(64,), scaled_jpeg=True).key_values()["scaled_jpeg"] is True
