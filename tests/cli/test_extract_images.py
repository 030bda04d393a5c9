"""`vggfeat extract --images`: descriptors of pictures that belong to no dataset."""

import re
import shutil

import numpy as np
import pytest
from helpers.pictures import NARROW, write_picture

import vggfeat
from vggfeat.features import store

IDS = ["a.jpg", "b/größe.png", "b/z.jpg"]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "pictures"
    for seed, name in enumerate(IDS):
        write_picture(root / name, seed=seed)
    return root


@pytest.fixture
def extract(run, root, tmp_path):
    """Run the command with a narrow net at scale 32, on the pictures or on what is named."""

    def extract(*options, images=root, scales="32", net=NARROW):
        where = ["--cache-dir", tmp_path / "cache", "--scales", scales, "--quiet"]
        return run("extract", "--images", images, "--net", net, *where, *options)

    return extract


def refused(result, *parts):
    assert result.exit_code == 1, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    for part in parts:
        assert part in line, line


def test_descriptors_lie_in_the_file_that_was_named_and_are_those_of_the_library(
    extract, root, tmp_path
):
    result = extract("--to", tmp_path / "features.h5")
    assert result.exit_code == 0, result.stderr
    assert f"3 pictures, 3 of them new: {tmp_path / 'features.h5'}" in result.stdout
    assert not list((tmp_path / "cache").rglob("*.h5"))
    ids, array = vggfeat.load_features(tmp_path / "features.h5", as_frame=False)
    assert ids == IDS
    options = vggfeat.Extraction(scales=(32,))
    network = vggfeat.load_network(NARROW)
    for i, descriptor in zip(ids, array, strict=True):  # each by itself, in a file of its own
        alone = vggfeat.extract("any", {i: root / i}, network, options, folder=tmp_path / "alone")
        expected = store.read(alone.path, [i], [32])[0]
        np.testing.assert_allclose(descriptor, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(array[0] - array[1]).max() > 1e-3


def test_a_second_run_does_nothing_and_a_new_picture_is_added(extract, root, tmp_path):
    path = tmp_path / "features.h5"
    extract("--to", path)
    before = path.read_bytes()
    assert "0 of them new" in extract("--to", path).stdout and path.read_bytes() == before
    old = vggfeat.load_features(path)
    write_picture(root / "new.jpg", seed=9)
    assert "4 pictures, 1 of them new" in extract("--to", path).stdout
    new = vggfeat.load_features(path)
    assert len(new) == 4
    np.testing.assert_array_equal(new.loc[old.index], old)


def test_a_file_of_other_conditions_is_refused_with_both_sides(extract, root, tmp_path):
    path = tmp_path / "features.h5"
    extract("--to", path)
    refused(
        extract("--to", path, scales="48"), "features.h5", "scales is (32,) in the file, (48,) ask"
    )
    moved = shutil.copytree(root, tmp_path / "elsewhere" / "pictures")
    refused(extract("--to", path, images=moved), "dataset is 'pictures-")
    path.write_bytes(b"something else")
    refused(extract("--to", path), "features.h5: cannot be read as a feature file")
    assert path.read_bytes() == b"something else"


def test_without_a_file_they_go_into_the_cache_and_the_path_is_printed(extract, root):
    (root / "list.txt").write_text("a.jpg\nb/z.jpg\n")
    result = extract(images=root / "list.txt")
    path = re.search(r"2 pictures, 2 of them new: (.*\.h5)$", result.stdout, re.M)[1]
    assert len(vggfeat.load_features(path)) == 2
    # The folder and lists in it share one file.
    assert f"3 pictures, 1 of them new: {path}" in extract().stdout


def test_arrays_are_exported_from_the_cache(extract, tmp_path):
    """Also where the file in the cache has more scales and more pictures."""
    extract(scales="32,48")
    result = extract("--to", tmp_path / "x.npy")
    assert "0 of them new" in result.stdout and "x.npy and" in result.stdout
    array = np.load(tmp_path / "x.npy")
    assert array.ndim == 2 and len(array) == 3
    assert (tmp_path / "x.csv").read_text("utf-8").splitlines() == ["id", *IDS]
    extract("--to", tmp_path / "y.npy", scales="32,48")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy")[:, 0], array)


@pytest.mark.parametrize("name", ["x.h5", "x.npy"])
def test_pictures_that_cannot_be_read_stop_it_or_are_skipped_and_counted(
    extract, root, tmp_path, name
):
    (root / "b/z.jpg").write_bytes(b"broken")
    (root / "notes.txt").write_text("no picture")
    refused(extract("--to", tmp_path / name), "z.jpg: cannot be read", "--on-error skip")
    result = extract("--to", tmp_path / name, "--on-error", "skip")
    assert result.exit_code == 0
    assert "2 pictures, " in result.stdout and ", 1 skipped: " in result.stdout
    assert "left out, no pictures: notes.txt" in result.stderr
    if name == "x.npy":
        assert np.load(tmp_path / name).shape[0] == 2
    else:
        assert vggfeat.load_features(tmp_path / name).index.tolist() == IDS[:2]


def test_where_no_picture_can_be_read_it_says_so(extract, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"broken")
    result = extract("--on-error", "skip", images=tmp_path / "bad")
    refused(result, "none of its 1 picture could be read")


def test_several_nets_or_layers_need_a_file_each(extract, tmp_path):
    path = tmp_path / "x.h5"
    refused(extract("--to", path, "--net", "vgg13"), "one net at one layer, and 2 are asked for")
    refused(extract("--to", path, "--layer", "fc6", "--layer", "fc7"), "and 2 are asked for")
    refused(extract("--to", path, net="vgg11+vgg13"), "and 2 are asked for")
    result = extract("--layer", "fc6", "--layer", "fc7")
    assert result.exit_code == 0 and result.stdout.count(": 3 pictures, ") == 2


@pytest.mark.parametrize(
    "options, parts",
    [
        (
            ["--to", "x.pkl"],
            ["x.pkl: descriptors are written to .h5, .npy, .parquet, or to shards"],
        ),
        (["--images", "nowhere"], ["nowhere: no such folder or list of pictures"]),
        (["--net", "vgg99"], ["vgg99"]),
        (["--scales", "8"], ["scale 8 is too small"]),
    ],
)
def test_mistakes_end_in_one_line(extract, options, parts):
    refused(extract(*options), *parts)


@pytest.mark.parametrize(
    "arguments, part",
    [
        ([], "by --dataset, or pictures by --images"),
        (["--images", ".", "--dataset", "digits"], "one of both"),
        (["--dataset", "digits", "--to", "x.h5"], "--to is for --images"),
        (["--images", ".", "--limit", "3"], "--limit is for datasets"),
        (["--images", ".", "--no-background"], "--background is for datasets"),
    ],
)
def test_options_that_would_not_be_used_are_not_accepted(run, arguments, part):
    result = run("extract", *arguments)
    assert result.exit_code == 2 and part in result.stderr


def test_from_python_a_file_is_named_in_place_of_a_folder(root, tmp_path):
    network = vggfeat.load_network(NARROW)
    pictures = {"a": root / "a.jpg"}
    options = vggfeat.Extraction(scales=(32,))
    done = vggfeat.extract("mine", pictures, network, options, to=str(tmp_path / "mine.h5"))
    assert done.path == tmp_path / "mine.h5" and vggfeat.load_features(done.path).index == ["a"]
    with pytest.raises(vggfeat.VggfeatError, match="folder=.*or to="):
        vggfeat.extract("mine", pictures, network, options)
