"""The benchmark of SVMs from disk, on little: that both sides fit the same problems."""

import numpy as np
import pytest

from vggfeat.benchmarks.speed import record, streamed_svm
from vggfeat.benchmarks.speed.measuring import Setup

CASE = streamed_svm.Case(num_pictures=1500, dim=40, num_classes=3, grid=(0.1, 1.0), share=10)


@pytest.mark.slow
def test_both_sides_reach_the_same_minima_and_nothing_stays_of_the_vectors(tmp_path):
    result = streamed_svm.measure(Setup(tmp_path, repeats=1), case=CASE)
    rows = {(row.contender, row.quantity): row for row in result.rows}
    disk = "vggfeat, from disk"
    assert rows[disk, "objective over that in memory, relative, largest"].reached == "yes"
    assert rows[disk, "decisions equal to those in memory"].reached == "yes"
    assert rows[disk, "passes over the vectors"].value.median > 2
    for name in (disk, "vggfeat, from disk, cold cache"):
        assert rows[name, "fits/s"].ratio.median > 0
    assert rows[disk, "peak memory, of its budget"].value.median > 0
    assert [path.name for path in tmp_path.iterdir()] == ["signs.npy"]
    new = record.new_record(
        "streamed-svm", result, Setup(tmp_path), command="", git=None, seconds=1
    )
    assert record.read(record.write(new, tmp_path / "out")).rows == result.rows


def test_generated_vectors_are_of_length_one_and_of_all_classes():
    blocks = list(streamed_svm.generated(CASE))
    X, classes = (np.concatenate(each) for each in zip(*blocks, strict=True))
    assert X.shape == (1500, 40) and set(classes) == {0, 1, 2} and (X >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-5)
