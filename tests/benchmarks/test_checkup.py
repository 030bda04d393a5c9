"""The doctor: what is here in one line each, and advice where something is missing or amiss."""

import json
import os
from pathlib import Path

import pytest
import torch
from helpers.pictures import write_picture

from vggfeat.benchmarks import checkup
from vggfeat.benchmarks.checkup import MISSING, NOTE, OK, findings
from vggfeat.storage.folders import Folders


@pytest.fixture
def found(tmp_path):
    """The findings by their names, of empty folders unless files were put there."""

    def found():
        places = Folders(data=tmp_path / "data", cache=tmp_path / "cache")
        return {finding.name: finding for finding in findings(places)}

    return found


def test_everything_is_named_and_what_is_missing_has_advice(found):
    facts = found()
    assert {"processor", "cores", "threads", "bf16", "data folder", "caltech101", "voc2007",
            "ILSVRC2012", "vgg16", "timm", "python"} <= facts.keys()  # fmt: skip
    for fact in facts.values():
        assert fact.state in (OK, NOTE, MISSING) and fact.value
        assert bool(fact.advice) == (fact.state != OK), fact


def test_a_dataset_is_found_or_one_learns_where_it_is(found, tmp_path):
    missing = found()["caltech101"]
    assert missing.value == "not here, 137 MB"
    assert missing.advice.startswith("vggfeat datasets fetch caltech101 (https://data.caltech.edu")
    write_picture(tmp_path / "data/101_ObjectCategories/ant/1.png")
    there = found()["caltech101"]
    assert (there.state, there.value) == (OK, str(tmp_path / "data/101_ObjectCategories"))
    (tmp_path / "data/ILSVRC2012").mkdir()
    assert found()["ILSVRC2012"].state == OK


def test_weights_that_are_here(found, tmp_path):
    assert "vggfeat weights fetch vgg16@torchvision" in found()["vgg16"].advice
    folder = tmp_path / "cache/weights"
    folder.mkdir(parents=True)
    for name in ("vgg16-397923af.pth", "vgg16-397923af.pth.sha256", "mine.safetensors"):
        (folder / name).touch()
    facts = found()
    assert facts["vgg16"].value == "vgg16@torchvision" and facts["vgg19"].state == MISSING
    assert facts["others"].value == "1: mine.safetensors"


def test_caches_have_their_sizes(found, tmp_path):
    (tmp_path / "cache/features").mkdir(parents=True)
    (tmp_path / "cache/features/a.h5").write_bytes(bytes(3_000_000))
    assert found()["cached features"].value.startswith("3.0 MB")
    assert "cached unpacked" not in found()


@pytest.mark.parametrize(
    ("cuda", "has_gpu", "words"),
    [("13.0", False, checkup.CPU_BUILD), (None, False, ""), ("13.0", True, "")],
    ids=["CUDA's build without a GPU", "the CPU's build", "CUDA's build on a GPU"],
)
def test_the_small_build_is_advised_where_there_is_no_gpu(found, monkeypatch, cuda, has_gpu, words):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    devices = {"cpu": "the processor"} | ({"cuda:0": "a GPU"} if has_gpu else {})
    monkeypatch.setattr("vggfeat.devices.found", lambda: devices)
    facts = found()
    assert (words in facts["torch build"].advice) if words else not facts["torch build"].advice
    if has_gpu:
        assert "no real GPU has run it yet" in facts["device cuda:0"].advice


def test_cores_that_are_kept_idle_or_busy(found, monkeypatch):
    monkeypatch.setattr(checkup, "_own_cores", lambda: 16)
    monkeypatch.setattr(checkup, "busy_cores", lambda: 9)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    facts = found()
    assert "OMP_NUM_THREADS=1 keeps the other cores idle" in facts["threads"].advice
    assert "9 kept busy" in facts["cores"].value


@pytest.mark.this_processor
def test_bf16_is_what_a_measurement_would_take(found):
    from vggfeat.features.options import Extraction

    taken = Extraction(scales=(32,), device="cpu").resolved_precision
    assert (taken == "bf16") == (found()["bf16"].state == OK)


def test_memory_is_what_linux_says(found):
    if not Path("/proc/meminfo").exists():
        pytest.skip("no Linux")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found()["memory"].value.startswith(f"{total / 2**30:.1f} GiB")


def test_little_room_and_folders_that_cannot_be_written_to(found, monkeypatch, tmp_path):
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
    assert "Choose another disk with --data-dir" in found()["data folder"].advice
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "cannot be written to" in found()["cache folder"].advice


def test_extras_that_lack_say_how_to_get_them(found, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert found()["timm"].advice == "pip install 'vggfeat[timm]'"


def test_every_extra_of_the_package_is_known():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    assert set(checkup.EXTRAS) <= set(extras)


def test_on_the_command_line(run):
    result = run("doctor")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "computing:" and any("-> vggfeat datasets fetch" in line for line in lines)
    assert max(len(line) for line in lines if "://" not in line and "/home" not in line) <= 80
    values = json.loads(run("doctor", "--format", "json").stdout)
    assert {"topic", "name", "state", "value", "advice"} == values[0].keys()
    assert run("doctor", "--weights", "vgg16", "--format", "json").exit_code == 2
