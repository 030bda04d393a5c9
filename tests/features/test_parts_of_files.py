"""Several processes extract into one feature file: the same bits as one, whatever dies meanwhile.

The processes are threads here, which share a store in memory; a few tests start real ones.
"""

import threading
import time
from dataclasses import replace
from functools import partial

import h5py
import numpy as np
import pytest
import torch.distributed as dist
from helpers.disks import files_of_at_most
from helpers.interrupts import interrupted_at
from helpers.pictures import NARROW, write_picture
from helpers.together import run_layer_by_layer, run_together

from vggfeat.backbones.load import load_network
from vggfeat.errors import PictureError, StoreError
from vggfeat.features import store
from vggfeat.features.extract import extract
from vggfeat.features.heads import head
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.features.store import sums
from vggfeat.processes.claims import handed_out
from vggfeat.processes.workers import Workers

SHAPES = ((48, 36), (40, 60), (36, 36))
NUM_PICTURES = 30


@pytest.fixture
def pictures(tmp_path):
    """Thirty pictures in three shapes, id -> path."""
    return {
        f"{n:02d}": write_picture(tmp_path / "pictures" / f"{n}.png", SHAPES[n % 3], seed=n)
        for n in range(NUM_PICTURES)
    }


def request(pictures, *scales, net=NARROW, **options):
    return FeatureRequest(
        dataset="test",
        pictures=pictures,
        network=load_network(net),
        options=Extraction(scales=scales or (32,), precision="fp32", batch_size=4, **options),
    )


def extract_by(size, requests, folder):
    """What the leading one of `size` processes extracts; requests are all's, or of a rank."""

    def process(workers):
        features = FeatureSets(folder, workers=workers)
        own = requests(workers.rank) if callable(requests) else requests
        features.extract_together(own)
        return [features.extract(one) for one in own] if workers.leads else []

    return run_together(size, process)[0]


def killed_at(number, one, folder):
    """Leave the parts of a job whose leading process ends in that one of its passes, from 0.

    What was done in the last second counts, too, as at Ctrl-C.
    """
    features = FeatureSets(folder, workers=Workers(0, 2, 0, dist.HashStore()))
    with interrupted_at(number):
        features.extract_together([one])
    return sorted(folder.glob("*.parts/*.h5"))


@pytest.fixture(autouse=True)
def described(monkeypatch):
    """The ids of all pictures that went through a net, as often as they did."""
    run_layer_by_layer(monkeypatch)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "9")  # all on this machine
    ids = []

    def describe(*arguments, **options):
        ids.extend(options["ids"])
        return head.describe(*arguments, **options)

    monkeypatch.setattr("vggfeat.features.pipeline.describe", describe)
    monkeypatch.setattr("helpers.interrupts.describe", describe)
    return ids


def same_bits(one, other):
    """Assert that two feature files hold the same, but for when they were made."""
    with h5py.File(one) as a, h5py.File(other) as b:
        assert set(a) == set(b) and set(a.attrs) == set(b.attrs)
        for name in set(a) - {"ids"}:
            assert a[name][()].tobytes() == b[name][()].tobytes(), name
        assert a["ids"][()].tolist() == b["ids"][()].tolist()
        for name in set(a.attrs) - {"created"}:
            assert np.array_equal(a.attrs[name], b.attrs[name]), name
    assert sums.read_sums(one).tobytes() == sums.read_sums(other).tobytes()


def parts_below(folder):
    return list(folder.glob("*.parts"))


@pytest.fixture
def alone(tmp_path, pictures):
    """The feature file that one process makes."""
    (extracted,) = extract_by(1, [request(pictures)], tmp_path / "alone")
    return extracted.path


@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_make_the_file_that_one_makes(tmp_path, pictures, alone, size):
    (shared,) = extract_by(size, [request(pictures)], tmp_path / "shared")
    assert shared.num_new == NUM_PICTURES and shared.path.name == alone.name
    assert shared.scale_seconds[32] > 0 and shared.stage_seconds["decode"] > 0
    same_bits(alone, shared.path)
    assert not parts_below(tmp_path / "shared")


def test_what_other_machines_made_is_waited_for(tmp_path, pictures, alone, monkeypatch):
    """A file server may show it a minute later; nothing is extracted twice for that."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    awaited = []
    monkeypatch.setattr("vggfeat.features.parallel.wait_until_seen", awaited.extend)
    extract_by(2, [request(pictures)], tmp_path / "shared")
    folder = tmp_path / "shared" / f"{alone.name}.parts"
    assert len(set(awaited)) == len(awaited) > 4 and {path.parent for path in awaited} == {folder}


def test_a_file_in_the_place_of_the_parts_leaves_all_to_one_process(tmp_path, pictures, alone):
    """The others have not heard of a job that they would wait for."""
    in_the_way = tmp_path / "shared" / f"{alone.name}.parts"
    in_the_way.parent.mkdir()
    in_the_way.write_text("mine")
    (extracted,) = extract_by(2, [request(pictures)], tmp_path / "shared")
    same_bits(alone, extracted.path)
    assert in_the_way.read_text() == "mine"


@pytest.mark.parametrize("size", [1, 3])
def test_what_a_killed_process_did_is_used_whatever_number_comes_next(
    tmp_path, pictures, alone, described, size
):
    folder = tmp_path / "killed"
    assert killed_at(3, request(pictures), folder)
    (extracted,) = extract_by(size, [request(pictures)], folder)
    assert extracted.num_new == NUM_PICTURES
    same_bits(alone, extracted.path)
    assert not parts_below(folder)


def test_no_picture_goes_through_a_net_twice(tmp_path, pictures, described):
    folder = tmp_path / "killed"
    killed_at(3, request(pictures), folder)
    extract_by(1, [request(pictures)], folder)
    assert sorted(described) == sorted(pictures)


def test_a_record_of_the_parts_is_not_needed_where_all_is_there(tmp_path, pictures, described):
    """The second run of the same command asks nobody for anything."""
    extract_by(2, [request(pictures)], tmp_path)
    described.clear()
    (again,) = extract_by(2, [request(pictures)], tmp_path)
    assert not described and again.num_new == 0


def test_a_picture_that_changed_since_is_extracted_again(tmp_path, pictures, described):
    folder = tmp_path / "killed"
    killed_at(3, request(pictures), folder)
    first = described[0]
    write_picture(pictures[first], seed=99)
    (extracted,) = extract_by(2, [request(pictures)], folder)
    assert described.count(first) == 2
    (anew,) = extract_by(1, [request(pictures)], tmp_path / "anew")
    np.testing.assert_allclose(
        store.read(extracted.path, list(pictures), 32), store.read(anew.path, list(pictures), 32),
        atol=1e-5,
    )  # fmt: skip


def test_unreadable_pictures_are_told_by_the_leading_process(tmp_path, pictures, caplog):
    """A header that is none, and a picture that ends too early: known when it is decoded."""
    pictures["05"].write_text("no picture")
    pictures["17"].write_bytes(pictures["17"].read_bytes()[:-400])
    with pytest.raises(PictureError, match="5.png"):
        extract_by(2, [request(pictures)], tmp_path / "stop")
    (shared,) = extract_by(2, [request(pictures, on_error="skip")], tmp_path / "shared")
    told = [record for record in caplog.records if record.getMessage().startswith("skipped")]
    assert sorted(shared.skipped) == ["05", "17"] and len(told) == 2
    (alone,) = extract_by(1, [request(pictures, on_error="skip")], tmp_path / "alone")
    assert alone.skipped == shared.skipped
    same_bits(alone.path, shared.path)
    assert not parts_below(tmp_path / "shared")


def test_a_picture_that_stops_one_process_stops_all(tmp_path, pictures, described):
    pictures["17"].write_bytes(pictures["17"].read_bytes()[:-400])
    with pytest.raises(PictureError, match="17.png"):
        extract_by(2, [request(pictures)], tmp_path)
    assert len(described) == len(set(described))


def test_nets_that_share_a_pass_have_parts_of_their_own(tmp_path, pictures, described):
    name, _, weights = NARROW.partition("@")
    layers = [
        request(pictures, net=f"{name},layer={layer}@{weights}") for layer in ("pool5", "fc6")
    ]
    shared = extract_by(2, layers, tmp_path / "shared")
    assert sorted(described) == sorted(pictures)
    for one, other in zip(extract_by(1, layers, tmp_path / "alone"), shared, strict=True):
        same_bits(one.path, other.path)


def test_only_scales_that_are_not_stored_are_computed(tmp_path, pictures):
    """Some pictures are stored at a scale, the others at none."""
    some = dict(list(pictures.items())[:13])
    files = []
    for size in (1, 2):
        folder = tmp_path / f"{size}"
        extract_by(1, [request(some, 48)], folder)
        (extracted,) = extract_by(size, [request(pictures, 32, 48)], folder)
        files.append(extracted.path)
        assert not parts_below(folder)
    same_bits(*files)


def test_a_scale_that_hinders_others_is_left_out_for_them(tmp_path, pictures):
    pictures = dict(list(pictures.items())[:6])
    pictures["long"] = write_picture(tmp_path / "long.png", (4000, 20))
    files = []
    for size in (1, 2):
        asked = [request(pictures, 32), request(pictures, 32, 256, on_error="skip")]
        first = extract_by(size, [replace_on_error(asked[0]), asked[1]], tmp_path / f"{size}")
        assert not first[0].skipped and list(first[1].skipped) == ["long"]
        files.append([extracted.path for extracted in first])
    for one, other in zip(*files, strict=True):
        same_bits(one, other)


def replace_on_error(one):
    return replace(one, options=replace(one.options, on_error="skip"))


def test_damaged_parts_are_extracted_again(tmp_path, pictures, alone, caplog):
    folder = tmp_path / "killed"
    first, *_ = killed_at(6, request(pictures), folder)
    with h5py.File(first) as file:
        offset = file["descriptors"].id.get_offset()
    content = bytearray(first.read_bytes())
    content[offset : offset + 8] = b"XXXXXXXX"
    first.write_bytes(content)
    first.with_name("000099-00000000.h5").write_bytes(content[:300])
    (extracted,) = extract_by(2, [request(pictures)], folder)
    assert "cannot be read" in caplog.text and "1 of its rows are damaged" in caplog.text
    np.testing.assert_allclose(
        store.read(extracted.path, list(pictures), 32), store.read(alone, list(pictures), 32),
        atol=1e-5,
    )  # fmt: skip
    assert not parts_below(folder)


def test_a_full_disk_while_merging_loses_nothing(tmp_path, pictures, alone, described):
    """The parts fit, the whole file does not; with room the next run has nothing to compute."""
    folder = tmp_path / "full"
    with (
        pytest.raises(OSError, match="File too large"),
        files_of_at_most(9 * alone.stat().st_size // 10),
    ):
        extract_by(2, [request(pictures)], folder)
    described.clear()
    (extracted,) = extract_by(1, [request(pictures)], folder)
    assert not described
    same_bits(alone, extracted.path)


def test_a_kill_while_merging_loses_nothing(tmp_path, pictures, alone, described, monkeypatch):
    folder = tmp_path / "killed"
    described.clear()
    killed_at(6, request(pictures), folder)
    with monkeypatch.context() as patch:
        patch.setattr("vggfeat.features.merging.remove_held", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            merge_alone(pictures, folder)
    (extracted,) = extract_by(2, [request(pictures)], folder)
    assert sorted(described) == sorted(pictures)
    same_bits(alone, extracted.path)


def raise_interrupt(*_):
    raise KeyboardInterrupt


def merge_alone(pictures, folder):
    one = request(pictures)
    extract("test", one.pictures, one.network, one.options, folder=folder)


def test_two_jobs_at_once_make_one_file(tmp_path, pictures, alone):
    """Each of two processes, on one folder, as after typing a command twice."""
    found = []
    jobs = [
        threading.Thread(
            target=lambda: found.extend(extract_by(2, [request(pictures)], tmp_path / "both"))
        )
        for _ in range(2)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert {extracted.path for extracted in found} == {tmp_path / "both" / alone.name}
    same_bits(alone, found[0].path)
    extract_by(1, [request(pictures)], tmp_path / "both")
    assert not parts_below(tmp_path / "both")


def test_parts_of_pictures_of_another_job_stay(tmp_path, pictures):
    """Two benchmarks of one dataset use different pictures of it."""
    halves = [dict(list(pictures.items())[start::2]) for start in range(2)]
    (theirs,) = killed_at(3, request(halves[0]), tmp_path)[:1]
    extract_by(2, [request(halves[1])], tmp_path)
    assert theirs.is_file()
    extract_by(2, [request(halves[0])], tmp_path)
    assert not parts_below(tmp_path)


def test_a_process_with_other_pictures_is_refused(tmp_path, pictures):
    fewer = dict(list(pictures.items())[:-1])
    with pytest.raises(StoreError, match="others here"):
        extract_by(2, lambda rank: [request(fewer if rank else pictures)], tmp_path)


def test_a_process_that_comes_when_all_is_done_has_nothing_to_do(tmp_path, pictures):
    """The folder of the parts is gone by then, as all was merged."""
    kept = dist.HashStore()
    processes = [FeatureSets(tmp_path, workers=Workers(rank, 2, rank, kept)) for rank in range(2)]
    for features in processes:
        features.extract_together([request(pictures)])
        if features.workers.leads:
            features.extract(request(pictures))
    assert not parts_below(tmp_path)


def test_a_process_that_does_not_see_the_folder_says_so(tmp_path, pictures, monkeypatch):
    """As where the cache is a folder of each machine's own. The leading process is at work."""
    monkeypatch.setattr("vggfeat.features.parallel.FOLDER_S", 0.1)
    kept, one = dist.HashStore(), request(pictures)
    leader, other = (
        FeatureSets(tmp_path / f"{rank}", workers=Workers(rank, 2, rank, kept)) for rank in range(2)
    )
    with interrupted_at(0):
        leader.extract_together([one])
    with pytest.raises(StoreError, match="does not see it"):
        other.extract_together([one])


@pytest.mark.slow
def test_the_part_of_a_slow_process_is_done_by_another(tmp_path, pictures, alone, monkeypatch):
    """It goes on meanwhile, and what it leaves behind is removed by whoever sees it last."""

    def slowly(*arguments, **options):
        if threading.current_thread().name == "process 1":
            time.sleep(3)
        return head.describe(*arguments, **options)

    monkeypatch.setattr("vggfeat.features.pipeline.describe", slowly)
    soon = partial(handed_out, lease_s=0.3)
    monkeypatch.setattr("vggfeat.features.parallel.handed_out", soon)
    (extracted,) = extract_by(2, [request(pictures)], tmp_path / "slow")
    same_bits(alone, extracted.path)
    assert not parts_below(tmp_path / "slow")
