"""`vggfeat extract --images SOURCE --to FOLDER/`: tars and lists into shards."""

import subprocess

import numpy as np
import pytest
from helpers.pictures import NARROW, write_picture

import vggfeat

NAMES = [f"{n % 2}/{n}.jpg" for n in range(6)]


@pytest.fixture
def root(tmp_path):
    """Six pictures, and two tars of three each."""
    root = tmp_path / "pictures"
    for seed, name in enumerate(NAMES):
        write_picture(root / name, seed=seed)
    for n in range(2):
        subprocess.run(["tar", "cf", tmp_path / f"t-{n}.tar", *NAMES[3 * n :][:3]], cwd=root,
                       check=True)  # fmt: skip
    return root


@pytest.fixture
def extract(run, tmp_path):
    def extract(images, to, *options):
        where = ["--cache-dir", tmp_path / "cache", "--scales", "32", "--quiet", "--net", NARROW]
        return run("extract", "--images", images, "--to", to, *where, *options)

    return extract


def vectors(folder):
    with vggfeat.open_features(folder) as features:
        return dict(zip(features.ids(), features.read(), strict=True))


def test_tars_give_the_vectors_of_the_files_in_them(extract, root, tmp_path):
    done = extract(tmp_path / "t-{0..1}.tar", f"{tmp_path}/shards/")
    assert done.exit_code == 0, done.stderr
    assert f"6 pictures, 6 of them new: {tmp_path / 'shards'}" in done.stdout
    assert "0 of them new" in extract(tmp_path / "t-*.tar", f"{tmp_path}/shards/").stdout
    of_files = tmp_path / "files.h5"
    assert extract(root, of_files).exit_code == 0
    ids, array = vggfeat.load_features(of_files, as_frame=False)
    of_tars = vectors(tmp_path / "shards")
    assert list(of_tars) == [name.removesuffix(".jpg") for name in NAMES]
    for i, vector in zip(ids, array, strict=True):
        found = of_tars[i.removesuffix(".jpg")]
        np.testing.assert_allclose(found, vector, rtol=1e-5, atol=1e-6)


def test_a_source_without_a_picture_is_an_error_also_the_second_time(extract, root, tmp_path):
    (root / ".hidden").mkdir()
    (root / "0/0.jpg").rename(root / ".hidden/0.jpg")
    (root / "notes.md").write_text("no picture")
    tar = tmp_path / "none.tar"
    subprocess.run(["tar", "cf", tar, ".hidden", "notes.md"], cwd=root, check=True)
    for _ in range(2):
        done = extract(tar, f"{tmp_path}/shards/")
        assert done.exit_code == 1
        assert f"{tar}: holds no picture that can be read (.jpg," in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_list_goes_into_shards_of_so_many_rows_and_broken_lines_are_counted(
    extract, root, tmp_path
):
    (root / "list.txt").write_text("\n".join([*NAMES, "none.jpg"]))
    folder = tmp_path / "shards"
    folder.mkdir()
    options = ["--shard-rows", "2", "--compression", "gzip"]
    stopped = extract(root / "list.txt", folder, *options)  # a folder that is there needs no slash
    assert stopped.exit_code == 1 and "line 7: none.jpg: no such picture below" in stopped.stderr
    done = extract(root / "list.txt", folder, *options, "--on-error", "skip")
    assert done.exit_code == 0, done.stderr
    assert "6 pictures, 0 of them new, 1 broken" in done.stdout
    assert len(list(folder.rglob("part-*.h5"))) == 4


@pytest.mark.parametrize(
    "images, to, options, part",
    [
        ("t-0.tar", "x.h5", [], "tars are extracted into shards. Name a folder"),
        ("https://u:pw@host/t.tar?t=1", None, [], " https://host/t.tar: tars are extracted into"),
        ("t-0.tar", None, [], "tars are extracted into shards. Name a folder"),
        ("pictures", "x.h5", ["--shard-rows", "5"], "--shard-rows is for shards"),
        ("pictures", None, ["--compression", "gzip"], "--compression is for shards"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(root, run, tmp_path, images, to, options, part):
    where = [] if to is None else ["--to", tmp_path / to]
    source = images if "://" in images else tmp_path / images
    result = run("extract", "--images", source, *where, "--net", NARROW, *options)
    assert result.exit_code == 2 and part in result.stderr


def test_an_unquoted_star_is_told(root, run, tmp_path):
    """As a shell would give it."""
    result = run("extract", "--images", tmp_path / "t-0.tar", tmp_path / "t-1.tar", "--to", "x/")
    assert result.exit_code == 2
    assert "Quote them: --images 'train-*.tar'." in result.stderr
    other = run("extract", "--images", root, "more", "--to", "x/")
    assert "unexpected extra argument (more)" in other.stderr


def test_one_net_goes_into_a_folder(extract, root, tmp_path):
    result = extract(tmp_path / "t-0.tar", f"{tmp_path}/shards/", "--net", "vgg13")
    assert result.exit_code == 1 and "2 are asked for. Give each its own" in result.stderr


def test_a_place_that_is_no_folder_is_told_in_one_line(extract, root, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for to, words in (("", "--to names no file"), (f"{tmp_path}/file/", "is no folder. Choose")):
        result = extract(root, to)
        assert result.exit_code in (1, 2) and words in result.stderr.splitlines()[-1]
    assert (tmp_path / "file").is_file()
