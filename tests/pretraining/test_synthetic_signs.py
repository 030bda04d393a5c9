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
    monkeypatch.setattr(synthetic_signs, "NUM_SIGNS", 4)
    monkeypatch.setattr(synthetic_signs, "NUM_NEW_SIGNS", 3)
    monkeypatch.setattr(synthetic_signs, "COUNTS", {"train": 20, "val": 8})


@pytest.fixture
def root(tmp_path):
    synthetic_signs.write_signs(tmp_path / "drawings")
    return tmp_path / "drawings"


def test_pretraining_finds_as_many_classes_and_pictures_as_are_written(root):
    pictures = open_pictures(root)
    assert pictures.classes == tuple(
        f"{colour}_sign_{number:03d}" for colour in ("green", "red", "white") for number in range(4)
    )
    for part, labelled in (("train", pictures.train), ("val", pictures.validation)):
        counts = np.bincount([number for _, number in labelled])
        assert counts.tolist() == [synthetic_signs.COUNTS[part]] * 12


def test_drawings_show_their_colour_in_the_middle_and_are_a_crop_with_its_margin_large(root):
    for colour, strongest in (("red", 0), ("green", 1)):
        drawn = np.array([np.asarray(Image.open(p)) for p in root.rglob(f"{colour}_*/*.png")])
        assert drawn.shape[1:] == (37, 37, 3)
        means = drawn[:, 9:28, 9:28].mean(axis=(0, 1, 2)) - drawn[:, [0, -1]].mean(axis=(0, 1, 2))
        assert means.argmax() == strongest


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


def test_new_signs_are_others_and_in_every_colour(root, tmp_path):
    synthetic_signs.write_new_signs(tmp_path / "new")
    folders = sorted((tmp_path / "new").iterdir())
    assert [folder.name for folder in folders] == ["sign_004", "sign_005", "sign_006"]
    assert not set(contents(root).values()) & set(contents(tmp_path / "new").values())
    middles = np.array([
        np.asarray(Image.open(path))[16:21, 16:21].mean(axis=(0, 1))
        for path in (tmp_path / "new").rglob("*.png")
    ])  # fmt: skip
    assert set(middles.argmax(axis=1)) >= {0, 1}


def test_drawings_of_one_sign_are_more_alike_than_those_of_two(root):
    """Where a drawing of a sign differs from its ground, which hides how bright the ground is."""
    means = {
        part: np.array([
            np.mean([
                np.abs((pixels := np.asarray(Image.open(path), float)) - np.median(pixels))
                for path in folder.iterdir()
            ], axis=(0, 3))
            for folder in sorted((root / part).glob("white_*"))
        ]).reshape(4, -1)
        for part in synthetic_signs.COUNTS
    }  # fmt: skip
    alike = np.corrcoef(means["train"], means["val"])[:4, 4:]
    assert np.diag(alike).mean() > alike[~np.eye(4, dtype=bool)].mean()


def test_a_round_stroke_keeps_its_ends_and_stays_within_its_corners():
    corners = np.array([[-1.0, -1.0], [0.0, 1.0], [1.0, -1.0]])
    points = synthetic_signs._rounded(corners)
    assert np.array_equal(points[[0, -1]], corners[[0, -1]])
    assert np.abs(points).max() <= 1 and points[:, 1].max() < 0.6


def test_a_round_shape_has_no_corner_left():
    square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    points = synthetic_signs._rounded(square, is_closed=True)
    steps = np.diff(np.concatenate([points, points[:1]]), axis=0)
    angles = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    assert len(points) == 4 * 2**4 and np.abs(np.diff(angles)).max() < np.pi / 6
