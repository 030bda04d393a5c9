"""Pictures in parts become shards: the same bits whoever makes them, and after kills."""

import multiprocessing
import os
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import together
from helpers.interrupts import interrupted_at
from helpers.parts import written_parts
from helpers.pictures import NARROW
from helpers.processes import Agent

from vggfeat.backbones.load import load_network
from vggfeat.errors import OptionError, PictureError, StoreError
from vggfeat.features import store
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import describe
from vggfeat.features.options import Extraction
from vggfeat.features.shards import extraction
from vggfeat.features.shards.extraction import extract_shards
from vggfeat.features.shards.folder import ShardFolder
from vggfeat.features.shards.progress import PicturesDone
from vggfeat.features.shards.shard import ShardMaker
from vggfeat.images import load_batch
from vggfeat.processes.claims import Claim, handed_out
from vggfeat.processes.workers import Workers


@pytest.fixture
def parts(tmp_path):
    """Twelve pictures in three parts, one of which is empty."""
    return written_parts(tmp_path / "pictures", [5, 0, 7])


def run(parts, folder, *, compression=None, net=NARROW, **options):
    options = Extraction(**({"scales": (32, 48), "precision": "fp32"} | options))
    return extract_shards(parts, net, options, folder=folder, compression=compression)


def contents(folder):
    """Name -> bytes of all shards and of what surrounds them, none of them hidden."""
    files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def read_plainly(folder):
    """id -> vectors [S, D] of all shards, by h5py alone."""
    rows = {}
    for path in sorted(Path(folder).glob("*/part-*.h5")):
        with h5py.File(path) as file:
            assert file["done"][()].all()
            rows |= zip(file["ids"].asstr()[()], file["descriptors"][()], strict=True)
    return rows


def one_by_one(parts, network, scales=(32, 48)):
    """id -> vectors [S, D], each picture by itself."""
    head = Descriptor(network)
    vectors = {}
    for part in parts.parts:
        for i, path in part.items():
            batches = load_batch([path], scales)
            described = [describe(head, head.module, batch, mirror=True) for batch in batches]
            vectors[i] = np.stack([each[0].detach().numpy() for each in described])
    return vectors


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_each_part_is_a_feature_file_that_h5py_reads(tmp_path, parts, compression):
    made = run(parts, tmp_path / "out", compression=compression)
    assert (made.num_rows, made.num_new, made.num_broken, made.num_duplicates) == (12, 12, 0, 0)
    names = [*contents(tmp_path / "out")]
    assert names == [*(f"000/part-{n:06d}.h5" for n in range(3)), "index.h5", "shards.json"]
    found, expected = read_plainly(tmp_path / "out"), one_by_one(parts, load_network(NARROW))
    assert list(found) == list(expected)
    for i, vectors in expected.items():
        np.testing.assert_allclose(found[i], vectors, rtol=1e-4, atol=1e-4)
    for number, part in enumerate(parts.parts):
        path = ShardFolder(tmp_path / "out").shard(number)
        facts = store.inspect(path)
        assert (facts.num_done, facts.num_rows, facts.damaged) == (len(part), len(part), [])
        if part:
            assert h5py.File(path)["descriptors"].compression == compression
            np.testing.assert_array_equal(
                store.read(path, list(part), (32, 48)), [found[i] for i in part]
            )


def test_vectors_can_be_stored_in_half_the_bytes(tmp_path, parts):
    run(parts, tmp_path / "half", dtype="float16")
    run(parts, tmp_path / "full")
    half, full = read_plainly(tmp_path / "half"), read_plainly(tmp_path / "full")
    assert {vectors.dtype for vectors in half.values()} == {np.dtype("float16")}
    for i, vectors in full.items():
        np.testing.assert_array_equal(half[i], vectors.astype(np.float16))


def test_a_second_run_finds_all_there_and_changes_nothing(tmp_path, parts):
    run(parts, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert run(parts, tmp_path / "out").num_new == 0
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(scales=(32,)), r"scales is \(32, 48\) in the folder, \(32,\) asked"),
        (dict(net="vgg11:width=0.0625,input_size=32@random:1"), "weights is 'random:0'"),
        (dict(compression="gzip"), "compression is None in the folder, 'gzip' asked"),
        (dict(digest="other"), "source is 'd' in the folder, 'other' asked"),
    ],
)
def test_a_folder_of_something_else_is_refused_in_one_line(tmp_path, parts, change, words):
    run(parts, tmp_path / "out")
    parts.digest = change.pop("digest", parts.digest)
    with pytest.raises(StoreError, match=words) as raised:
        run(parts, tmp_path / "out", **change)
    assert "\n" not in str(raised.value)


def test_a_compression_that_is_not_known_is_refused(tmp_path, parts):
    with pytest.raises(OptionError, match="compression must be one of"):
        run(parts, tmp_path / "out", compression="blosc")


def test_what_is_no_picture_has_no_row_and_is_listed(tmp_path, parts):
    """Of the last part nothing can be read; its shard is there, without rows."""
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    first = dict(parts.parts[0])
    first["0/bad"] = bad
    parts.parts = [first, {"1/bad": bad}, {}]
    parts.broken = [{}, {}, {"1.tar, member a": "ends too early"}]
    with pytest.raises(PictureError, match="--on-error skip"):
        run(parts, tmp_path / "out")
    made = run(parts, tmp_path / "out", on_error="skip")
    assert (made.num_rows, made.num_broken) == (5, 3)
    assert list(read_plainly(tmp_path / "out")) == list(first)[:5]
    listed = (tmp_path / "out" / "broken.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in listed[1:3]] == [
        ["000/part-000000.h5", "0/bad"],
        ["000/part-000001.h5", "1/bad"],
    ]
    assert listed[3] == '000/part-000002.h5,"1.tar, member a",ends too early'
    with h5py.File(ShardFolder(tmp_path / "out").shard(2)) as file:
        assert file["broken"].asstr()[()].tolist() == [["1.tar, member a", "ends too early"]]


def test_an_id_that_repeats_is_reported_with_its_rows(tmp_path, parts, caplog):
    parts.parts[2]["0/3.png"] = parts.parts[2].pop("2/4.png")
    made = run(parts, tmp_path / "out")
    assert made.num_duplicates == 1 and "1 row has the id of an earlier one" in caplog.text
    listed = (tmp_path / "out" / "duplicates.csv").read_text()
    assert listed == "id,row,first_row\n0/3.png,11,3\n"


def begun_like(folder, other):
    """A folder that was begun at the moment when the other was, so that all bytes must agree."""
    folder.mkdir()
    shutil.copy(other / "shards.json", folder)
    return folder


def test_rows_that_another_process_has_done_are_taken(tmp_path, parts):
    """One was interrupted after a batch; one had not even a file that can be read."""
    run(parts, tmp_path / "whole")
    out = begun_like(tmp_path / "out", tmp_path / "whole")
    with interrupted_at(2):  # of two passes for each batch
        run(parts, out)
    folder = ShardFolder(out)
    (left,) = folder.leftovers(0)
    num_done = store.inspect(left).num_done
    assert 0 < num_done < 5
    folder.begun(0, "torn").write_bytes(b"torn")
    made = run(parts, out)
    assert (made.num_new, made.num_computed) == (12, 12 - num_done)
    assert contents(out) == contents(tmp_path / "whole")


def test_damaged_rows_of_another_process_are_not_taken(tmp_path, parts):
    run(parts, tmp_path / "whole")
    out = begun_like(tmp_path / "out", tmp_path / "whole")
    folder = ShardFolder(out)
    left = folder.begun(2, "left")
    left.parent.mkdir()
    shutil.copy(ShardFolder(tmp_path / "whole").shard(2), left)
    with h5py.File(left) as file:
        place = file["descriptors"].id.get_offset() + 100
    content = bytearray(left.read_bytes())
    content[place] ^= 1
    left.write_bytes(content)
    assert run(parts, out).num_computed == 5 + 1
    assert contents(out) == contents(tmp_path / "whole")


def test_a_process_that_was_thought_dead_does_no_harm(tmp_path, parts):
    """Another one has taken its part over, finished it and removed its file."""
    run(parts, tmp_path / "whole")
    out = begun_like(tmp_path / "out", tmp_path / "whole")
    folder = ShardFolder(out)
    slow = ShardMaker(folder, folder.manifest(), Claim(0, "slow"))
    file_bytes = {i: path.stat().st_size for i, path in parts.parts[0].items()}
    with slow.writer(file_bytes) as writer:
        run(parts, out)
        vectors = store.read(folder.shard(0), list(file_bytes), (32, 48))
        sizes = [(48, 36)] * len(file_bytes)
        writer.write(list(file_bytes), vectors, sizes, list(file_bytes.values()))
    slow.finish({})
    assert contents(out) == contents(tmp_path / "whole")


def killed_again_and_again(tmp_path, *, kills, pictures):
    """Parts of pictures extracted by processes of which each is killed at some moment."""
    parts = written_parts(tmp_path / "pictures", pictures)
    run(parts, tmp_path / "whole")
    out = begun_like(tmp_path / "out", tmp_path / "whole")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vggfeat.features.shards.extraction", "helpers.parts"])
    random, met = np.random.default_rng(0), 0
    for _ in range(kills):
        child = context.Process(target=run, args=(parts, out))
        child.start()
        child.join(random.uniform(0.02, 0.4))
        if child.is_alive():
            met += 1
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    run(parts, out)
    assert contents(out) == contents(tmp_path / "whole")
    return met


def run_together(workers, parts, out):
    """As one of several processes, which takes over what was silent for half a second."""
    extraction.handed_out = partial(handed_out, lease_s=0.5)
    options = Extraction(scales=(32, 48), precision="fp32")
    made = extract_shards(parts, NARROW, options, folder=out, workers=workers)
    if workers.leads:
        assert (made.num_new, made.num_rows) == (80, 80)
    os._exit(0)  # no agent is there that would end the others after a kill


@pytest.mark.slow
def test_several_processes_change_no_bit_nor_does_one_that_dies(tmp_path):
    parts = written_parts(tmp_path / "pictures", [10] * 8)
    run(parts, tmp_path / "whole")
    out = begun_like(tmp_path / "out", tmp_path / "whole")
    agent = Agent(3)
    processes = agent.start(run_together, parts, out)
    while not [*out.glob("000/.part-*")] and processes[2].is_alive():
        time.sleep(0.01)
    os.kill(processes[2].pid, signal.SIGKILL)
    for process in processes[:2]:
        process.join(60)
    assert [process.exitcode for process in processes[:2]] == [0, 0]
    assert contents(out) == contents(tmp_path / "whole")


def test_kills_at_any_moment_change_no_bit(tmp_path):
    assert killed_again_and_again(tmp_path, kills=3, pictures=[20] * 5)


@pytest.mark.slow
def test_many_kills_at_any_moment_change_no_bit(tmp_path):
    assert killed_again_and_again(tmp_path, kills=40, pictures=[30] * 60) > 20


def test_each_part_is_opened_once(tmp_path, parts, monkeypatch):
    """It may be a tar that is fetched from far away."""
    opened, as_ever = [], parts.opened
    monkeypatch.setattr(parts, "opened", lambda part: opened.append(part) or as_ever(part))
    run(parts, tmp_path / "out", device="cpu")
    assert opened == [0, 1, 2]


def test_machines_may_name_the_folder_otherwise(tmp_path, parts, monkeypatch):
    """The leading process tells as new what the others make while it goes on itself."""
    together.run_layer_by_layer(monkeypatch)
    (tmp_path / "out").mkdir()
    (tmp_path / "same").symlink_to("out")
    announce, manifest = Workers.announce, "shards#1"

    def and_wait(workers, name, value=None):
        announce(workers, name, value)
        while name == manifest and not ShardFolder(tmp_path / "out").shard(0).exists():
            time.sleep(0.01)

    monkeypatch.setattr(Workers, "announce", and_wait)
    options = Extraction(scales=(32,), precision="fp32")

    def process(workers):
        folder = tmp_path / ("same" if workers.rank else "out")
        return extract_shards(parts, NARROW, options, folder=folder, workers=workers)

    made, _ = together.run_together(2, process)
    assert made.num_new == 12


def told_of(work):
    """(pictures done, all) of each call of progress, and the label, which is one."""
    calls = []
    work(lambda *call: calls.append(call))
    (label,) = {label for label, _, _ in calls if label.startswith("extracting")}
    return label, [(done, total) for name, done, total in calls if name == label]


def test_progress_is_in_pictures_each_part_as_large_as_the_first(tmp_path):
    parts = written_parts(tmp_path / "pictures", [4, 2, 6])
    options = Extraction(scales=(32,), precision="fp32")
    label, told = told_of(
        lambda progress: extract_shards(
            parts, NARROW, options, folder=tmp_path / "out", progress=progress
        )
    )
    assert label.startswith("extracting vgg11") and label.endswith(" (estimate)")
    assert {total for _, total in told} == {12} and told == sorted(told)
    assert {0, 4, 8, 11, 12} <= {done for done, _ in told} and told.count((12, 12)) == 1


def test_progress_within_a_part_counts_for_all_processes():
    def work(progress):
        done = PicturesDone(progress, "extracting net", 10, 4)
        done.begin(0, 100)
        done("", 30, 60)  # 40 were there
        done.begin(4, 90)

    assert told_of(work) == ("extracting net (estimate)", [(0, 1000), (200, 1000), (400, 1000)])


def test_progress_of_one_part_is_exact():
    def work(progress):
        done = PicturesDone(progress, "extracting net", 1, 2)
        done.begin(0, 8)
        done("", 2, 8)
        done.end()

    assert told_of(work) == ("extracting net", [(0, 8), (2, 8), (8, 8)])
