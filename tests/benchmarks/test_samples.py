"""The ids of all splits, by one public function."""

import hashlib
import json

import vggfeat
from vggfeat.benchmarks.samples import split_table
from vggfeat.storage.folders import Folders


def test_ids_of_every_split_and_part_have_the_digest_of_the_record(caltech_dir, tmp_path):
    benchmark = vggfeat.load_benchmark("caltech101", places=Folders(caltech_dir, tmp_path))
    splits = vggfeat.sample_ids(benchmark)
    assert len(splits) == 3
    for ids, split in zip(splits, benchmark.splits, strict=True):
        assert ids.test == tuple(benchmark.ids[row] for row in split.test)
        assert (len(ids.train), len(ids.validation)) == (len(split.train), len(split.validation))
        assert not set(ids.test) & (set(ids.train) | set(ids.validation))
    listed = json.dumps([[list(part) for part in ids] for ids in splits])
    assert hashlib.sha256(listed.encode()).hexdigest() == benchmark.splits_sha256


def test_the_table_has_a_line_for_every_id_with_its_classes(caltech_dir, tmp_path):
    benchmark = vggfeat.load_benchmark("caltech101", places=Folders(caltech_dir, tmp_path))
    lines = list(split_table(benchmark))
    ids = [i for split in vggfeat.sample_ids(benchmark) for part in split for i in part]
    assert [line[2] for line in lines] == ids
    assert {line[0] for line in lines} == {0, 1, 2}
    assert {line[1] for line in lines} == {"train", "validation", "test"}
    assert all(line[2].startswith(f"{line[3]}/") for line in lines)  # of class folders
