"""Jobs by several processes: the leading one yields what one process yields, to the bit.

The processes are threads here, which share a store in memory.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import h5py
import pytest
import torch.distributed as dist
from helpers.pictures import NARROW, write_classes, write_picture
from helpers.together import run_layer_by_layer, run_together
from helpers.trees import write_all

from vggfeat.backbones.spec import NetSpec
from vggfeat.benchmarks.bench import Job, _loaded_by_all, bench, extract_all
from vggfeat.benchmarks.picture_features import PictureJob, extract_pictures
from vggfeat.benchmarks.runner import Failure
from vggfeat.errors import StoreError, VggfeatError
from vggfeat.features import store
from vggfeat.features.options import Extraction
from vggfeat.features.store import sums
from vggfeat.processes.workers import Workers
from vggfeat.progress import no_progress
from vggfeat.records.record import Record
from vggfeat.storage.folders import Folders

OF_A_RUN = ("seconds", "time", "command")
WIDER = NARROW.replace("random:0", "random:1")


@pytest.fixture(autouse=True)
def threads_do_not_trace(monkeypatch):
    run_layer_by_layer(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = tmp_path_factory.mktemp("every")
    write_all(data)
    return data


def led(size, generate):
    """What generate(workers) yields in the leading one of `size` processes, and only there."""
    yielded, *others = run_together(size, lambda workers: list(generate(workers)))
    assert not any(others)
    return yielded


def folders(cache: Path, data: Path) -> Folders:
    return Folders(cache=cache, data=data)


def comparable(outcome):
    if isinstance(outcome, Failure):
        return outcome
    fields = {name: value for name, value in asdict(outcome).items() if name not in OF_A_RUN}
    return fields


def contents(folder):
    """Everything below a folder that does not depend on time: feature files' arrays, archives."""
    found = {}
    for path in folder.rglob("*"):
        if path.suffix == ".h5" and path.parent.name == "features":
            with h5py.File(path) as file:
                arrays = {name: file[name][()].tobytes() for name in file if name != "ids"}
                found[path.name] = arrays, file["ids"][()].tolist(), sums.read_sums(path).tobytes()
        elif path.name.endswith(".server.tar.gz"):
            found[path.name] = path.read_bytes()
    return found


@pytest.mark.slow
def test_benchmarks_are_measured_as_by_one_process(data, tmp_path):
    """Of a dataset whose pictures cannot be read, one that a server scores, and one with boxes."""
    nets = [(NetSpec.parse(NARROW),), (NetSpec.parse(NARROW), NetSpec.parse(WIDER))]
    broken = data / "256_ObjectCategories" / "056.dog" / "056_0002.jpg"
    broken.write_bytes(b"no picture")
    outcomes = {}
    for size in (1, 3):
        place = tmp_path / f"{size}"
        job = Job(
            benchmarks=["caltech101", "caltech256", "voc2012", "voc2012_actions_box"],
            nets=nets,
            folders=folders(place, data),
            offline=True,
            settings={"scales": (32, 48), "device": "cpu"},
        )
        outcomes[size] = led(
            size, lambda w, job=job, place=place: bench(job, place / "out", no_progress, w)
        )
    assert [type(outcome) for outcome in outcomes[1]].count(Failure) == 2
    assert [*map(comparable, outcomes[1])] == [*map(comparable, outcomes[3])]
    assert any(isinstance(outcome, Record) for outcome in outcomes[3])
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    assert not list((tmp_path / "3").rglob("*.parts"))


def test_all_pictures_of_a_dataset_are_extracted(data, tmp_path):
    job = Job(
        benchmarks=["caltech101"],
        nets=[(NetSpec.parse(NARROW),)],
        folders=folders(tmp_path, data),
        offline=True,
        settings={"scales": (32,), "device": "cpu"},
    )
    ((name, net, extracted),) = led(2, lambda w: extract_all(job, no_progress, w))
    assert name == "caltech101" and extracted.num_new == len(store.contents(extracted.path)[1])


@pytest.mark.parametrize("to", ["features.h5", "features.npy", None])
def test_pictures_go_into_the_file_that_one_process_makes(tmp_path, to):
    for n in range(9):
        write_picture(tmp_path / "pictures" / f"{n}.png", seed=n)
    for size in (1, 2):
        place = tmp_path / f"{size}"
        job = PictureJob(
            images=tmp_path / "pictures",
            nets=[(NetSpec.parse(NARROW),)],
            folders=folders(place, tmp_path),
            options=Extraction(scales=(32,), device="cpu"),
            to=None if to is None else place / "features" / to,
        )
        (described,) = led(size, lambda w, job=job: extract_pictures(job, no_progress, w))
        assert described.num_pictures == described.extracted.num_new == 9
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    if to == "features.npy":
        made = [(tmp_path / f"{size}" / "features" / to).read_bytes() for size in (1, 2)]
        assert made[0] == made[1]


def command(number, folder, place):
    """bench of a folder of pictures by so many processes, as it is typed."""
    gpus = ("--gpus", str(number)) if number > 1 else ()
    return [
        sys.executable, "-m", "vggfeat", "bench", str(folder), "--net", NARROW,
        "--scales", "32,320", "--batch-size", "8", "--precision", "fp32", "--device", "cpu",
        "--splits", "2", "--cache-dir", str(place), "--out", str(place / "out"),
        "--format", "json", *gpus,
    ]  # fmt: skip


def num_done(folder):
    """Rows that are done in the parts of a feature file."""
    total = 0
    for path in folder.glob("features/*.parts/*.h5"):
        with suppress(StoreError):
            total += store.inspect(path).num_done
    return total


@pytest.mark.slow
def test_a_job_whose_processes_are_all_killed_goes_on_with_another_number_of_them(tmp_path):
    root = write_classes(tmp_path / "pictures", {"ant": 150, "bee": 150})
    records = {}
    for place, number in ((tmp_path / "alone", 1), (tmp_path / "killed", 3)):
        if number > 1:
            with subprocess.Popen(
                command(2, root, place), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                start_new_session=True,
            ) as job:  # fmt: skip
                ends = time.monotonic() + 100
                while not num_done(place):
                    assert job.poll() is None and time.monotonic() < ends
                    time.sleep(0.05)
                os.killpg(job.pid, signal.SIGKILL)
            assert 0 < num_done(place) < 300
        result = subprocess.run(command(number, root, place), capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        (records[number],) = json.loads(result.stdout)
    for name in set(records[1]) - set(OF_A_RUN):
        assert records[1][name] == records[3][name], name
    assert contents(tmp_path / "alone") == contents(tmp_path / "killed")
    assert not list((tmp_path / "killed").rglob("*.parts"))


def test_a_machine_that_lacks_the_data_says_so(tmp_path):
    """In its own words: the leading process has found all, and would only miss an answer."""
    store_of_all = dist.HashStore()
    leader, other = (Workers(rank, 2, rank, store_of_all) for rank in range(2))
    leader.announce("loaded caltech101#1", True)
    job = Job(
        benchmarks=["caltech101"],
        nets=[],
        folders=folders(tmp_path, tmp_path / "nothing"),
        offline=True,
    )
    with pytest.raises(VggfeatError, match="101_ObjectCategories"):
        _loaded_by_all(other, job, "caltech101", fusions=[], out=tmp_path, progress=no_progress)
