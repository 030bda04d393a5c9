"""FGVC Aircraft: lists of variants such as F/A-18, three official sets, a banner that stays."""

import shutil

import pytest
from helpers.aircraft import BANNER, FOLDER, VARIANTS, write_aircraft
from helpers.loaders import assert_same_as_loader, state_counts
from helpers.packing import pack
from torchvision import datasets

from vggfeat.benchmarks.datasets.fgvc_aircraft import FGVC_AIRCRAFT
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.known_counts import counts
from vggfeat.errors import DatasetError
from vggfeat.images import decode
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_aircraft(root)
    return root


def load(data, cache):
    return load_benchmark("fgvc_aircraft", places=Folders(data, cache), offline=True)


def test_pictures_and_labels_are_those_of_torchvisions_loader(root, tmp_path):
    bench = load(root, tmp_path)
    for name in ("train", "val", "test"):
        assert_same_as_loader(bench, name, datasets.FGVCAircraft(root, split=name))
    assert list(bench.classes) == VARIANTS
    assert bench.ids[0] == "data/images/0034309.jpg"


def test_the_authors_sets_and_metric(root, tmp_path):
    bench = load(root, tmp_path)
    (split,) = bench.splits
    for name, part in (("train", split.train), ("val", split.validation), ("test", split.test)):
        assert part.tolist() == bench.sets[name].tolist()
    assert bench.task.metric == "mean_class_recall" and bench.scales == (256,)
    assert bench.protocol["labels"] == "variant" and bench.protocol["banner"] == "kept"
    picture = decode(bench.pictures[bench.ids[1]])
    assert (
        picture.height == 40 and picture.crop((0, 40 - BANNER // 2, 60, 40)).getextrema()[0][1] < 20
    )


def test_the_archive_as_it_is_distributed_gives_the_same(root, tmp_path):
    pack(tmp_path / "data" / "fgvc-aircraft-2013b.tar.gz", root, [FOLDER])
    packed = load(tmp_path / "data", tmp_path / "cache")
    assert packed.splits_sha256 == load(root, tmp_path).splits_sha256


def test_a_variant_that_the_list_of_variants_lacks_is_an_error(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    lines = [name for name in VARIANTS if name != "F/A-18"]
    (tmp_path / "copy" / FOLDER / "data" / "variants.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(DatasetError, match=r"FGVCAircraft, split train cannot be read .*F/A-18"):
        load(tmp_path / "copy", tmp_path)


def test_counts_are_compared_with_known_ones(root, monkeypatch, tmp_path):
    state_counts(monkeypatch, "fgvc_aircraft", {"train": (6, 4), "val": (6, 3), "test": (6, 2)})
    compared = counts(load(root, tmp_path))
    assert {c.set for c in compared if c.actual != c.expected} == {"test"}
    stated = {known.set: known.total for known in FGVC_AIRCRAFT.known_counts}
    assert stated == {"train": 3334, "val": 3333, "test": 3333}
    assert sum(stated.values()) == FGVC_AIRCRAFT.num_pictures


def test_the_address_is_torchvisions():
    ((source,),) = FGVC_AIRCRAFT.source.files
    assert source.url == datasets.FGVCAircraft._URL
