"""Folders of shards on the command line: verified, inspected, mended, and measured by a probe."""

import csv
import json

import h5py
import numpy as np
import pytest
from helpers.parts import written_parts
from helpers.pictures import NARROW
from helpers.shards import ids_of, write_shards

from vggfeat import open_features
from vggfeat.features.options import Extraction
from vggfeat.features.shards.extraction import extract_shards
from vggfeat.features.shards.folder import ShardFolder


@pytest.fixture
def folder(tmp_path):
    return write_shards(tmp_path / "shards", (6, 4))


def flip(path, name):
    """Change one bit of an array in a file."""
    with h5py.File(path) as file:
        place = file[name].id.get_offset() + 9
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_sound_folder_is_verified_shard_by_shard(run, folder):
    result = run("verify", folder)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{folder}/index.h5: sound, 10 ids",
        f"{folder}/shards.json: sound, 2 shards",
        f"{folder}/000/part-000000.h5: sound, 6 of 6 rows are done",
        f"{folder}/000/part-000001.h5: sound, 4 of 4 rows are done",
    ]


def test_a_folder_that_is_not_complete_yet_is_sound(run, folder):
    (folder / "index.h5").unlink()
    ShardFolder(folder).shard(1).unlink()
    result = run("verify", folder)
    assert result.exit_code == 0
    assert "shards.json: sound, 1 of 2 shards are still to be made" in result.stdout
    told = run("inspect", folder).stdout
    assert "shards: 1 of 2" in told and "no index: " in told


def test_what_is_missing_or_damaged_is_named(run, folder):
    ShardFolder(folder).shard(1).unlink()
    flip(ShardFolder(folder).shard(0), "descriptors")
    result = run("verify", folder)
    assert result.exit_code == 1
    assert "part-000000.h5: damaged, 1 row is not as written, '0/0' among them" in result.stdout
    assert "shards.json: damaged" in result.stdout and "part-000001.h5 is missing" in result.stdout
    assert "index.h5: damaged" in result.stdout


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_what_repair_puts_back_the_same_extraction_makes_whole(run, tmp_path, compression):
    parts, folder = written_parts(tmp_path / "pictures", [4, 3]), tmp_path / "out"
    options = Extraction(scales=32, precision="fp32")

    def extracted():
        return extract_shards(parts, NARROW, options, folder=folder, compression=compression)

    extracted()
    before = open_features(folder).read()
    flip(ShardFolder(folder).shard(0), "image_size")
    flip(folder / "index.h5", "hashes")
    assert run("verify", "--repair", folder).exit_code == 1
    assert run("verify", folder).exit_code == 0
    assert extracted().num_computed == 1
    assert run("verify", folder).stdout.count(": sound") == 4
    after = open_features(folder).read()
    np.testing.assert_array_equal(after[1:], before[1:])
    np.testing.assert_allclose(after[0], before[0], rtol=1e-5)  # by itself in a batch


def test_inspect_says_what_a_folder_is_of(run, folder):
    lines = run("inspect", folder).stdout.splitlines()
    assert lines[1:6] == [
        "shards: 2 of 2",
        "descriptors: 10 pictures x 2 scales x 4",
        "ids that stand in an earlier row, too: 0",
        "what is no picture that can be read: 0",
        "compression: none",
    ]
    assert "layer: fc7" in lines and "weights name: random:0" in lines


def test_a_probe_is_fitted_to_a_folder_with_labels(run, tmp_path):
    folder, labels = write_shards(tmp_path / "shards", (30, 30)), tmp_path / "labels.csv"
    with labels.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "label"])
        lines.writerows((i, "ab"[part]) for part in range(2) for i in ids_of(part, 30))
    out = tmp_path / "out"
    result = run("bench", folder, "--labels", labels, "--out", out, "--format", "json")
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert (record["nets"][0]["features"]["file"], record["nets"][0]["features"]["rows"]) == (
        "shards", 60,
    )  # fmt: skip


def test_labels_that_have_no_row_are_refused(run, folder, tmp_path):
    lines = ["path,label", "0/0,a", "0/1,a", "1/0,b", "nobody,b"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    result = run("bench", folder, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 of 4 labelled examples have no features, 'nobody' among them" in result.stderr
