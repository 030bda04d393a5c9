"""Vectors in a scratch file come back block by block, and nothing stays of the file."""

import numpy as np
import pytest
from helpers.disks import files_of_at_most

from vggfeat.errors import StoreError
from vggfeat.probes.streaming.blocks import ArrayBlocks, Rows
from vggfeat.probes.streaming.vector_file import VectorFile, VectorFileWriter

X = np.random.default_rng(0).random((103, 7), dtype=np.float32)


def written(folder, *, shared=False):
    with VectorFileWriter(folder, X.shape[1]) as writer:
        for start in range(0, len(X), 40):
            writer.append(X[start : start + 40])
        writer.append(X[:0])
        return writer.finish(shared=shared)


def gathered(vectors, rows):
    """The blocks joined, each copied: a buffer is used again."""
    blocks = [(block, part.copy()) for block, part in vectors.blocks(rows)]
    assert all(len(part) <= rows for _, part in blocks)
    np.testing.assert_array_equal(
        np.concatenate([np.r_[block] for block, _ in blocks]), np.arange(vectors.shape[0])
    )
    return np.concatenate([part for _, part in blocks])


@pytest.mark.parametrize("rows", [1, 10, 51, 103, 1000])
def test_blocks_of_any_size_hold_the_rows_in_their_order(tmp_path, rows):
    with written(tmp_path) as vectors:
        assert vectors.shape == X.shape
        for _ in range(2):
            np.testing.assert_array_equal(gathered(vectors, rows), X)


@pytest.mark.parametrize("chosen", [np.arange(103) % 3 == 0, np.array([5, 6, 90]), np.arange(103)])
def test_rows_are_gone_through_alike_in_memory_and_on_disk(tmp_path, chosen):
    with written(tmp_path) as vectors:
        for source in (vectors, ArrayBlocks(X)):
            np.testing.assert_array_equal(gathered(Rows(source, chosen), 10), X[chosen])


def test_rows_out_of_order_are_refused():
    with pytest.raises(ValueError, match="ascend"):
        Rows(ArrayBlocks(X), np.array([3, 2]))


def test_two_can_go_through_at_the_same_time_and_one_may_stop_early(tmp_path):
    with written(tmp_path) as vectors:
        others = Rows(vectors, np.ones(len(X), bool)).blocks(9)
        for (_, one), (_, other) in zip(vectors.blocks(9), others, strict=True):
            np.testing.assert_array_equal(one, other)
        for _ in vectors.blocks(5):
            break
        np.testing.assert_array_equal(gathered(vectors, 20), X)


def test_nothing_stays_in_the_folder(tmp_path):
    vectors = written(tmp_path)
    assert not list(tmp_path.iterdir())  # even if the process is killed now
    vectors.close()
    with pytest.raises(KeyError), VectorFileWriter(tmp_path, 7) as writer:
        writer.append(X)
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_shared_file_is_read_by_others_until_its_name_goes(tmp_path):
    with written(tmp_path, shared=True) as vectors, VectorFile(vectors.path, 7) as other:
        vectors.remove_name()
        np.testing.assert_array_equal(gathered(other, 50), X)
    assert not list(tmp_path.iterdir())


def test_a_file_that_lost_its_end_is_an_error_in_one_line(tmp_path):
    with written(tmp_path, shared=True) as vectors:
        with vectors.path.open("rb+") as file:
            file.truncate(100 * 28)
        with pytest.raises(StoreError, match="shorter than it was"):
            gathered(vectors, 50)
        with vectors.path.open("rb+") as file:
            file.truncate(1000)
        with pytest.raises(StoreError, match="no rows of 28"):
            VectorFile(vectors.path, 7)


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    with (
        files_of_at_most(1000),
        pytest.raises(OSError, match="File too large: '.*float32'"),
        VectorFileWriter(tmp_path, 7) as writer,
    ):
        writer.append(X)
    assert not list(tmp_path.iterdir())


def test_other_shapes_are_refused(tmp_path):
    with VectorFileWriter(tmp_path, 7) as writer, pytest.raises(ValueError, match=r"\[m, 7\]"):
        writer.append(X.T)
