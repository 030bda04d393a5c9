"""`torchvision:NAME`: any class of torchvision.datasets, measured like pictures of the user's."""

import io
import json
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from helpers.dishes import write_dishes
from helpers.pictures import NARROW, write_classes, write_picture
from helpers.torchvision_trees import SIZES, write_clevr, write_mnist, write_sst2
from PIL import Image
from torchvision import datasets

from vggfeat import DataOptions, load_benchmark
from vggfeat.benchmarks.datasets import by_name, registry
from vggfeat.benchmarks.sources import torchvision_class
from vggfeat.errors import DatasetError, DownloadError, UnknownNameError
from vggfeat.images import decode
from vggfeat.storage.folders import Folders


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    monkeypatch.setattr(registry, "_from_paths", {})


@pytest.fixture
def data(tmp_path):
    write_mnist(tmp_path / "data")
    write_sst2(tmp_path / "data")
    return tmp_path / "data"


def refused(name, folder):
    with pytest.raises(DatasetError) as error:
        load_benchmark(name, folder, offline=True)
    return str(error.value)


def assert_same(benchmark, part, dataset, names):
    """A part has the pictures and labels that torchvision hands out, in its order or another."""
    rows = benchmark.sets[part]
    ours = sorted(
        (np.asarray(decode(benchmark.pictures[benchmark.ids[row]])).tobytes(),
         benchmark.classes[benchmark.labels[row].argmax()])
        for row in rows
    )  # fmt: skip
    theirs = sorted((np.asarray(im.convert("RGB")).tobytes(), names[k]) for im, k in dataset)
    assert ours == theirs


# Pictures and labels are those that the classes hand out


def test_pictures_in_arrays_are_rows_of_the_sets(data):
    benchmark = load_benchmark("torchvision:MNIST", data)
    assert (benchmark.name, benchmark.title) == ("torchvision_MNIST", "torchvision:MNIST")
    assert benchmark.feature_set == "torchvision_MNIST" and benchmark.is_own
    assert benchmark.classes == ("0 - zero", "1 - one", "2 - two")
    assert benchmark.ids[:2] == ("test/0", "test/1") and len(benchmark.ids) == 18
    for part, train in (("train", True), ("test", False)):
        theirs = datasets.MNIST(data, train=train)
        assert_same(benchmark, part, theirs, theirs.classes)
    assert benchmark.protocol["split"] == "as given"
    assert benchmark.protocol["dataset"] == "torchvision:MNIST"


def test_pictures_in_files_are_the_files_and_three_sets_are_taken_as_given(data):
    benchmark = load_benchmark("torchvision:RenderedSST2", data)
    assert {part: len(rows) for part, rows in benchmark.sets.items()} == {
        "train": 2 * SIZES["train"], "val": 2 * SIZES["valid"], "test": 2 * SIZES["test"],
    }  # fmt: skip
    for part, split in (("train", "train"), ("val", "val"), ("test", "test")):
        assert_same(
            benchmark, part, datasets.RenderedSST2(data, split=split), ["negative", "positive"]
        )
    first = benchmark.ids[0]
    assert benchmark.pictures[first] == data / first and first.startswith("rendered-sst2/test/neg")
    (split,) = benchmark.splits
    assert (split.validation == benchmark.sets["val"]).all()


def test_a_class_without_sets_is_split_at_random_whatever_its_pictures_are(tmp_path):
    root = tmp_path / "caltech101" / "101_ObjectCategories"
    write_picture(root / "BACKGROUND_Google" / "image_0001.jpg")  # no class of torchvision's
    for name in ("ant", "bee"):
        for n in range(1, 7):
            write_picture(root / name / f"image_{n:04d}.jpg", seed=n + 50 * (name == "bee"))
    Image.new("L", (9, 9), 3).save(root / "ant" / "image_0001.jpg")  # some of the real are grey
    benchmark = load_benchmark("torchvision:Caltech101", tmp_path, DataOptions(num_splits=2))
    assert len(benchmark.splits) == 2 and benchmark.protocol["split"] == "random, stratified"
    assert_same(benchmark, "all", datasets.Caltech101(tmp_path), ["ant", "bee"])


def test_labels_are_named_as_the_class_names_them_and_sets_without_any_left_out(tmp_path):
    write_mnist(tmp_path, "EMNIST", "emnist-letters-{}-{}", {"train": "train", "test": "test"})
    letters = load_benchmark("torchvision:EMNIST:split=letters", tmp_path)
    assert letters.classes == ("N/A", "a", "b")  # the class counts its letters from 1
    write_clevr(tmp_path)
    counted = load_benchmark("torchvision:CLEVRClassification", tmp_path)
    assert counted.classes == ("3", "4") and {*counted.sets} == {"train", "val"}
    assert "set test has no labels and is left out" in counted.remarks
    for part in ("train", "val"):
        theirs = datasets.CLEVRClassification(tmp_path, split=part)
        assert_same(counted, part, theirs, list(map(str, range(5))))


def test_a_class_that_lists_no_files_gives_rows_with_the_names_of_its_categories(tmp_path):
    kinds = [f"{k:05d}_Animalia_P_C_O_F_G_{name}" for k, name in enumerate(("ant", "bee"))]
    write_classes(tmp_path / "2021_valid", dict.fromkeys(kinds, 5))
    benchmark = load_benchmark("torchvision:INaturalist:version=2021_valid", tmp_path)
    assert benchmark.classes == tuple(kinds) and benchmark.ids[0] == "all/0"
    assert_same(benchmark, "all", datasets.INaturalist(tmp_path, version="2021_valid"), kinds)


def test_arguments_choose_sets_and_reach_the_class(data, tmp_path):
    alone = load_benchmark("torchvision:RenderedSST2:split=train", data)
    assert list(alone.sets) == ["all"] and len(alone.ids) == 2 * SIZES["train"]
    assert alone.name == "torchvision_RenderedSST2_split_train"
    swapped = load_benchmark("torchvision:RenderedSST2:train=test,test=train", data)
    assert len(swapped.splits[0].test) == 2 * SIZES["train"]
    write_mnist(data, "FashionMNIST")
    half = load_benchmark("torchvision:FashionMNIST:train=false", data)
    assert len(half.ids) == 6 and list(half.sets) == ["all"]
    assert "Dress" not in half.classes and "Pullover" in half.classes
    same = load_benchmark("torchvision:RenderedSST2:test=train:train=test", data)
    assert same.splits_sha256 == swapped.splits_sha256 and same.name == swapped.name


def test_labels_without_a_list_of_them_come_with_the_pictures(data):
    class Odd(datasets.RenderedSST2):
        """Lists its labels in another order than it hands out its pictures."""

        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image, np.int64(1 - label)

    from vggfeat.benchmarks.protocols.torchvision_pictures import _labels

    odd = Odd(data)
    assert _labels(odd) == [1 - label for _, label in datasets.RenderedSST2(data)]
    odd.__class__.__getitem__ = lambda self, index: (None, {"boxes": 1})
    assert _labels(odd) == []
    odd.__class__.__getitem__ = lambda self, index: (None, None)
    assert _labels(odd) is None


# The command line


def test_measured_like_an_own_folder_and_named_alike_ever_after(run, home, data, tmp_path):
    options = ["--data-dir", data, "--net", NARROW, "--scales", 32, "--out", tmp_path / "out"]
    result = run("bench", "torchvision:MNIST", *options)
    assert result.exit_code == 0, result.stderr
    assert "Own pictures: no published number to compare with." in result.stdout
    again = run("bench", "torchvision:MNIST", *options, "--format", "json")
    (record,) = json.loads(again.stdout)
    assert record["benchmark"] == "torchvision_MNIST" and record["protocol"]["own"]
    assert "torchvision_MNIST: measured already" not in again.stdout
    dry = run("bench", "torchvision:MNIST", *options, "--dry-run")
    assert f"torchvision_MNIST: in {data}" in dry.stdout and "measured already" in dry.stdout
    few = run("bench", "torchvision:MNIST", *options, "--shots", "1,2", "--limit", 4)
    assert few.exit_code == 0 and "training pictures a class" in few.stdout
    extracted = run("extract", "--dataset", "torchvision:MNIST", *options[:-2])
    assert "torchvision_MNIST, vgg11" in extracted.stdout and "0 new" in extracted.stdout
    verified = run("datasets", "verify", "torchvision:MNIST", "--data-dir", data)
    assert "every picture can be decoded" in verified.stdout and verified.exit_code == 0
    splits = run("datasets", "splits", "torchvision:MNIST", "--data-dir", data)
    assert splits.stdout.splitlines()[1].startswith("0,train,train/")
    page = tmp_path / "page.html"
    shown = ["--pictures", "torchvision:MNIST", "--data-dir", data, "--to", page]
    assert run("report", tmp_path / "out", "--only", "pictures", *shown).exit_code == 0
    assert page.read_text().count("data:image/") > 5


def test_a_list_that_leads_elsewhere_is_refused(tmp_path):
    write_picture(tmp_path / "private.jpg", (8, 8), 0)
    path = write_dishes(tmp_path / "data") / "meta" / "test.json"
    listed = json.loads(path.read_text())
    path.write_text(json.dumps(listed | {next(iter(listed)): ["../../../private"]}))
    assert (tmp_path / "data" / "food-101" / "images" / "../../../private.jpg").is_file()
    assert "a list names" in refused("torchvision:Food101:split=test", tmp_path / "data")


def test_what_has_a_file_here_is_told_and_still_done(tmp_path):
    for split in SIZES:
        write_classes(tmp_path / "here" / "country211" / split, {"AD": 3, "AE": 3})
    benchmark = load_benchmark("torchvision:Country211", tmp_path, offline=True)
    said = "`vggfeat bench country211` measures these by the protocol of the field"
    assert said in benchmark.remarks and benchmark.is_own
    assert benchmark.name == "torchvision_Country211"
    assert {part: len(rows) for part, rows in benchmark.sets.items()} == {
        "train": 6, "val": 6, "test": 6,
    }  # fmt: skip


def test_what_has_a_file_here_is_fetched_as_that_says_but_for_other_sets():
    ours = registry.definition_of("svhn").source
    assert registry.definition_of("torchvision:SVHN").source is ours
    other = registry.definition_of("torchvision:SVHN:train=extra,test=test").source
    assert isinstance(other, torchvision_class.TorchvisionClass)


def test_the_files_and_classes_that_are_listed_are_there():
    assert set(by_name.OWN_FILES) <= set(datasets.__all__)
    assert set(by_name.OWN_FILES.values()) <= {d.name for d in registry.DATASETS}
    assert set(torchvision_class.UNLABELLED) <= set(datasets.__all__)


# What goes wrong is said in one line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:VOCDetection", "no class for each picture"),
        ("torchvision:LSUN", "unpickles a file that nobody has verified"),
        ("torchvision:ImageFolder", "name the folder itself"),
        ("torchvision:DTD:partitions=2", "no argument 'partitions'; allowed: split, partition"),
        ("torchvision:DTD:partition", "'partition' is not KEY=VALUE"),
        ("torchvision:DTD:partition=1,partition=2", "'partition=2' is there twice"),
        ("torchvision:DTD:train=half", "Unknown value 'half' for argument split"),
        ("torchvision:DTD:partition=../x", "partition must be a whole number; got '../x'"),
        ("torchvision:MNIST:train=yes", "train must be true or false; got 'yes'"),
        ("torchvision:EMNIST", "needs :split=VALUE behind the name."),
        ("torchvision:EMNIST:split=words", "Valid values are {'byclass', 'bymerge'"),
        ("torchvision:SUN397:test=1", "no sets to choose by test="),
        ("torchvision:", "names no dataset"),
    ],
)
def test_a_name_that_leads_nowhere_says_why_before_anything_is_fetched(name, said):
    with pytest.raises(DatasetError, match="torchvision:") as error:
        registry.definition_of(name)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_mistyped_class_is_told_from_the_others():
    with pytest.raises(UnknownNameError, match="Did you mean 'CIFAR10'"):
        registry.definition_of("torchvision:CIFAR1O")


def test_what_cannot_be_had_says_so(tmp_path, data):
    (tmp_path / "empty").mkdir()
    for name in ("RenderedSST2", "Caltech256"):  # the second makes a folder before it looks
        with pytest.raises(DownloadError, match=r"nothing may be fetched \(--offline"):
            load_benchmark(f"torchvision:{name}", tmp_path / "empty", offline=True)
    assert not list((tmp_path / "empty").iterdir())
    assert "torchvision cannot fetch it. Put it there by hand" in refused(
        "torchvision:FER2013", tmp_path
    )
    (data / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(b"odd")
    with pytest.raises(DownloadError, match="does not hold it as torchvision lays it out"):
        load_benchmark("torchvision:MNIST", data, offline=True)


# Downloads


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A tar as RenderedSST2's class fetches it, from a server here; with it what is put in."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "served").mkdir()
    write_sst2(tmp_path / "here")
    path = tmp_path / "served" / "rendered-sst2.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "here" / "rendered-sst2", "rendered-sst2")
    handler = partial(QuietHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{path.name}"
        monkeypatch.setattr(datasets.RenderedSST2, "_URL", url)
        monkeypatch.setattr(datasets.RenderedSST2, "_MD5", datasets.utils.calculate_md5(path))
        yield path
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_torchvision_fetches_what_is_missing_into_a_folder_that_appears_whole(
    served, tmp_path, capfd
):
    told = []
    places = Folders(tmp_path / "data", tmp_path / "cache")
    source = registry.definition_of("torchvision:RenderedSST2").source
    ((lacking,),) = source.missing(places)
    assert lacking.name == "torchvision:RenderedSST2"
    benchmark = load_benchmark(
        "torchvision:RenderedSST2", places=places, progress=lambda *status: told.append(status)
    )
    assert len(benchmark.ids) == 2 * sum(SIZES.values())
    assert [path.name for path in places.data.iterdir()] == ["torchvision_RenderedSST2"]
    assert told[-1] == ("fetching torchvision:RenderedSST2, MB", 1, 1)
    assert capfd.readouterr() == ("", "")  # torchvision draws no bar of its own
    assert not source.missing(places)


def test_a_tar_that_leaves_its_folder_leaves_nothing(served, tmp_path, monkeypatch):
    with tarfile.open(served, "w:gz") as tar:
        member = tarfile.TarInfo("../../outside.txt")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"out"))
    monkeypatch.setattr(datasets.RenderedSST2, "_MD5", datasets.utils.calculate_md5(served))
    before = tarfile.TarFile.extraction_filter
    with pytest.raises(DownloadError, match="OutsideDestinationError"):
        load_benchmark("torchvision:RenderedSST2", tmp_path / "data")
    assert tarfile.TarFile.extraction_filter is before
    assert not list((tmp_path / "data").iterdir()) and not list(tmp_path.rglob("outside.txt"))


def test_a_download_that_fails_or_is_another_one_is_said_in_one_line(served, tmp_path):
    served.write_bytes(served.read_bytes() + b"more")
    with pytest.raises(DownloadError, match=r"could not fetch it: RuntimeError: File not found or"):
        load_benchmark("torchvision:RenderedSST2", tmp_path / "data")
    served.unlink()
    with pytest.raises(DownloadError, match=r"could not fetch it: HTTPError: HTTP Error 404"):
        load_benchmark("torchvision:RenderedSST2", tmp_path / "data")
    (tmp_path / "data" / "torchvision_RenderedSST2").mkdir()
    assert "Move it away" in str(pytest.raises(
        DatasetError, load_benchmark, "torchvision:RenderedSST2", tmp_path / "data"
    ).value)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "meant"), [("torchvison:CIFAR10", "torchvision"), ("HF:owner/name", "hf")]
)
def test_a_mistyped_place_is_not_taken_for_a_benchmark(name, meant):
    place = name.partition(":")[0]
    expected = f"Unknown place of datasets '{place}'.*Did you mean '{meant}'"
    with pytest.raises(UnknownNameError, match=expected):
        registry.definition_of(name)
