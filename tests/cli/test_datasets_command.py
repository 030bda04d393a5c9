"""datasets ls and fetch: groups, sizes, terms, and what cannot be fetched."""

import hashlib
import json
from dataclasses import replace

import pytest

from vggfeat.benchmarks.datasets import registry
from vggfeat.benchmarks.datasets.definition import IMAGENET, TRANSFER
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

DIGEST = hashlib.md5(b"pictures").hexdigest()
SERVED = LoaderRoot(
    "birds", (Part("birds.mat", (Source("http://127.0.0.1:9/birds.mat", "md5", DIGEST, 8),)),)
)
ASKED = LoaderRoot(
    "cars",
    (Part("cars/train", archives=("cars.tgz",)), Part("cars/labels.mat")),
    by_hand="Its home is gone; a copy is at example.org.",
)


@pytest.fixture
def listed(monkeypatch):
    """The datasets, and beside them one that is served and one that must be asked for."""
    plain = replace(registry.definition_of("caltech101"), published=(), in_paper=False)
    more = (
        replace(
            plain, name="birds", source=SERVED, group=TRANSFER, licence="for research, and " * 3
        ),
        replace(plain, name="cars", source=ASKED, group=IMAGENET, licence="", disk_bytes=2 * 10**9),
        replace(plain, name="cars_too", source=ASKED, group=TRANSFER, features_of="cars"),
    )
    monkeypatch.setattr(registry, "DATASETS", (*registry.DATASETS, *more))


def test_ls_says_what_is_there_by_groups(run, listed, tmp_path):
    (tmp_path / "cars").mkdir()
    (tmp_path / "cars/labels.mat").write_bytes(b"")
    text = run("datasets", "ls", "--data-dir", tmp_path).stdout
    lines = text.splitlines()
    assert max(map(len, (line for line in lines if str(tmp_path) not in line))) <= 80
    order = [lines.index(f"{group}:") for group in ("the paper's", "transfer")]
    assert order == sorted(order) and "ImageNet:" in lines
    (birds,) = (line for line in lines if line.startswith("  birds "))
    assert birds.split()[2:6] == ["~8", "bytes", "to", "fetch"]
    (cars,) = (line for line in lines if line.startswith("  cars "))
    assert cars.split()[2:6] == ["2.0", "GB", "in", "part"] and cars.endswith("not stated here")
    assert f"cars_too, cars: {tmp_path / 'cars/labels.mat'}" in lines
    assert "in part: vggfeat datasets fetch NAME gets the rest, or says where that is" in lines


def test_ls_as_json(run, listed, tmp_path):
    lines = json.loads(run("datasets", "ls", "--data-dir", tmp_path, "--format", "json").stdout)
    by_name = {line["benchmark"]: line for line in lines}
    assert by_name["cars"] == {
        "benchmark": "cars", "group": "ImageNet", "pictures": 9144,
        "bytes on disk": 2 * 10**9, "bytes to fetch": None, "state": "by hand",
        "licence or terms": None, "by hand": "Its home is gone; a copy is at example.org.",
        "data": None,
    }  # fmt: skip
    assert by_name["digits"]["state"] == "made here"
    assert by_name["voc2007"]["bytes to fetch"] == 911_052_800


def test_fetch_says_where_to_get_what_must_be_asked_for(run, listed, tmp_path):
    for name in ("cars", "cars_too"):
        result = run("datasets", "fetch", name, "--data-dir", tmp_path)
        assert result.exit_code == 1
        assert (
            f"Failed: cars: {tmp_path}: holds no cars/train, cars/labels.mat of cars, which cannot"
            " be fetched. Its home is gone; a copy is at example.org. Put them there under these"
            f" paths, or cars.tgz into {tmp_path / 'cars'}."
        ) in result.stderr
        assert result.stderr.endswith("Error: 1 of 1 dataset could not be fetched.\n")


def test_fetch_all_leaves_out_what_cannot_be_fetched(run, listed, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "DATASETS", registry.DATASETS[-3:])
    (tmp_path / "birds").mkdir()
    result = run("datasets", "fetch", "--all", "--data-dir", tmp_path)
    assert "Failed: birds: Nothing could be fetched" in result.stderr
    assert f"to be fetched into {tmp_path}: 8 bytes" in result.stderr
    assert "cars: left out, as it cannot be fetched. Its home is gone" in result.stdout
    (tmp_path / "birds/birds.mat").write_bytes(b"pictures")
    again = run("datasets", "fetch", "--all", "--data-dir", tmp_path)
    assert again.exit_code == 0 and f"birds: {tmp_path / 'birds'}" in again.stdout


def test_what_can_be_fetched_is_when_the_rest_is_there(run, monkeypatch, tmp_path):
    """As ImageNet-A, once ImageNet's training pictures have been put there."""
    rest = LoaderRoot("rest", (Part("rest/train"), *SERVED.parts))
    monkeypatch.setattr(
        registry, "DATASETS", (replace(registry.definition_of("digits"), name="r", source=rest),)
    )
    asked = run("datasets", "fetch", "--all", "--data-dir", tmp_path)
    assert asked.exit_code == 0 and "rest: left out" in asked.stdout
    (tmp_path / "rest/train").mkdir(parents=True)
    (tmp_path / "rest/train/1.jpg").write_bytes(b"")
    fetched = run("datasets", "fetch", "--all", "--data-dir", tmp_path)
    assert "Failed: rest: Nothing could be fetched" in fetched.stderr
    assert "What came is kept" in fetched.stderr


def test_verify_names_the_file_that_is_not_as_distributed(run, listed, tmp_path):
    (tmp_path / "birds.gz").write_bytes(b"other")
    (tmp_path / "cars").mkdir()
    (tmp_path / "cars/cars.tgz").write_bytes(b"no archive")
    (tmp_path / "cars/labels.mat").write_bytes(b"")
    result = run("datasets", "verify", "cars", "--data-dir", tmp_path)
    assert result.exit_code == 1 and "cars.tgz: damaged or cut short" in result.stdout
    everything = run("datasets", "verify", "--data-dir", tmp_path)
    assert "cars_too: " in everything.stdout and everything.exit_code == 1
    (tmp_path / "cars/labels.mat").unlink()
    in_part = run("datasets", "verify", "--data-dir", tmp_path)
    assert "left out unless they are named: cars, cars_too" in in_part.stdout
    assert "holds none of the datasets" in in_part.stderr


def test_verify_of_what_is_not_there_says_how_to_get_it(run, listed, tmp_path):
    """What nobody could read is not called leaking, nor other than distributed."""
    result = run("datasets", "verify", "birds", "cars", "--data-dir", tmp_path)
    assert result.exit_code == 1
    birds, cars = result.stdout.splitlines()
    lacks = f"birds: {tmp_path} lacks 1 file of it"
    assert birds == f"{lacks}; `vggfeat datasets fetch birds` gets what is missing"
    assert cars.startswith("cars: ") and "a copy is at example.org" in cars
    (error,) = (line for line in result.stderr.splitlines() if line.startswith("Error"))
    assert error == "Error: cannot be read: birds, cars, for the reasons above."
