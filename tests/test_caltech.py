"""Caltech-101: wherever it lies, and the counts of the real one."""

import shutil
import tarfile

import pytest

from vggfeat.benchmarks import caltech
from vggfeat.benchmarks.protocol import DataOptions
from vggfeat.errors import DatasetError, DownloadError
from vggfeat.fetch import Source
from vggfeat.folders import Folders


def load(data, cache, **options):
    return caltech.caltech101(Folders(data, cache), DataOptions(**options), offline=True)


def test_paper_protocol(caltech_dir, tmp_path):
    bench = load(caltech_dir, tmp_path)
    assert bench.classes == ("BACKGROUND_Google", "accordion", "inline_skate", "wild_cat")
    assert (bench.scales, bench.aggregate, bench.mirror) == ((256, 384, 512), "stack", True)
    assert bench.metric == "mean_class_recall" and len(bench.splits) == 3
    split = bench.splits[0]
    # Three classes of at least 31 pictures: 24 + 6 to train, the rest to test; wild_cat is halved.
    assert (len(split.train), len(split.validation)) == (3 * 24 + 5, 3 * 6 + 1)
    assert len(split.test) == 4 + 4 + 1 + 6
    assert [note for note in bench.notes if "wild_cat" in note] and len(bench.notes) == 1


@pytest.mark.parametrize("below", [".", "caltech101", "caltech-101", "101_ObjectCategories"])
def test_the_folder_is_found_at_its_usual_places(caltech_dir, tmp_path, below):
    expected = load(caltech_dir, tmp_path).splits_sha256
    data = caltech_dir / below
    if below in ("caltech101", "caltech-101"):
        data.mkdir()
        shutil.move(caltech_dir / "101_ObjectCategories", data / "101_ObjectCategories")
        data = caltech_dir
    assert load(data, tmp_path).splits_sha256 == expected


def test_an_archive_is_unpacked_into_the_cache_and_the_data_folder_left_alone(
    caltech_dir, tmp_path
):
    expected = load(caltech_dir, tmp_path).splits_sha256
    with tarfile.open(caltech_dir / "any name.tar", "w") as archive:
        archive.add(caltech_dir / "101_ObjectCategories", "deep/101_ObjectCategories")
    shutil.rmtree(caltech_dir / "101_ObjectCategories")
    bench = load(caltech_dir, tmp_path / "cache")
    assert bench.splits_sha256 == expected
    assert [path.name for path in caltech_dir.iterdir()] == ["any name.tar"]
    first = next(iter(bench.pictures.values()))
    assert first.is_relative_to(tmp_path / "cache") and first.is_file()


def test_nothing_there_and_offline_says_what_to_put_where(tmp_path):
    with pytest.raises(DownloadError, match="caltech-101.zip .* or 101_ObjectCategories.tar.gz"):
        load(tmp_path / "empty", tmp_path)


def test_no_server_answers(tmp_path, monkeypatch):
    sources = [Source("http://127.0.0.1:9/caltech-101.zip", "md5", "0")]
    monkeypatch.setattr(caltech, "CALTECH101_SOURCES", sources)
    with pytest.raises(DownloadError, match="127.0.0.1:9"):
        caltech.caltech101(Folders(tmp_path / "data", tmp_path), DataOptions())


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "caltech-101.zip").write_bytes(b"half")
    with pytest.raises(DatasetError, match="caltech-101.zip: damaged or cut short"):
        load(tmp_path, tmp_path / "cache")


@pytest.mark.real
def test_counts_of_the_real_pictures(real_data, tmp_path):
    """The first 80 pictures of each of the 102 classes."""
    bench = load(real_data / "data", tmp_path)
    assert len(bench.classes) == 102 and len(bench.ids) == 6039
    for split in bench.splits:
        assert len(split.train) + len(split.validation) == 3060
        assert len(split.validation) == 612
    skates = bench.classes.index("inline_skate")
    tested = bench.labels[bench.splits[0].test].argmax(axis=1)
    assert (tested == skates).sum() == 1
    assert not bench.notes
