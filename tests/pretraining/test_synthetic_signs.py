"""Generated drawings: class folders that pretraining takes, the same for a seed."""

import numpy as np
import pytest
from PIL import Image

from vggfeat.layouts.imagenet import open_pictures
from vggfeat.pretraining import synthetic_signs


def contents(root) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.png")}


@pytest.fixture(autouse=True)
def few_signs(monkeypatch):
    monkeypatch.setattr(synthetic_signs, "NUM_SIGNS", 6)


@pytest.fixture
def root(tmp_path):
    synthetic_signs.write_signs(tmp_path / "drawings")
    return tmp_path / "drawings"


def test_pretraining_finds_as_many_classes_and_pictures_as_are_written(root):
    pictures = open_pictures(root)
    assert pictures.classes == tuple(f"sign_{number:03d}" for number in range(6))
    for part, labelled in (("train", pictures.train), ("val", pictures.validation)):
        counts = np.bincount([number for _, number in labelled])
        assert counts.tolist() == [synthetic_signs.COUNTS[part]] * 6


def test_drawings_are_grey_light_on_dark_and_a_crop_with_its_margin_large(root):
    drawn = np.array([np.asarray(Image.open(path)) for path in sorted(root.rglob("*.png"))])
    assert drawn.shape[1:] == (37, 37)
    darkest, lightest = np.percentile(drawn, [1, 99], axis=(1, 2))
    assert (lightest - darkest > 30).all()
    middle = drawn[:, 12:25, 12:25].mean()
    assert drawn[:, [0, -1]].mean() < 60 < middle


def test_the_drawings_are_a_function_of_the_seed(root, tmp_path):
    synthetic_signs.write_signs(tmp_path / "again")
    synthetic_signs.write_signs(tmp_path / "other", seed=1)
    first, other = contents(root), contents(tmp_path / "other")
    assert contents(tmp_path / "again") == first
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_no_two_drawings_are_the_same_and_none_validates_that_trains(root):
    pictures = contents(root)
    assert len(set(pictures.values())) == len(pictures)


def test_drawings_of_one_sign_are_more_alike_than_those_of_two(root):
    means = {
        part: np.array([
            np.mean([np.asarray(Image.open(path), float) for path in folder.iterdir()], axis=0)
            for folder in sorted((root / part).iterdir())
        ]).reshape(6, -1)
        for part in synthetic_signs.COUNTS
    }  # fmt: skip
    alike = np.corrcoef(means["train"], means["val"])[:6, 6:]
    assert (alike.argmax(axis=1) == np.arange(6)).all()


def test_a_round_stroke_keeps_its_ends_and_stays_within_its_corners():
    corners = np.array([[-1.0, -1.0], [0.0, 1.0], [1.0, -1.0]])
    points = synthetic_signs._rounded(corners)
    assert np.array_equal(points[[0, -1]], corners[[0, -1]])
    assert np.abs(points).max() <= 1 and points[:, 1].max() < 0.6
