"""Caltech-101 and Caltech-256: the paper's protocol, and the quirks of the archives."""

import pytest
from helpers.pictures import write_classes, write_picture

from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.layouts.options import DataOptions
from vggfeat.storage.folders import Folders


def load(name, data, cache, **options):
    return load_benchmark(
        name, options=DataOptions(**options), places=Folders(data, cache), offline=True
    )


def test_paper_protocol_of_caltech_101(caltech_dir, tmp_path):
    bench = load("caltech101", caltech_dir, tmp_path)
    assert bench.classes == ("BACKGROUND_Google", "accordion", "inline_skate", "wild_cat")
    assert (bench.scales, bench.aggregate, bench.mirror) == ((256, 384, 512), "stack", True)
    assert bench.task.metric == "mean_class_recall" and len(bench.splits) == 3
    split = bench.splits[0]
    # Three classes of at least 31 pictures: 24 + 6 to train, the rest to test; wild_cat is halved.
    assert (len(split.train), len(split.validation)) == (3 * 24 + 5, 3 * 6 + 1)
    assert len(split.test) == 4 + 4 + 1 + 6
    assert [note for note in bench.notes if "wild_cat" in note] and len(bench.notes) == 1


@pytest.fixture
def caltech256_dir(tmp_path):
    """Three classes, the clutter among them, and the stray items of the real archive."""
    root = tmp_path / "data" / "256_ObjectCategories"
    write_classes(root, {"056.dog": 130, "198.spider": 80, "257.clutter": 61})
    write_picture(root / "056.dog" / "greg" / "vision309" / "056_0001.jpg")
    (root / "198.spider" / "RENAME2").write_text("rename\n")
    return tmp_path / "data"


def test_paper_protocol_of_caltech_256(caltech256_dir, tmp_path):
    bench = load("caltech256", caltech256_dir, tmp_path)
    assert bench.classes == ("056.dog", "198.spider", "257.clutter")
    assert (bench.scales, bench.aggregate, bench.mirror) == ((256, 384, 512), "stack", True)
    assert bench.protocol["train_per_class"] == 60 and bench.protocol["background"]
    for split in bench.splits:
        assert (len(split.train), len(split.validation)) == (3 * 48, 3 * 12)
        assert len(split.test) == 70 + 20 + 1  # all the others, however many
    assert len(bench.splits) == 3


def test_stray_items_are_ignored_and_listed(caltech256_dir, tmp_path):
    bench = load("caltech256", caltech256_dir, tmp_path)
    assert len(bench.ids) == 271 and not [i for i in bench.ids if "greg" in i]
    assert bench.notes == ("not pictures of a class, ignored: 056.dog/greg, 198.spider/RENAME2",)


def test_clutter_can_be_left_out(caltech256_dir, tmp_path):
    bench = load("caltech256", caltech256_dir, tmp_path, background=False)
    assert bench.classes == ("056.dog", "198.spider") and not bench.protocol["background"]


@pytest.mark.real
def test_counts_of_the_real_pictures(real_data, tmp_path):
    """The first 80 pictures of each of the 102 classes."""
    bench = load("caltech101", real_data / "data", tmp_path)
    assert len(bench.classes) == 102 and len(bench.ids) == 6039
    for split in bench.splits:
        assert len(split.train) + len(split.validation) == 3060
        assert len(split.validation) == 612
    skates = bench.classes.index("inline_skate")
    tested = bench.labels[bench.splits[0].test].argmax(axis=1)
    assert (tested == skates).sum() == 1
    assert not bench.notes
