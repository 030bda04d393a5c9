"""The main job as a process: from pictures to a table, killed and resumed, on real pictures."""

import json
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from helpers.pictures import NARROW, write_classes

from vggfeat.backbones.load import load_network
from vggfeat.features import extract as descriptors
from vggfeat.features import store
from vggfeat.features.options import Extraction


def command(*arguments):
    return [sys.executable, "-m", "vggfeat", *map(str, arguments)]


def bench(folder, *arguments) -> dict:
    """The one record of `vggfeat bench` in a new process, with cache and results in the folder."""
    places = ("--cache-dir", folder, "--out", folder / "out", "--format", "json")
    result = subprocess.run(command("bench", *arguments, *places), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (record,) = json.loads(result.stdout)
    return record


@pytest.mark.slow
def test_the_embedded_digits_in_a_new_process(tmp_path):
    """The embedded benchmark, with fewer nets than `vggfeat demo`, in a new process."""
    record = bench(
        tmp_path, "digits", "--net", NARROW, "--scales", "32", "--splits", "1", "--limit", "40"
    )
    assert record["protocol"]["classes"] == 10 and record["n_train"] == [300]
    assert record["metrics"]["mean_class_recall"]["value"] > 0.4  # chance is 0.1


@pytest.mark.slow
def test_killed_in_the_middle_of_extraction_the_next_run_ends_bit_equal(tmp_path):
    root = write_classes(tmp_path / "data" / "101_ObjectCategories", {"ant": 150, "bee": 150})

    cache = tmp_path / "killed"
    extract = command(
        "extract", "--dataset", "caltech101", "--data-dir", tmp_path / "data", "--net", NARROW,
        "--scales", "32,320", "--batch-size", 8, "--precision", "fp32", "--cache-dir", cache,
    )  # fmt: skip
    # It takes more than twice as long as descriptors are kept back.
    with subprocess.Popen(extract, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not 0 < num_done(cache) < 300:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert 0 < num_done(cache) < 300
    resumed = subprocess.run(extract, capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert " 300 new" not in resumed.stdout
    pictures = {str(path.relative_to(root)): path for path in sorted(root.rglob("*.jpg"))}
    options = Extraction(scales=(32, 320), batch_size=8)
    whole = descriptors.extract(
        "caltech101", pictures, load_network(NARROW), options, folder=tmp_path
    ).path
    killed = next((cache / "features").glob("*.h5"))
    assert np.array_equal(
        store.read(killed, list(pictures), (32, 320)), store.read(whole, list(pictures), (32, 320))
    )


def num_done(cache) -> int:
    """Rows that count as done, read beside the running writer."""
    for path in (cache / "features").glob("*.h5"):
        with h5py.File(path, locking=False) as file:
            return int(file["done"][()].sum())
    return 0


@pytest.mark.real
@pytest.mark.slow
def test_squeezenet_on_the_real_pictures(real_data, tmp_path):
    """0.837 with a spread of 0.006 was computed independently for these settings."""
    weights = real_data / "weights" / "squeezenet1_0_imagenet.safetensors"
    record = bench(
        tmp_path, "caltech101", "--data-dir", real_data / "data", "--net",
        f"squeezenet1_0@{weights}", "--scales", "256", "--no-mirror", "--aggregate", "average",
    )  # fmt: skip
    assert 0.82 < record["metrics"]["mean_class_recall"]["value"] < 0.86
    assert record["n_train"] == [3060] * 3 and not record["skipped"]


@pytest.mark.real
@pytest.mark.slow
def test_squeezenet_tells_real_pictures_apart(real_data, tmp_path):
    """A few real pictures of each of 102 classes: a net that has learned is far above chance."""
    weights = real_data / "weights" / "squeezenet1_0_imagenet.safetensors"
    record = bench(
        tmp_path, "caltech101", "--data-dir", real_data / "data", "--net",
        f"squeezenet1_0@{weights}", "--scales", "96", "--no-mirror", "--splits", "1",
        "--limit", "3",
    )  # fmt: skip
    assert record["limited"] and record["protocol"]["classes"] == 102
    assert record["metrics"]["mean_class_recall"]["value"] > 0.2  # chance is 0.01
