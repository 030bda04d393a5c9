"""cache: what can be made again is listed and goes; everything else stays where it is."""

import json
import os
import time
from pathlib import Path

import filelock
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.pictures import write_picture

from vggfeat.cli import main
from vggfeat.features.cache_folder import KINDS, UNPACKED
from vggfeat.features.part_files import part_path
from vggfeat.probes.streaming.vector_file import VectorFileWriter
from vggfeat.storage.locks import exclusive, if_free

NET = "vgg11:width=0.0625,input_size=32@random:0"


@pytest.fixture
def cache(run, tmp_path, home):
    """The home folder after a bench of digits, with files of vggfeat's and of the user's in it."""
    picture = write_picture(tmp_path / "pictures/a.png")
    result = run("extract", "--images", picture.parent, "--net", NET, "--scales", "32", "--quiet")
    assert result.exit_code == 0, result.output
    for name in ("weights/vgg16-397923af.pth", "weights/vgg16-397923af.pth.sha256",
                 "weights/mine.pth", "weights/timm/models--a/blobs/1",
                 f"libraries/timm-{32 * '0'}.json", "features/mine.h5",
                 "unpacked/101_ObjectCategories-0123456789ab/x/1.jpg", "unpacked/digits-1/0.png",
                 "unpacked/.synthetic_scenes-1.01234567.part/0.png", "unpacked/my-pictures/1.jpg",
                 "unpacked/holidays-2012/1.jpg", "data/VOCdevkit/VOC2007/1.jpg",
                 "copies/.train-0.tar.01234567.part", "scratch/.vectors-01234567.float32",
                 "scratch/.vectors-01234567.float32-fits-ab_12345/signs.npy", "demo/digits/a.json",
                 "demo_runs-3/vgg11.safetensors", "notes.txt"):  # fmt: skip
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234567890")
    return home


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


OF_THE_USER = {
    "weights/mine.pth", "features/mine.h5", "unpacked/my-pictures/1.jpg",
    "unpacked/holidays-2012/1.jpg", "data/VOCdevkit/VOC2007/1.jpg", "notes.txt",
}  # fmt: skip


def test_what_vggfeat_made_is_listed_with_its_size_and_use(run, cache):
    lines = json.loads(run("cache", "ls", "--format", "json").stdout)
    by_name = {os.path.basename(line["path"]): line for line in lines}
    (features,) = (line for line in lines if line["kind"] == "features")
    assert "vgg11:width=0.0625,input_size=32, fc7 at 32; 1 pictures" in features["what"]
    assert features["bytes"] == os.path.getsize(features["path"])
    assert by_name["vgg16-397923af.pth"]["what"] == "vgg16@torchvision"
    assert by_name["timm"]["bytes"] == 10 and by_name["timm"]["age_days"] < 1
    assert (
        by_name["101_ObjectCategories-0123456789ab"]["what"] == "pictures of 101_ObjectCategories"
    )
    assert "not finished" in by_name[".synthetic_scenes-1.01234567.part"]["what"]
    assert by_name[".train-0.tar.01234567.part"]["what"] == "copy of a remote train-0.tar"
    assert not {"mine.pth", "my-pictures", "holidays-2012", "data", "notes.txt"} & by_name.keys()
    only = json.loads(run("cache", "ls", "libraries", "demo", "--format", "json").stdout)
    assert [line["kind"] for line in only] == ["libraries", "demo", "demo"]


def test_the_table_ends_with_the_sum(run, cache):
    lines = run("cache", "ls", "unpacked").stdout.splitlines()
    assert lines[-1] == f"In all 30 bytes in {cache}"


def test_clear_removes_all_of_that_and_nothing_of_the_users(run, cache):
    result = run("cache", "clear", "--yes")
    assert result.exit_code == 0
    left = {name for name in files_in(cache) if not name.endswith(".lock")}
    assert left == OF_THE_USER
    assert result.stdout.splitlines()[-1].startswith("freed ")
    assert "nothing to remove" in run("cache", "clear", "--yes").stdout


def test_kinds_and_age_choose(run, cache):
    old = cache / "unpacked/digits-1"
    for path in (old / "0.png", old):
        os.utime(path, (0, time.time() - 40 * 86400))
    assert run("cache", "clear", "unpacked", "--older-than", "30d", "--yes").exit_code == 0
    assert not old.exists() and (cache / "unpacked/101_ObjectCategories-0123456789ab").exists()
    run("cache", "clear", "libraries", "--yes")
    assert not (cache / "libraries").exists() and (cache / "weights/timm").exists()


@pytest.mark.parametrize("age", ["30", "d", "3y", "-1d", "1.5h", ""])
def test_ages(run, age):
    assert run("cache", "clear", "--older-than", age).exit_code == 2


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("", 1), ("y\n", 0)])
def test_it_asks_before_it_removes(cache, answer, code):
    before = files_in(cache)
    result = CliRunner().invoke(main, ["cache", "clear", "weights"], input=answer)
    assert result.exit_code == code
    assert (files_in(cache) == before) == (code == 1)


def test_a_dry_run_removes_nothing(run, cache):
    before = files_in(cache)
    assert "would free" in run("cache", "clear", "--dry-run").stdout
    assert files_in(cache) == before


def test_links_go_and_what_they_lead_to_stays(run, cache, tmp_path):
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub/precious.jpg").write_bytes(b"1")
    (outside / "weights.pth").write_bytes(b"1")
    (cache / "weights/vgg19-dcbb9e9d.pth").symlink_to(outside / "weights.pth")
    (cache / "unpacked/VOCdevkit-0123456789ab").symlink_to(outside / "sub")
    (cache / "unpacked/digits-1/more").symlink_to(outside)
    (cache / "features/link-0123456789ab.h5").symlink_to(outside / "weights.pth")
    assert run("cache", "clear", "--yes").exit_code == 0
    assert files_in(outside) == {"sub/precious.jpg", "weights.pth"}
    assert not os.path.lexists(cache / "unpacked/VOCdevkit-0123456789ab")


def test_a_folder_that_leads_out_is_left_alone(run, cache, tmp_path):
    outside = tmp_path / "scratch"
    (cache / "unpacked").rename(outside)
    (cache / "unpacked").symlink_to(outside)
    before = files_in(outside)
    assert "leads out of the cache folder" in run("cache", "ls").stderr
    run("cache", "clear", "--yes")
    assert files_in(outside) == before


def test_a_cache_that_is_a_link_itself_is_the_cache(run, cache, tmp_path):
    (tmp_path / "link").symlink_to(cache)
    run("cache", "clear", "libraries", "--yes", "--cache-dir", tmp_path / "link")
    assert not (cache / "libraries").exists()


def test_what_is_being_written_stays(run, cache):
    (features,) = (cache / "features").glob("*-*.h5")
    unpacked = cache / "unpacked/101_ObjectCategories-0123456789ab"
    with filelock.FileLock(f"{features}.lock"), exclusive(unpacked):
        result = run("cache", "clear", "--yes")
    assert features.exists() and unpacked.exists()
    assert result.stderr.count("another process is at work on it") == 2
    run("cache", "clear", "--yes")
    assert not features.exists() and not unpacked.exists()


def test_parts_of_an_extraction_stay_while_somebody_writes_to_them(run, cache):
    """Copies of a feature file stand for parts of it."""
    (features,) = cache.glob("features/pictures-*.h5")
    parts = [part_path(features, number, "01234567") for number in range(2)]
    parts[0].parent.mkdir()
    for part in parts:
        part.write_bytes(features.read_bytes())
    assert f"not merged yet: {features.name}" in run("cache", "ls").stdout
    assert "parts of several processes, not merged yet: 2" in run("inspect", features).stdout
    assert "verified (3)" in run("verify", features, parts[0].parent).stderr
    with filelock.FileLock(f"{parts[0]}.lock"):
        result = run("cache", "clear", "features", "--yes")
    assert "another process is at work on it" in result.stderr
    assert [path.name for path in parts[0].parent.glob("*.h5")] == [parts[0].name]
    run("cache", "clear", "features", "--yes")
    assert not parts[0].parent.exists() and not features.exists()


def test_a_lock_is_free_or_not(tmp_path):
    target = tmp_path / "a"
    with if_free(target) as first:
        assert first
        with if_free(target) as second:
            assert not second
    with if_free(target) as again:
        assert again
    (tmp_path / ".a.lock.held").touch()  # stands for a lock where there are none
    with if_free(target) as held:
        assert not held


def test_what_cannot_be_removed_is_said(run, cache, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    result = run("cache", "clear", "unpacked", "--yes")
    assert result.exit_code == 1 and "Permission denied" in result.stderr
    assert "freed 0 bytes" in result.stdout


def test_broken_files_are_listed_all_the_same(run, cache):
    (cache / "features/bad-0123456789ab.h5").write_bytes(b"no HDF5")
    lines = run("cache", "ls", "features").stdout
    assert "cannot be read as a feature file" in lines


def test_another_folder_taken_for_the_cache_keeps_what_is_in_it(run, tmp_path):
    """Folders of a project, which happen to have the cache's names."""
    for name in ("features/cars.h5", "features/a-0123.h5", "libraries/torch/a.py",
                 "libraries/notes.json", "weights/timm/mine.pth", "weights/resnet50.pth",
                 "unpacked/2012/1.jpg", "demo/talk.pdf", "demo/a.json"):  # fmt: skip
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    before = files_in(tmp_path / "project")
    result = run("cache", "clear", "--yes", "--cache-dir", tmp_path / "project")
    assert result.exit_code == 0 and "nothing to remove" in result.stdout
    assert files_in(tmp_path / "project") == before


def test_no_file_says_yes(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vggfeat.toml").write_text("[cache.clear]\nyes = true")
    assert "[cache.clear] yes is no option" in run("cache", "clear").stderr


def test_generated_folders_are_known_by_the_names_of_the_registry():
    from vggfeat.benchmarks.datasets.registry import DATASETS
    from vggfeat.benchmarks.sources.generated import Generated
    from vggfeat.storage.folders import Folders

    for source in (d.source for d in DATASETS if isinstance(d.source, Generated)):
        assert UNPACKED.fullmatch(source.locate(Folders(Path(), Path())).name)


def test_the_command_names_the_kinds():
    from vggfeat.cli.cache import KINDS as named

    assert tuple(KINDS) == named


def test_vectors_that_a_fit_reads_stay_with_all_that_is_beside_them(run, cache):
    """As several processes share them; what a killed job left goes with the rest."""
    with VectorFileWriter(cache / "scratch", 7) as writer:
        writer.append(np.zeros((9, 7)))
        vectors = writer.finish(shared=True)
    fits = vectors.path.with_name(f"{vectors.path.name}-fits-0123abc_")
    fits.mkdir()
    assert run("cache", "ls", "scratch").stdout.count("vectors of a probe") == 4
    result = run("cache", "clear", "scratch", "--yes")
    assert result.stderr.count("another process is at work on it") == 2
    assert sorted((cache / "scratch").glob(".vectors*")) == [vectors.path, fits]
    vectors.close()
    run("cache", "clear", "scratch", "--yes")
    assert not list((cache / "scratch").iterdir())
