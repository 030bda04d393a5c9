"""Flowers-102 as it lies on disk, as it is distributed, and as torchvision reads it."""

import pytest
from helpers.flowers import NUM_CLASSES, accept_lists, pack_flowers, write_flowers
from helpers.loaders import assert_same_as_loader, records_of_bench, state_counts
from scipy.io import loadmat

from vggfeat.benchmarks.datasets.registry import definition_of, load_benchmark
from vggfeat.errors import DatasetError
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_flowers(tmp_path_factory.mktemp("data"), train=2, val=1, test=3)


@pytest.fixture
def flowers(tree, monkeypatch):
    """The small tree; torchvision has its lists' digests in place of the real ones'."""
    accept_lists(tree, monkeypatch)
    return tree


def load(data, cache):
    return load_benchmark("flowers102", places=Folders(data, cache), offline=True)


def test_pictures_and_labels_are_those_of_torchvisions_loader(flowers, tmp_path):
    from torchvision.datasets import Flowers102

    bench = load(flowers.parent, tmp_path)
    for name, count in (("train", 2), ("val", 1), ("test", 3)):
        loader = Flowers102(flowers.parent, split=name)
        assert len(loader) == count * NUM_CLASSES
        assert_same_as_loader(bench, name, loader)
    assert bench.classes[0] == "pink primrose" and len(bench.classes) == NUM_CLASSES


def test_sets_are_those_of_setid_mat(flowers, tmp_path):
    """Read here without torchvision: trnid trains, valid chooses C, tstid is tested."""
    bench = load(flowers.parent, tmp_path)
    (split,) = bench.splits
    lists = loadmat(flowers / "setid.mat")
    labels = loadmat(flowers / "imagelabels.mat")["labels"][0]
    for rows, name in ((split.train, "trnid"), (split.validation, "valid"), (split.test, "tstid")):
        assert [bench.ids[row] for row in rows] == [
            f"jpg/image_{i:05d}.jpg" for i in lists[name][0]
        ]
        of_class = bench.labels[rows].argmax(axis=1)
        assert of_class.tolist() == [labels[i - 1] - 1 for i in lists[name][0]]
    assert bench.protocol == {
        "images": 6 * NUM_CLASSES, "split": "official", "trained_on": "train and val",
        "validation": "val", "scored_on": "test", "splits": 1,
        "incomplete": "train 204 of 1,020, val 102 of 1,020, test 306 of 6,149",
    }  # fmt: skip
    assert bench.task.metric == "mean_class_recall" and bench.scales == (256,)


def test_what_is_distributed_is_the_same_benchmark(flowers, tmp_path):
    whole = load(flowers.parent, tmp_path)
    pack_flowers(flowers, tmp_path / "data" / "flowers102")
    packed = load(tmp_path / "data", tmp_path / "cache")
    assert packed.ids == whole.ids and packed.splits_sha256 == whole.splits_sha256
    assert (packed.labels == whole.labels).all()


def test_addresses_and_digests_are_torchvisions():
    from torchvision.datasets import Flowers102

    sources = [mirrors[0] for mirrors in definition_of("flowers102").source.files]
    assert [(s.url, s.algorithm, s.digest) for s in sources] == [
        (Flowers102._download_url_prefix + name, "md5", md5)
        for name, md5 in Flowers102._file_dict.values()
    ]


def test_lists_that_are_not_the_real_ones_are_refused(tree, tmp_path):
    """torchvision checks their digests, and nothing has told it of the small ones here."""
    with pytest.raises(DatasetError, match="/imagelabels.mat: is not the file that is distributed"):
        load(tree.parent, tmp_path)


def test_counts_of_each_set_and_class_are_compared(flowers, tmp_path, run, monkeypatch):
    where = ("--data-dir", flowers.parent, "--cache-dir", tmp_path)
    differing = run("datasets", "verify", "flowers102", *where)
    assert differing.exit_code == 1
    assert "flowers102: 0 of 207 counts as known" in differing.stdout
    assert "  train: 204 found, 1,020 known" in differing.stdout
    state_counts(monkeypatch, "flowers102", {"train": (NUM_CLASSES, 2), "val": (NUM_CLASSES, 1)})
    whole = run("datasets", "verify", "flowers102", *where)
    assert whole.exit_code == 0, whole.stdout
    assert "flowers102: 206 of 206 counts as known" in whole.stdout


def test_measured_from_the_command_line(flowers, tmp_path, run):
    (record,) = records_of_bench(run, ["flowers102"], flowers.parent, tmp_path, "--scales", 32)
    assert record["metric"] == "mean_class_recall" and record["limited"]
    assert record["protocol"]["trained_on"] == "train and val"
    assert record["protocol"]["images"] == 6 * NUM_CLASSES
    assert "limited to 4 pictures a class of each set" in record["notes"]
