"""Datasets wherever they lie: folders, archives as distributed or renamed, the web."""

import hashlib
import shutil
import tarfile
import zipfile
from dataclasses import replace

import pytest
from helpers.pictures import write_classes

from vggfeat.benchmarks.datasets.registry import distribution_of, load_benchmark
from vggfeat.benchmarks.datasets.synthetic_drawing import write_devkit
from vggfeat.benchmarks.protocols.voc_protocol import CLASSES
from vggfeat.benchmarks.sources.distribution import Distribution
from vggfeat.errors import DatasetError, DownloadError, UnknownNameError
from vggfeat.storage.folders import Folders
from vggfeat.storage.sources import Source

CLASS_COUNTS = {"ant": 4, "bee": 5}
DISTRIBUTIONS = {
    name: distribution_of(name) for name in ("caltech101", "caltech256", "voc2007", "voc2012")
}
CALTECH101, CALTECH256, VOC2007, VOC2012 = DISTRIBUTIONS.values()


def write(data, root, **counts):
    """The folder of a dataset, small, at `root`."""
    if data.marker is None:
        write_classes(root, CLASS_COUNTS)
    else:
        write_devkit(root, CLASSES, counts or {"train": 6, "val": 6, "test": 6})
    return root


@pytest.fixture(params=DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def data(request):
    return request.param


def files_below(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "below",
    [
        "",
        "VOCdevkit",
        "some/where",
        "FOLDER",
        "FOLDER/FOLDER",
        "VOCdevkit/VOCdevkit",
        "archive/VOCdevkit/VOCdevkit",
        "a/b/FOLDER/FOLDER/FOLDER",
    ],
)
def test_the_folder_is_found_where_it_stands(data, tmp_path, below):
    """FOLDER: one level too deep, as unpacking into a folder of the same name leaves it."""
    root = write(data, tmp_path / "data" / below.replace("FOLDER", data.folder) / data.folder)
    assert data.open(Folders(tmp_path / "data", tmp_path), offline=True) == root


def test_the_data_folder_may_be_the_datasets_folder(data, tmp_path):
    root = write(data, tmp_path / data.folder)
    assert data.open(Folders(root, tmp_path), offline=True) == root


@pytest.mark.parametrize("name", ["any name.tar", "any.tar.gz", "any.zip"])
@pytest.mark.parametrize("inside", ["", "deep/er/", "FOLDER/"])
def test_an_archive_by_any_name_is_unpacked_into_the_cache(tmp_path, name, inside):
    data = CALTECH256
    original = write(data, tmp_path / "original")
    (tmp_path / "data").mkdir()
    pack(
        original, tmp_path / "data" / name, f"{inside.replace('FOLDER', data.folder)}{data.folder}"
    )
    root = data.open(Folders(tmp_path / "data", tmp_path / "cache"), offline=True)
    assert root.is_relative_to(tmp_path / "cache") and files_below(root) == files_below(original)
    beside = {f"{name}.sha256"} if name.endswith(".tar") else set()  # which has no checksums
    assert {path.name for path in (tmp_path / "data").iterdir()} == {name} | beside


def pack(folder, archive, inside):
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for path in folder.rglob("*"):
                packed.write(path, f"{inside}/{path.relative_to(folder)}")
    else:
        with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as packed:
            packed.add(folder, inside)


def test_the_two_archives_of_voc_2007_make_one_folder(tmp_path):
    trainval = write(VOC2007, tmp_path / "trainval", train=5, val=5)
    test = tmp_path / "test"
    write_devkit(test, CLASSES, {"test": 5}, first=11)
    places = Folders(tmp_path / "data", tmp_path / "cache")
    places.data.mkdir()
    pack(trainval, places.data / "VOCtrainval_06-Nov-2007.tar", "VOCdevkit/VOC2007")
    with pytest.raises(DownloadError, match="VOCtest_06-Nov-2007.tar"):
        VOC2007.open(places, offline=True)
    pack(test, places.data / "VOCtest_06-Nov-2007.tar", "VOCdevkit/VOC2007")
    root = VOC2007.open(places, offline=True)
    assert files_below(root) == sorted(files_below(trainval) + files_below(test))


@pytest.mark.parametrize("first", ["trainval", "test"])
def test_the_two_folders_of_voc_2007_are_used_together(tmp_path, first):
    """As Kaggle's archive has them; whichever is found first."""
    names = {"trainval": "VOCtrainval_06-Nov-2007", "test": "VOCtest_06-Nov-2007"}
    if first == "trainval":
        names["trainval"] = "a"
    places = Folders(tmp_path / "data", tmp_path / "cache")
    trainval, test = (places.data / names[part] / "VOCdevkit/VOC2007" for part in names)
    write(VOC2007, trainval, train=5, val=5)
    write_devkit(test, CLASSES, {"test": 5}, first=11)
    for name in sorted(path.name for path in test.glob("ImageSets/Main/*_test.txt"))[:2]:
        shutil.copy(test / "ImageSets/Main" / name, trainval / "ImageSets/Main" / name)  # equal
    root = VOC2007.open(places, offline=True)
    assert files_below(root) == sorted({*files_below(trainval), *files_below(test)})
    assert VOC2007.open(places, offline=True) == root
    bench = load_benchmark("voc2007", places=places, offline=True)
    assert {name: len(rows) for name, rows in bench.sets.items()} == {
        "train": 5, "val": 5, "test": 5,
    }  # fmt: skip
    # What comes later is there, too.
    (test / "JPEGImages/more.jpg").write_bytes(b"")
    assert (VOC2007.open(places, offline=True) / "JPEGImages/more.jpg").exists()
    (trainval / "JPEGImages/more.jpg").write_bytes(b"other")
    with pytest.raises(DatasetError, match="more.jpg: two parts of a dataset have different files"):
        VOC2007.open(places, offline=True)


def test_a_whole_folder_is_not_joined_with_another(tmp_path):
    places = Folders(tmp_path / "data", tmp_path / "cache")
    root = write(VOC2007, places.data / "VOC2007")
    write_devkit(places.data / "old/VOC2007", CLASSES, {"test": 5}, first=99)
    assert VOC2007.open(places, offline=True) == root


def test_an_archive_that_is_not_the_distributed_one_is_told(tmp_path, caplog):
    pack(
        write(CALTECH256, tmp_path / "a"), tmp_path / "256_ObjectCategories.tar", CALTECH256.folder
    )
    places = Folders(tmp_path, tmp_path / "cache")
    CALTECH256.open(places, offline=True)
    assert "256_ObjectCategories.tar: is not the archive that is distributed" in caplog.text
    assert CALTECH256.altered(places) == [tmp_path / "256_ObjectCategories.tar"]


def test_archives_may_lie_in_two_places(tmp_path):
    """DATA and DATA/voc2007, as a download into the first may find the other put there by hand."""
    places = Folders(tmp_path / "data", tmp_path / "cache")
    (places.data / "voc2007").mkdir(parents=True)
    trainval = write(VOC2007, tmp_path / "trainval", train=5, val=5)
    write_devkit(tmp_path / "test", CLASSES, {"test": 5}, first=11)
    pack(trainval, places.data / "VOCtrainval_06-Nov-2007.tar", "VOCdevkit/VOC2007")
    test = places.data / "voc2007" / "VOCtest_06-Nov-2007.tar"
    pack(tmp_path / "test", test, "VOCdevkit/VOC2007")
    assert not VOC2007.missing(places)
    assert len(files_below(VOC2007.open(places, offline=True) / "JPEGImages")) == 15


def test_half_an_archive_is_named(data, tmp_path):
    for part in data.archives:
        pack(write(data, tmp_path / "whole"), tmp_path / part[0].name, f"x/{data.folder}")
        content = (tmp_path / part[0].name).read_bytes()
        (tmp_path / part[0].name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match=f"{data.archives[0][0].name}: damaged or cut short"):
        data.open(Folders(tmp_path, tmp_path / "cache"), offline=True)


def test_nothing_there_and_offline_says_what_to_put_where(data, tmp_path):
    with pytest.raises(DownloadError) as error:
        data.open(Folders(tmp_path / "empty", tmp_path), offline=True)
    for source in data.archives[0]:
        assert source.name in str(error.value) and source.digest in str(error.value)


def test_a_named_archive_goes_with_one_of_another_name(tmp_path):
    """VOC2012test.tar beside a renamed trainval; VOC 2007's halves, one of them renamed."""
    places = Folders(tmp_path / "data", tmp_path / "cache")
    places.data.mkdir()
    for data, first, second, sets in (
        (VOC2012, "mine.tar", "VOC2012test.tar", {"train": 4, "val": 4}),
        (VOC2007, "VOCtrainval_06-Nov-2007.tar", "half.tar", {"train": 4, "val": 4}),
    ):
        pack(
            write(data, tmp_path / f"{data.name}-a", **sets), places.data / first,
            f"VOCdevkit/{data.folder}",
        )  # fmt: skip
        write_devkit(tmp_path / f"{data.name}-b", CLASSES, {"test": 4}, first=9)
        pack(tmp_path / f"{data.name}-b", places.data / second, f"VOCdevkit/{data.folder}")
        assert not data.missing(places)
        assert len(files_below(data.open(places, offline=True) / "JPEGImages")) == 12


def test_what_this_tool_has_unpacked_is_not_the_users_folder(tmp_path):
    """With the cache in the data folder; a hidden folder is a half-unpacked one of a killed run."""
    places = Folders(tmp_path, tmp_path)
    for name in ("VOC2007-0123456789ab", ".VOC2007-0123456789ab.1234abcd.part"):
        write(VOC2007, places.unpacked / name / "VOC2007")
    assert VOC2007.locate(places) is None
    (tmp_path / ".hidden").mkdir()
    write(VOC2007, tmp_path / ".hidden" / "VOC2007")
    assert VOC2007.locate(places) is None


def test_an_archive_beside_the_folder_is_told_to_be_unused(tmp_path, caplog):
    write(VOC2012, tmp_path / "VOC2012")
    (tmp_path / "VOC2012test.tar").write_bytes(b"")
    (tmp_path / "VOCtrainval_11-May-2012.tar").write_bytes(b"")  # kept after unpacking
    places = Folders(tmp_path, tmp_path / "cache")
    assert VOC2012.unused(places) == []
    (tmp_path / "VOC2012" / "ImageSets" / "Main" / "test.txt").unlink()
    assert VOC2012.unused(places) == [tmp_path / "VOC2012test.tar"]
    for _ in range(3):  # benchmarks of the dataset
        VOC2012.open(places, offline=True)
    assert caplog.text.count("VOC2012test.tar is not used, as") == 1


def test_a_folder_without_lists_is_named_rather_than_fetched_again(tmp_path):
    (tmp_path / "VOC2012" / "JPEGImages").mkdir(parents=True)
    with pytest.raises(DatasetError, match="VOC2012: holds no folder ImageSets"):
        load_benchmark("voc2012", tmp_path)


def test_the_test_pictures_of_2012_are_used_when_put_there(tmp_path):
    places = Folders(tmp_path / "data", tmp_path / "cache")
    places.data.mkdir()
    write_devkit(tmp_path / "whole", CLASSES, {"train": 4, "val": 4})
    pack(tmp_path / "whole", places.data / "VOCtrainval_11-May-2012.tar", "VOCdevkit/VOC2012")
    write_devkit(tmp_path / "test", CLASSES, {"test": 4}, first=9)
    for labels in (tmp_path / "test" / "ImageSets" / "Main").glob("*_test.txt"):
        labels.unlink()  # they are not public
    pack(tmp_path / "test", places.data / "VOC2012test.tar", "VOCdevkit/VOC2012")
    root = VOC2012.open(places, offline=True)
    assert (root / "ImageSets/Main/test.txt").is_file() and len(
        files_below(root / "JPEGImages")
    ) == 12


def test_every_dataset_can_be_fetched(data, tmp_path, server):
    """From a second mirror, the first not answering."""
    original = write(data, tmp_path / "original")
    parts = []
    for number, part in enumerate(data.archives):
        path = tmp_path / "served" / part[0].name.replace(".zip", ".tar")
        chosen = tmp_path / f"part{number}"
        for name in files_below(original)[number :: len(data.archives)]:
            (chosen / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(original / name, chosen / name)
        pack(chosen, path, f"VOCdevkit/{data.folder}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        mirrors = ("http://127.0.0.1:9", server)
        parts.append(tuple(Source(f"{host}/{path.name}", "sha256", digest) for host in mirrors))
    small = replace(data, archives=tuple(parts))
    places = Folders(tmp_path / "data", tmp_path / "cache")
    assert small.missing(places) == list(small.archives)
    told = []
    root = small.open(places, progress=lambda *progress: told.append(progress))
    assert told[-1] == (f"fetching {parts[-1][0].name}, MB", 1, 1)
    assert files_below(root) == files_below(original)
    assert not small.missing(places)
    shutil.rmtree(tmp_path / "served")
    assert small.open(places) == root


def test_a_dataset_without_archives_says_which_folder_to_put_where(tmp_path):
    own = Distribution(name="own", folder="own_pictures")
    places = Folders(tmp_path, tmp_path / "cache")
    with pytest.raises(DatasetError, match="holds no folder own_pictures and no archive of it"):
        own.open(places)
    root = write(own, tmp_path / "own_pictures")
    assert own.open(places) == root


def test_unknown_datasets_are_refused():
    assert distribution_of("caltech101") is CALTECH101
    assert distribution_of("voc2012_actions") is VOC2012  # of which it is made, too
    with pytest.raises(UnknownNameError, match="Did you mean 'voc2007'"):
        distribution_of("voc07")


def test_every_address_states_size_and_digest(data):
    for source in (source for part in data.archives for source in part):
        assert len(source.digest) == 64 and source.size > 10**8
