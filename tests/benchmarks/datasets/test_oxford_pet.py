"""Oxford-IIIT Pet as it lies on disk, with files that are not what their names say."""

from collections import Counter

import numpy as np
import pytest
from helpers.loaders import (
    assert_same_as_loader,
    fetched_by,
    records_of_bench,
    state_counts,
    stated_by,
)
from helpers.odd_pictures import KINDS
from helpers.pets import BREEDS, pack_pets, write_pets
from PIL import Image

from vggfeat.benchmarks.datasets.oxford_pet import HOSTS, OXFORD_PET
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.images import decode
from vggfeat.storage.folders import Folders

# torchvision leaves pictures of this set open, which is no matter of ours.
leaves_files_open = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    return write_pets(tmp_path_factory.mktemp("data"))


def load(data, cache):
    return load_benchmark("oxford_pet", places=Folders(data, cache), offline=True)


@leaves_files_open
def test_pictures_and_labels_are_those_of_torchvisions_loader(pets, tmp_path):
    from torchvision.datasets import OxfordIIITPet

    bench = load(pets.parent, tmp_path)
    for name, count in (("trainval", 5), ("test", 2)):
        loader = OxfordIIITPet(pets.parent, split=name)
        assert len(loader) == count * len(BREEDS)
        assert_same_as_loader(bench, name, loader)
    assert bench.classes == (
        "Abyssinian", "American Bulldog", "Egyptian Mau", "Staffordshire Bull Terrier"
    )  # fmt: skip


def test_each_kind_of_file_is_among_the_pictures(pets, tmp_path):
    """So the comparison above is one of PNG, GIF, BMP, grey, CMYK and RGBA under a .jpg's name."""
    kinds = set()
    for path in load(pets.parent, tmp_path).pictures.values():
        with Image.open(path) as picture:
            kinds.add((picture.format, picture.mode))
    assert kinds == set(KINDS.values())


def test_a_fifth_of_each_breed_validates(pets, tmp_path):
    bench = load(pets.parent, tmp_path)
    (split,) = bench.splits
    of_class = Counter(bench.labels[split.validation].argmax(axis=1).tolist())
    assert of_class == dict.fromkeys(range(len(BREEDS)), 1)
    listed = (pets / "annotations" / "trainval.txt").read_text().splitlines()
    assert [bench.ids[row] for row in split.both] == [
        f"images/{line.split()[0]}.jpg" for line in listed
    ]
    assert bench.task.metric == "mean_class_recall"
    assert bench.protocol["validation"] == "drawn from trainval"


@pytest.mark.parametrize("place", ["", "oxford_pet", "oxford-iiit-pet"])
def test_the_archives_give_the_same_benchmark(pets, tmp_path, place):
    pack_pets(pets, tmp_path / "data" / place)
    packed = load(tmp_path / "data", tmp_path / "cache")
    whole = load(pets.parent, tmp_path)
    assert packed.ids == whole.ids and packed.splits_sha256 == whole.splits_sha256
    assert (packed.labels == whole.labels).all()


@leaves_files_open
def test_transparent_pixels_are_white_where_torchvision_shows_what_they_hide(pets, tmp_path):
    from torchvision.datasets import OxfordIIITPet

    root = write_pets(tmp_path)
    with (root / "images" / "Abyssinian_6.jpg").open("wb") as file:
        Image.new("RGBA", (20, 10), (200, 0, 0, 0)).save(file, "PNG")
    ours = np.asarray(
        decode(load(tmp_path, tmp_path / "cache").pictures["images/Abyssinian_6.jpg"])
    )
    theirs, _ = OxfordIIITPet(tmp_path, split="test")[0]
    assert (ours == 255).all() and theirs.getpixel((0, 0)) == (200, 0, 0)


def test_addresses_and_digests_are_torchvisions(tmp_path):
    from torchvision.datasets import OxfordIIITPet

    stated = stated_by(OXFORD_PET)
    torchvisions = {url: md5 for url, md5 in stated.items() if url.startswith(HOSTS[0])}
    assert torchvisions == fetched_by(OxfordIIITPet, tmp_path, {})
    assert len(stated) == 4 and len(set(stated.values())) == 2


def test_counts_are_compared(pets, tmp_path, run, monkeypatch):
    where = ("--data-dir", pets.parent, "--cache-dir", tmp_path)
    differing = run("datasets", "verify", "oxford_pet", *where)
    assert differing.exit_code == 1 and "  trainval: 20 found, 3,680 known" in differing.stdout
    state_counts(monkeypatch, "oxford_pet", {"trainval": (4, 5), "test": (4, 2)})
    whole = run("datasets", "verify", "oxford_pet", *where)
    assert whole.exit_code == 0, whole.stdout
    assert "oxford_pet: 10 of 10 counts as known" in whole.stdout


def test_measured_from_the_command_line(pets, tmp_path, run):
    (record,) = records_of_bench(run, ["oxford_pet"], pets.parent, tmp_path, "--scales", 32)
    assert record["metric"] == "mean_class_recall" and record["limited"]
    protocol = record["protocol"]
    assert (protocol["trained_on"], protocol["scored_on"]) == ("trainval", "test")
    assert protocol["validation_share"] == 0.2 and protocol["images"] == 4 * (4 + 2)
