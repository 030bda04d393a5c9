"""Feature files: what is written is found by id, survives a kill, and is refused when unfit."""

import contextlib
import multiprocessing
import os
import signal
import threading
from dataclasses import replace

import h5py
import numpy as np
import pytest
from helpers import shards
from helpers.disks import files_of_at_most

from vggfeat.errors import OptionError, StoreError
from vggfeat.features import store
from vggfeat.features.store.format import READ_ROWS

CONDITIONS = replace(shards.CONDITIONS, dataset="caltech101")
PROVENANCE = {"weights_name": "random:0", "versions": {"torch": "1"}}


def writer(path, ids, conditions=CONDITIONS, length=100):
    return store.FeatureWriter(
        path,
        conditions,
        dim=4,
        file_bytes=dict.fromkeys(ids, length),
        **PROVENANCE,
    )


def descriptors(ids):
    """[n, 2, 4], different for every id."""
    return np.array([np.full((2, 4), code_sum(i)) for i in ids], np.float32)


def code_sum(i: str) -> float:
    return float(sum(map(ord, i)))


def fill(path, ids, **options):
    with writer(path, ids, **options) as file:
        file.write(ids, descriptors(ids), [(8, 6)] * len(ids), [100] * len(ids))


def test_rows_are_found_by_id_in_the_order_asked(tmp_path):
    fill(tmp_path / "f.h5", ["a/1", "b/2", "ü/3"])
    found = store.read(tmp_path / "f.h5", ["ü/3", "a/1"], (32, 48))
    assert np.array_equal(found, descriptors(["ü/3", "a/1"]))


def test_reading_a_subset_of_the_scales(tmp_path):
    with writer(tmp_path / "f.h5", ["a"]) as file:
        file.write(["a"], np.arange(8, dtype=np.float32).reshape(1, 2, 4), [(8, 6)], [100])
    assert store.read(tmp_path / "f.h5", ["a"], (48,)).tolist() == [[[4, 5, 6, 7]]]


def test_rows_beyond_one_block_are_read_right(tmp_path):
    ids = [f"{i:05d}" for i in range(2 * READ_ROWS + 5)]
    fill(tmp_path / "f.h5", ids)
    shuffled = [ids[i] for i in np.random.default_rng(0).permutation(len(ids))]
    assert np.array_equal(store.read(tmp_path / "f.h5", shuffled, (32, 48)), descriptors(shuffled))


def test_a_new_file_has_all_rows_undone_and_reading_them_is_an_error(tmp_path):
    with writer(tmp_path / "f.h5", ["a", "b"]) as file:
        assert file.missing(["a", "b"]) == {"a", "b"}
    with pytest.raises(StoreError, match="2 descriptors are missing, 'a' among them"):
        store.read(tmp_path / "f.h5", ["a", "b"], (32, 48))


def test_new_ids_are_added_behind_what_is_done(tmp_path):
    fill(tmp_path / "f.h5", ["a", "b"])
    with writer(tmp_path / "f.h5", ["c", "b"]) as file:
        assert file.missing(["a", "b", "c"]) == {"c"}
        file.write(["c"], descriptors(["c"]), [(8, 6)], [100])
    found = store.read(tmp_path / "f.h5", ["a", "b", "c"], (32, 48))
    assert np.array_equal(found, descriptors(["a", "b", "c"]))


def test_a_picture_whose_file_changed_is_missing_again(tmp_path):
    fill(tmp_path / "f.h5", ["a", "b"])
    with store.FeatureWriter(
        tmp_path / "f.h5", CONDITIONS, dim=4, file_bytes={"a": 100, "b": 101}, **PROVENANCE
    ) as file:
        assert file.missing(["a", "b"]) == {"b"}


@pytest.mark.parametrize("room", [0, 100, 2048, 4000, 6000, 8000, 8192, 8300, 9000])
def test_a_full_disk_is_one_error_that_names_the_file(tmp_path, room):
    path, ids = tmp_path / "f.h5", [f"{n:04}" for n in range(200)]
    with files_of_at_most(room), pytest.raises(OSError, match=f"File too large: '{path}'"):
        fill(path, ids)
    assert [p.name for p in tmp_path.iterdir() if p.name != "f.h5.lock"] == []
    fill(path, ids)  # where there is room again
    assert np.array_equal(store.read(path, ids, (32, 48)), descriptors(ids))


@pytest.mark.parametrize("room", [0, 2000, 9000, 20_000])
def test_a_disk_that_is_full_later_costs_what_was_not_written(tmp_path, room):
    path, ids = tmp_path / "f.h5", [f"{n:04}" for n in range(400)]
    with (
        pytest.raises(OSError, match=f"File too large: '{path}'"),
        writer(path, ids) as file,
        files_of_at_most(room),
    ):
        file.write(ids, descriptors(ids), [(8, 6)] * len(ids), [100] * len(ids))
    assert store.lacking(path, dict.fromkeys(ids, 100)) == set(ids)
    fill(path, ids)
    assert np.array_equal(store.read(path, ids, (32, 48)), descriptors(ids))


def test_a_larger_copy_that_has_no_room_leaves_the_file_as_it_is(tmp_path):
    path, ids = tmp_path / "f.h5", [f"{n:04}" for n in range(200)]
    fill(path, ids)
    before = path.read_bytes()
    with files_of_at_most(len(before)), pytest.raises(OSError, match="File too large"):
        fill(path, [f"{n:04}" for n in range(400)])
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.h5", "f.h5.lock"]


def test_a_picture_that_is_away_costs_no_descriptor(tmp_path):
    """-1 stands for a file that cannot be found, as on a disk that is not mounted."""
    fill(tmp_path / "f.h5", ["a", "b"])
    with writer(tmp_path / "f.h5", ["a", "b"], length=-1):
        pass
    with writer(tmp_path / "f.h5", ["a", "b"]) as file:
        assert not file.missing(["a", "b"])


def test_a_changed_picture_keeps_its_descriptor_until_there_is_a_new_one(tmp_path):
    fill(tmp_path / "f.h5", ["a", "b"])
    with writer(tmp_path / "f.h5", ["a", "b"], length=101) as file:
        file.write(["a"], 2 * descriptors(["a"]), [(8, 6)], [101])
    with writer(tmp_path / "f.h5", ["a", "b"]) as file:
        assert file.missing(["a", "b"]) == {"a"}
    assert np.array_equal(store.read(tmp_path / "f.h5", ["b"], (32, 48)), descriptors(["b"]))
    assert np.array_equal(store.read(tmp_path / "f.h5", ["a"], (32, 48)), 2 * descriptors(["a"]))


def test_other_conditions_are_refused_showing_both_sides(tmp_path):
    fill(tmp_path / "f.h5", ["a"])
    with pytest.raises(StoreError) as error:
        writer(tmp_path / "f.h5", ["a"], replace(CONDITIONS, mirror=False, scales=(32,)))
    message = str(error.value)
    assert "mirror is True in the file, False asked" in message
    assert "scales is (32, 48) in the file, (32,) asked" in message
    assert "layer" not in message


@pytest.mark.parametrize(
    "change", [{"weights": "random:1"}, {"precision": "bf16"}, {"mean": (1.0, 2.0, 4.0)}]
)
def test_each_condition_leads_to_another_file(tmp_path, change):
    fill(tmp_path / f"x-{CONDITIONS.digest()}.h5", ["a"])
    other = replace(CONDITIONS, **change)
    path, complete = store.find(tmp_path, "x", other, {"a": 100})
    assert path == tmp_path / f"x-{other.digest()}.h5" and not complete


def test_a_file_with_more_scales_serves_if_it_is_complete(tmp_path):
    path = tmp_path / f"x-{CONDITIONS.digest()}.h5"
    fill(path, ["a", "b"])
    fewer = replace(CONDITIONS, scales=(48,))
    assert store.find(tmp_path, "x", fewer, {"a": 100, "b": 100}) == (path, True)
    own = tmp_path / f"x-{fewer.digest()}.h5"
    assert store.find(tmp_path, "x", fewer, {"a": 100, "c": 100}) == (own, False)
    assert store.find(tmp_path, "x", fewer, {"a": 999}) == (own, False)


def test_only_one_writer(tmp_path):
    """A second one waits, and finds what the first has written."""
    path, found = tmp_path / "f.h5", []

    def second():
        with writer(path, ["a", "b"]) as file:
            found.append(file.missing(["a", "b"]))

    thread = threading.Thread(target=second)
    with writer(path, ["a"]) as first:
        thread.start()
        thread.join(0.2)
        assert thread.is_alive() and not found
        first.write(["a"], np.zeros((1, 2, 4)), [(9, 9)], [100])
    thread.join(10)
    assert found == [{"b"}]


def _write_until_killed(path, ids, ready):
    with writer(path, ids) as file:
        for number, i in enumerate(ids):
            file.write([i], descriptors([i]), [(8, 6)], [100])
            if number == len(ids) // 2:
                file.commit()
                ready.set()


def test_a_kill_between_any_two_writes_leaves_a_file_that_goes_on(tmp_path):
    """The child is killed while it writes; every row that counts as done holds its values."""
    ids = [f"{i:05d}" for i in range(4000)]
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_write_until_killed, args=(tmp_path / "f.h5", ids, ready))
    child.start()
    assert ready.wait(60)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with writer(tmp_path / "f.h5", ids) as file:
        missing = file.missing(ids)
    done = [i for i in ids if i not in missing]
    assert len(done) >= 2000
    assert np.array_equal(store.read(tmp_path / "f.h5", done, (32, 48)), descriptors(done))
    fill(tmp_path / "f.h5", ids)
    assert np.array_equal(store.read(tmp_path / "f.h5", ids, (32, 48)), descriptors(ids))


def test_descriptors_are_on_disk_before_they_count_as_done(tmp_path, monkeypatch):
    """The order that makes `done` trustworthy after a power cut."""
    events = []
    with writer(tmp_path / "f.h5", ["a"]) as file:
        file.write(["a"], descriptors(["a"]), [(8, 6)], [100])
        monkeypatch.setattr(os, "fsync", lambda _: events.append(bool(file._file["done"][0])))
        file.commit()
    assert events[:2] == [False, True]


def test_versions_of_every_writer_are_kept(tmp_path):
    options = {"dim": 4, "weights_name": "random:0"}
    for ids, torch_version in ((["a"], "1"), (["a", "b"], "2"), (["a", "b"], "2")):
        with store.FeatureWriter(
            tmp_path / "f.h5", CONDITIONS, file_bytes=dict.fromkeys(ids, 100),
            versions={"torch": torch_version}, **options,
        ):  # fmt: skip
            created = store.inspect(tmp_path / "f.h5").created
    found = store.inspect(tmp_path / "f.h5")
    assert found.versions == [{"torch": "1"}, {"torch": "2"}] and found.created == created


def test_a_file_can_be_inspected_while_it_is_written(tmp_path):
    with writer(tmp_path / "f.h5", ["a", "b"]) as file:
        file.write(["a"], descriptors(["a"]), [(8, 6)], [100])
        file.commit()
        assert store.inspect(tmp_path / "f.h5").num_done == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.attrs.pop("created"),
        lambda file: file.attrs.pop("mirror"),
        lambda file: file.attrs.update(versions="{"),
        lambda file: file.attrs.update(scales="many"),
        lambda file: (file.pop("ids"), file.create_dataset("ids", data=[1.5])),
        lambda file: (file.pop("done"), file.create_dataset("done", data=[True, True])),
        lambda file: (file.pop("descriptors"), file.create_group("descriptors")),
        lambda file: (file.pop("descriptors"), file.create_dataset("descriptors", (1, 1, 4), "f4")),
        lambda file: file["descriptors"].write_direct(np.full((1, 2, 4), np.nan, np.float32)),
    ],
)
def test_damage_inside_a_file_is_one_error_that_names_it(tmp_path, damage):
    fill(tmp_path / f"x-{CONDITIONS.digest()}.h5", ["a"])
    with h5py.File(tmp_path / f"x-{CONDITIONS.digest()}.h5", "r+") as file:
        damage(file)
    path = tmp_path / f"x-{CONDITIONS.digest()}.h5"
    with pytest.raises(StoreError, match="x-"):
        store.read(path, ["a"], (32,))
    with contextlib.suppress(StoreError):  # which need not look at every part
        store.inspect(path)
    other = replace(CONDITIONS, mirror=False)
    assert store.find(tmp_path, "x", other, {"a": 100})[1] is False  # passed over, no error


def test_all_space_is_allocated_when_the_file_is_made(tmp_path):
    """Later allocation would change HDF5's own tables, which a kill could tear."""
    with writer(tmp_path / "f.h5", ["a", "b"]):
        pass
    with h5py.File(tmp_path / "f.h5") as file:
        for name in ("descriptors", "done", "image_size", "file_bytes"):
            assert file[name].id.get_offset() is not None


def test_half_precision_is_stored_and_read_as_float32(tmp_path):
    conditions = replace(CONDITIONS, dtype="float16")
    with writer(tmp_path / "f.h5", ["a"], conditions) as file:
        file.write(["a"], np.full((1, 2, 4), 0.1, np.float32), [(8, 6)], [100])
    found = store.read(tmp_path / "f.h5", ["a"], (32, 48))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.float32(np.float16(0.1)))


def test_inspect_counts_rows_that_are_not_finite_or_zero(tmp_path):
    ids = ["a", "b", "c", "d"]
    values = descriptors(ids)
    values[1, 0, 2] = np.nan
    values[2] = 0
    with writer(tmp_path / "f.h5", ids) as file:
        file.write(ids[:3], values[:3], [(8, 6)] * 3, [100] * 3)
    found = store.inspect(tmp_path / "f.h5")
    assert found.shape == (4, 2, 4) and found.num_done == 3
    assert (found.num_not_finite, found.num_zero) == (1, 1)
    assert found.conditions == CONDITIONS


def test_what_is_no_feature_file_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(StoreError, match="text.h5: cannot be read as a feature file"):
        store.inspect(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(StoreError, match="other.h5: not a feature file"):
        store.inspect(tmp_path / "other.h5")
    with h5py.File(tmp_path / "future.h5", "w") as file:
        file.attrs["schema_version"] = 3
    with pytest.raises(StoreError, match="future.h5: schema version 3"):
        store.inspect(tmp_path / "future.h5")
    with pytest.raises(StoreError, match="gone.h5: no such feature file"):
        store.inspect(tmp_path / "gone.h5")


def test_truncated_file_is_refused(tmp_path):
    fill(tmp_path / "f.h5", ["a", "b"])
    content = (tmp_path / "f.h5").read_bytes()
    (tmp_path / "f.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="f.h5: cannot be read as a feature file"):
        store.inspect(tmp_path / "f.h5")


def test_sizes_of_pictures_are_read_in_the_order_of_the_ids(tmp_path):
    ids = ["a", "b", "c"]
    with writer(tmp_path / "f.h5", ids) as file:
        file.write(["c", "a"], descriptors(["c", "a"]), [(30, 20), (48, 36)], [100, 100])
    sizes = store.read_sizes(tmp_path / "f.h5", ["a", "c"])
    assert sizes.tolist() == [[48, 36], [30, 20]]
    with pytest.raises(StoreError, match="1 descriptor is missing, 'b' among them"):
        store.read_sizes(tmp_path / "f.h5", ["a", "b"])


def test_a_path_may_be_text_and_what_is_no_sequence_is_told(tmp_path):
    """The file is sound, so nothing is said against it."""
    path, ids = tmp_path / "f.h5", ["a.jpg", "b.jpg"]
    fill(path, ids)
    np.testing.assert_array_equal(store.read(str(path), ids, [32]), store.read(path, ids, [32]))
    assert store.inspect(str(path)).num_done == store.inspect(path).num_done
    assert len(store.read_sizes(str(path), ids)) == len(ids)
    np.testing.assert_array_equal(store.read(path, ids, 32), store.read(path, ids, [32]))
    for arguments in ((path, ids, None), (path, ids[0], [32]), (path, ids, "32")):
        with pytest.raises(OptionError, match="must be a sequence such as"):
            store.read(*arguments)


def test_what_a_killed_process_began_is_removed_by_the_next_writer(tmp_path):
    stale = tmp_path / ".f.h5.0123abcd.part"
    other = tmp_path / ".g.h5.0123abcd.part"
    stale.touch(), other.touch()
    fill(tmp_path / "f.h5", ["a"])
    assert not stale.exists() and other.exists()


def test_a_file_that_was_packed_for_good_can_be_extended_all_the_same(tmp_path):
    """HDF5 cannot change packed values in place: it becomes a file like others again."""
    path, packed = tmp_path / "a.h5", tmp_path / "packed.h5"
    fill(path, ["a", "b", "c"])
    store.write_whole(path, packed, compression="gzip", broken={"d.jpg": "no picture"})
    with h5py.File(packed) as file:
        assert (file["descriptors"].compression, file["descriptors"].shuffle) == ("gzip", True)
        assert file["broken"].asstr()[()].tolist() == [["d.jpg", "no picture"]]
    assert store.inspect(packed).damaged == []
    fill(packed, ["d"])
    assert store.inspect(packed).num_done == 4 and h5py.File(packed)["descriptors"].chunks is None
    ids = ["d", "a", "c", "b"]
    np.testing.assert_array_equal(store.read(packed, ids, (32, 48)), descriptors(ids))


def test_rows_of_a_batch_in_any_order_find_their_places(tmp_path):
    path, ids = tmp_path / "a.h5", list("abcdefgh")
    with writer(path, ids) as file:
        for batch in (["c", "d", "e", "a"], ["h", "g", "b", "f"], []):
            file.write(batch, descriptors(batch), [(8, 6)] * len(batch), [100] * len(batch))
    assert store.inspect(path).damaged == []
    np.testing.assert_array_equal(store.read(path, ids, (32, 48)), descriptors(ids))
