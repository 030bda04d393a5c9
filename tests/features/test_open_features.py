"""Stored vectors read by range and by id, of a file or of shards, without reading all of them."""

import errno
import json
import multiprocessing
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import h5py
import numpy as np
import pytest
from helpers.disks import files_of_at_most
from helpers.shards import CONDITIONS, ids_of, vectors_of, write_shards
from torch.utils.data import DataLoader

from vggfeat import open_features
from vggfeat.errors import OptionError, StoreError
from vggfeat.features import store
from vggfeat.features.shards import index, index_build, open_files
from vggfeat.features.shards.folder import ShardFolder
from vggfeat.features.shards.shard import ShardMaker
from vggfeat.processes.claims import Claim
from vggfeat.progress import no_progress
from vggfeat.storage.checksums import sealed

COUNTS = (5, 0, 7, 3)


@pytest.fixture
def folder(tmp_path):
    return write_shards(tmp_path / "shards", COUNTS)


ALL_IDS = [i for part, count in enumerate(COUNTS) for i in ids_of(part, count)]
ALL = np.concatenate([vectors_of(part, count) for part, count in enumerate(COUNTS)])


@pytest.fixture(params=["folder", "packed folder", "file"])
def features(request, tmp_path):
    """The same rows each time; in the file some are not done."""
    if request.param == "file":
        undone = ["x", *ALL_IDS[:4], "y", *ALL_IDS[4:], "z"]
        facts = dict(weights_name="w", versions={"torch": "1"})
        lengths = dict.fromkeys(undone, 9)
        with store.FeatureWriter(
            tmp_path / "all.h5", CONDITIONS, dim=4, file_bytes=lengths, **facts
        ) as writer:
            writer.write(ALL_IDS, ALL, [(8, 6)] * len(ALL_IDS), [9] * len(ALL_IDS))
        return open_features(tmp_path / "all.h5")
    compression = "gzip" if "packed" in request.param else None
    return open_features(write_shards(tmp_path / "shards", COUNTS, compression=compression))


def test_rows_are_read_by_range_and_by_id(features):
    assert (len(features), features.scales, features.dim) == (15, (32, 48), 4)
    assert features.conditions == CONDITIONS
    assert features.ids() == ALL_IDS and features.ids(3, 9) == ALL_IDS[3:9]
    np.testing.assert_array_equal(features.read(), ALL)
    np.testing.assert_array_equal(features.read(4, 13), ALL[4:13])
    np.testing.assert_array_equal(features.read(-2, scales=[48]), ALL[-2:, [1]])
    order = np.random.default_rng(0).permutation(15)
    np.testing.assert_array_equal(features.rows_of([ALL_IDS[row] for row in order]), order)
    np.testing.assert_array_equal(features.read_ids([ALL_IDS[row] for row in order]), ALL[order])
    np.testing.assert_array_equal(features.read_rows([3, 3, 14]), ALL[[3, 3, 14]])
    assert features.read_ids([]).shape == features.read(2, 2).shape == (0, 2, 4)


def test_blocks_cover_all_rows_once(features):
    places, blocks = zip(*features.blocks(4), strict=True)
    assert [(place.start, place.stop) for place in places] == [(0, 4), (4, 8), (8, 12), (12, 15)]
    np.testing.assert_array_equal(np.concatenate(blocks), ALL)


def test_ids_that_are_not_there_are_named(features):
    with pytest.raises(StoreError, match="2 ids are not in it, 'nobody' among them"):
        features.rows_of([ALL_IDS[0], "nobody", "none"])
    with pytest.raises(StoreError, match=r"has scales \(32, 48\), not 64"):
        features.read(scales=[64])
    with pytest.raises(OptionError, match="rows must be a list of whole numbers from 0 to 14"):
        features.read_rows([15])
    with pytest.raises(OptionError, match="ids must be a sequence"):
        features.rows_of("0/0")


@pytest.mark.parametrize(
    "rows", [[1.7], [float("nan")], [True] * 15, ["1"], None, 3, [-1], [10**30], [[1]]], ids=str
)
def test_what_are_no_rows_is_refused(features, rows):
    with pytest.raises(OptionError, match="rows must be a list of whole numbers from 0 to 14"):
        features.read_rows(rows)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (None, "ids must be a sequence"),
        ([0], "ids must be texts such as 'a.jpg'; got 0"),
        ([b"0/0"], "ids must be texts such as 'a.jpg'; got b'0/0'"),
        (["0/0", "\ud800"], r"'\\ud800' is not in it"),
    ],
)
def test_what_are_no_ids_is_refused(features, ids, message):
    with pytest.raises((OptionError, StoreError), match=message):
        features.rows_of(ids)


def test_one_scale_may_stand_alone_and_no_text(features):
    np.testing.assert_array_equal(features.read(scales=48), ALL[:, [1]])
    with pytest.raises(OptionError, match="scales must be a sequence"):
        features.read(scales="48")
    with pytest.raises(OptionError, match="rows must be a whole number from 1 on; got 1.5"):
        next(features.blocks(1.5))


def test_threads_may_close_it_while_others_read(features):
    def read(thread):
        for turn in range(8):
            np.testing.assert_array_equal(features.read_ids(ALL_IDS[-2:]), ALL[-2:])
            if turn % 3 == thread % 3:
                features.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(read, range(6)))


class Rows:
    """A torch data set, as a user writes one."""

    def __init__(self, features):
        self.features = features

    def __len__(self):
        return len(self.features)

    def __getitem__(self, row):
        return self.features.read(row, row + 1)[0]


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_of_a_data_loader_read_it(folder, method):
    features = open_features(folder)
    features.read_ids(ALL_IDS)  # all is open when the workers begin
    context = multiprocessing.get_context(method)
    loader = DataLoader(
        Rows(features), batch_size=4, num_workers=2, multiprocessing_context=context
    )
    np.testing.assert_array_equal(np.concatenate([batch.numpy() for batch in loader]), ALL)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(features)).read_ids(ALL_IDS), ALL)


@pytest.mark.parametrize("limit", ["MAX_OPEN", "MAX_ROWS"])
def test_few_files_are_open_at_once(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(open_files, limit, 6 if limit == "MAX_ROWS" else 2)
    features = open_features(write_shards(tmp_path / "shards", (3,) * 6))
    for row in (0, 17, 5, 9, 1):
        np.testing.assert_array_equal(
            features.read(row, row + 1)[0], vectors_of(row // 3, 3)[row % 3]
        )
        assert len(features._files._open) <= 2


def test_a_folder_that_is_not_whole_is_refused_in_one_line(tmp_path, folder):
    shard = ShardFolder(folder).shard
    shutil.move(shard(2), tmp_path / "away.h5")
    with pytest.raises(StoreError, match=r"part-000002\.h5: is missing"):
        open_features(folder).read()
    np.testing.assert_array_equal(open_features(folder).read(0, 5), ALL[:5])
    shutil.copy(shard(3), shard(2))
    with pytest.raises(StoreError, match="is not the file that was here when the index was made"):
        open_features(folder).read()
    (folder / "index.h5").unlink()
    with pytest.raises(StoreError, match=r"index\.h5: is not there: the extraction has not come"):
        open_features(folder)
    (folder / "shards.json").write_text("{}")
    with pytest.raises(StoreError, match=r"shards\.json: cannot be read"):
        open_features(folder)
    with pytest.raises(StoreError, match=r"no folder of shards, as it has no shards\.json"):
        open_features(tmp_path)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_damaged_shard_is_an_error_in_one_line(tmp_path, compression):
    folder = write_shards(tmp_path / "shards", (40,), compression=compression)
    shard = ShardFolder(folder).shard(0)
    whole = shard.read_bytes()
    with h5py.File(shard) as file:
        array = file["descriptors"].id
        place = array.get_chunk_info(0).byte_offset if compression else array.get_offset()
    flipped = bytearray(whole)
    flipped[place + 70] ^= 4
    for content in (flipped, whole[:-100], whole[:1000], b""):
        shard.write_bytes(content)
        with pytest.raises(StoreError) as raised:
            open_features(folder).read()
        assert str(shard) in str(raised.value) and "\n" not in str(raised.value)


def flipped_at(path, name, offset=0):
    with h5py.File(path) as file:
        place = file[name].id.get_offset() + offset
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_parts", "4"), ("num_parts", -1), ("dim", 4.0), ("compression", [1]), ("created", None),
     ("batch_pixels", "x"), ("conditions", []), ("schema_version", 2)],
)  # fmt: skip
def test_a_manifest_that_another_program_wrote_is_refused_in_one_line(folder, name, value):
    path = folder / "shards.json"
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), name: value})))
    with pytest.raises(StoreError, match=r"shards\.json: cannot be read") as raised:
        ShardFolder(folder).manifest()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_shard_that_claims_more_rows_than_it_can_have_is_damaged(tmp_path, compression):
    folder = ShardFolder(write_shards(tmp_path / "shards", COUNTS, compression=compression))
    content = bytearray(folder.shard(0).read_bytes())
    content[55] ^= 0x80  # of its number of rows
    folder.shard(0).write_bytes(content)
    with pytest.raises(StoreError, match=r"part-000000\.h5: its checksums are damaged"):
        index_build.table_of(folder, len(COUNTS))


def test_an_index_with_another_number_of_rows_is_damaged(folder):
    with h5py.File(folder / "index.h5", "r+") as file:
        rows = file["rows"][:-1]
        del file["rows"]
        file["rows"] = rows
    with pytest.raises(StoreError, match=r"index\.h5: .*not as many as they were"):
        open_features(folder)


@pytest.mark.parametrize("name", ["hashes", "rows", "bucket_starts", "digests", "first_rows"])
def test_a_damaged_index_is_an_error_in_one_line(folder, name):
    flipped_at(folder / "index.h5", name, 8)
    with pytest.raises(
        StoreError, match=r"index\.h5: .*not as (it was|they were) written"
    ) as raised:
        open_features(folder).rows_of(ALL_IDS)
    assert "\n" not in str(raised.value)


def test_the_index_is_read_by_h5py_alone(folder):
    with h5py.File(folder / "index.h5") as file:
        hashes, rows = file["hashes"][()], file["rows"][()]
        assert file["shards"][()].astype(str).tolist() == [f"000/part-{n:06d}.h5" for n in range(4)]
        assert file["first_rows"][()].tolist() == [0, 5, 5, 12, 15]
    assert (np.diff(hashes) >= 0).all()
    np.testing.assert_array_equal(
        rows[np.searchsorted(hashes, index.hashes_of(ALL_IDS))], range(15)
    )


def test_an_index_in_many_pieces_and_buckets_is_the_same(tmp_path, monkeypatch):
    """As of more rows than are sorted at once, here 64."""
    counts = (700, 1, 300)
    monkeypatch.setattr(index_build, "PIECE_ROWS", 64)
    monkeypatch.setattr(index_build, "READ_ROWS", 50)
    monkeypatch.setattr(index, "BUCKET_ROWS", 4)
    monkeypatch.setattr(index, "RUN", 16)
    features = open_features(write_shards(tmp_path / "shards", counts))
    ids = [i for part, count in enumerate(counts) for i in ids_of(part, count)]
    order = np.random.default_rng(0).permutation(1001)
    for some in (order, order[:5]):
        np.testing.assert_array_equal(features.rows_of([ids[row] for row in some]), some)


def test_ids_of_equal_hashes_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "hashes_of", lambda ids: np.array([len(i) % 2 for i in ids], "<u8"))
    features = open_features(write_shards(tmp_path / "shards", COUNTS))
    np.testing.assert_array_equal(features.rows_of(ALL_IDS[::-1]), range(14, -1, -1))
    with pytest.raises(StoreError, match="1 id is not in it"):
        features.rows_of(["other"])


def test_an_id_that_repeats_has_its_first_row(tmp_path):
    folder = write_shards(tmp_path / "shards", (3, 3), same_ids=True)
    features = open_features(folder)
    np.testing.assert_array_equal(features.rows_of(features.ids()), [0, 1, 2, 0, 1, 2])
    listed = (folder / "duplicates.csv").read_text().splitlines()
    assert sorted(listed[1:]) == ["0/0,3,0", "0/1,4,1", "0/2,5,2"]


def test_a_file_of_other_conditions_in_place_of_a_shard_is_refused(folder):
    path = ShardFolder(folder).shard(3)
    path.unlink()
    other = replace(CONDITIONS, layer="fc6")
    ids = ids_of(3, 3)
    facts = dict(weights_name="w", versions={"torch": "1"})
    with store.FeatureWriter(path, other, dim=4, file_bytes=dict.fromkeys(ids, 9), **facts) as file:
        file.write(ids, vectors_of(3, 3), [(8, 6)] * 3, [9] * 3)
    with pytest.raises(StoreError, match="is not the file that was here"):
        open_features(folder).read()


def test_names_that_are_no_texts_are_listed_as_broken(tmp_path):
    folder = ShardFolder(tmp_path / "shards")
    write_shards(folder.path, [0])
    folder.shard(0).unlink()
    maker = ShardMaker(folder, folder.manifest(), Claim(0))
    with maker.writer({"a": 9}) as writer:
        writer.write(["a"], vectors_of(0, 1), [(8, 6)], [9])
    maker.finish({"\udcff.tar, member b\nc": "ends\0 early"})
    table = index_build.table_of(folder, 1)
    assert index_build.build_index(folder, folder.manifest(), table, no_progress).num_broken == 1
    listed = folder.broken_list.read_text().splitlines()[1]
    assert listed == r'000/part-000000.h5,"\udcff.tar, member b\nc",ends\x00 early'
    assert open_features(folder.path).ids() == ["a"]


def test_a_full_disk_is_no_damage_of_what_is_packed(tmp_path):
    folder = ShardFolder(write_shards(tmp_path / "shards", [40], compression="gzip"))
    folder.shard(0).unlink()
    ids = ids_of(0, 40)
    maker = ShardMaker(folder, folder.manifest(), Claim(0))
    with maker.writer(dict.fromkeys(ids, 9)) as writer:
        writer.write(ids, vectors_of(0, 40), [(8, 6)] * 40, [9] * 40)
    with files_of_at_most(4096), pytest.raises(OSError, match=r"-whole\.h5") as raised:
        maker.finish({})
    assert raised.value.errno == errno.EFBIG
    maker.finish({})
    np.testing.assert_array_equal(open_features(folder.path).read(), vectors_of(0, 40))
