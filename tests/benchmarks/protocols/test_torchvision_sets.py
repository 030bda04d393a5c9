"""What is taken of torchvision's dataset objects: files, rows of arrays, labels, names."""

from pathlib import Path

import numpy as np
import pytest
from helpers.eurosat import CLASSES, write_eurosat
from helpers.loaders import assert_same_as_loader
from helpers.pictures import NARROW
from PIL import Image
from torchvision import datasets

from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import (
    class_names,
    files_of,
    labels_of,
    opened,
    path_below,
    rows_of,
)
from vggfeat.errors import DatasetError
from vggfeat.images import decode
from vggfeat.storage.folders import Folders

RNG = np.random.default_rng(0)
RGB = Image.fromarray(RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8))
MODES = {
    "L": RGB.convert("L"),
    "RGB": RGB,
    "CMYK": RGB.convert("CMYK"),
    "P": RGB.quantize(16),
    "1": RGB.convert("1"),
    "RGBA": RGB.convert("RGBA"),
}


class Rows:
    """A dataset that holds images in memory, as those of torchvision's with arrays do."""

    targets = tuple(range(len(MODES)))
    classes = tuple(MODES)

    def __len__(self):
        return len(MODES)

    def __getitem__(self, number):
        return list(MODES.values())[number], number


@pytest.mark.parametrize("mode", MODES)
def test_rows_of_every_mode_become_rgb(mode):
    labelled = rows_of(Rows(), "train")
    number = list(MODES).index(mode)
    picture = labelled.pictures[f"train/{number}"]
    expected = np.asarray(MODES[mode].convert("RGB"))
    assert (np.asarray(decode(picture)) == expected).all()
    assert labelled.labels[number] == number


def test_transparent_pixels_are_white():
    """torchvision's own convert("RGB") would show what is below them."""
    image = RGB.convert("RGBA")
    image.putalpha(0)

    class One(Rows):
        targets = (0,)

        def __len__(self):
            return 1

        def __getitem__(self, number):
            return image, 0

    assert (np.asarray(decode(rows_of(One(), "test").pictures["test/0"])) == 255).all()


@pytest.fixture
def odd_files(tmp_path):
    """EuroSAT's layout; its first pictures are greyscale, CMYK, a PNG with alpha called .jpg."""
    folder = write_eurosat(tmp_path / "data" / "eurosat", per_class=6)
    for number, mode in enumerate(("L", "CMYK", "RGBA"), start=1):
        path = folder / "Forest" / f"Forest_{number}.jpg"
        image = MODES[mode].resize((64, 64))
        image.save(path, "PNG" if mode == "RGBA" else "JPEG")
    return tmp_path / "data"


def test_files_of_every_mode_are_measured(odd_files, run, tmp_path):
    bench = load_benchmark("eurosat", places=Folders(odd_files, tmp_path), offline=True)
    assert_same_as_loader(bench, "all", datasets.EuroSAT(odd_files))
    result = run("bench", "eurosat", "--net", NARROW, "--splits", 1, "--data-dir", odd_files,
                 "--offline", "--out", tmp_path / "out")  # fmt: skip
    assert result.exit_code == 0, result.stderr


def test_files_are_known_by_their_path_below_the_folder(odd_files):
    dataset = opened("EuroSAT", odd_files)
    labelled = files_of(dataset, odd_files / "eurosat")
    assert list(labelled.pictures) == [
        f"2750/{name}/{name}_{number}.jpg" for name in CLASSES for number in range(1, 7)
    ]
    assert labelled.labels == labels_of(dataset) == dataset.targets


def test_a_file_that_is_listed_twice_and_a_dataset_without_lists_are_errors():
    class Listed:
        _image_files = ("a.jpg", "b.jpg", "a.jpg")
        _labels = (0, 1, 0)

    with pytest.raises(DatasetError, match="is listed twice in one set"):
        files_of(Listed(), Path())
    with pytest.raises(DatasetError, match="object of torchvision lists no picture files"):
        files_of(object(), Path())
    with pytest.raises(DatasetError, match="object of torchvision lists no labels"):
        labels_of(object())


@pytest.mark.parametrize("path", ["/etc/a.jpg", "d/../../a.jpg", "d/a\0/b.jpg", "d/\udcff.jpg"])
def test_ids_are_texts_and_lead_nowhere_else(path):
    with pytest.raises(DatasetError, match=r"a list names|is not UTF-8\. Rename it"):
        path_below(Path(path), Path("d"))


@pytest.mark.parametrize("label", [1.5, float("nan"), float("inf"), "1", None])
def test_labels_are_whole_numbers(label):
    class Listed:
        _samples = (("a.jpg", np.uint8(0)), ("b.jpg", 1.0), ("c.jpg", label))

    with pytest.raises(DatasetError, match="is no number of a class"):
        labels_of(Listed())
    Listed._samples = Listed._samples[:2]
    assert labels_of(Listed()) == [0, 1]


def test_names_of_classes_are_told_apart_and_numbers_stand_for_none():
    class Named:
        classes = ("Ram Van", "Audi", "Ram Van")

    assert class_names(Named()) == ("Ram Van (0)", "Audi", "Ram Van (2)")
    assert class_names(object(), 3) == ("0", "1", "2")


def test_what_torchvision_cannot_read_is_one_line(tmp_path):
    with pytest.raises(DatasetError) as error:
        opened("FGVCAircraft", tmp_path, split="val")
    assert str(error.value).startswith(f"{tmp_path}: torchvision's FGVCAircraft, split val cannot")
    assert "\n" not in str(error.value)
