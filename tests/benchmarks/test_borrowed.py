"""A class without a positive to validate on has no C of its own, and the record says so."""

import numpy as np

from vggfeat.benchmarks import split_results
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.probes.registry import load_probe

CLASSES = ("ant", "bee", "cat")


def test_a_borrowed_c_is_named():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((90, 3)) < 0.4, 1, -1).astype(np.int8)
    split = Split(train=np.arange(40), validation=np.arange(40, 60), test=np.arange(60, 90))
    labels[split.validation, 1] = -1  # no bee to validate on
    vectors = rng.normal(size=(90, 8)) + labels @ rng.normal(size=(3, 8))
    probe = load_probe(solver="liblinear")
    result, _ = MultiLabel(metric="map_area").fit_and_score(
        vectors, labels, split, classes=CLASSES, unread=labels[:0], probe=probe
    )
    assert list(result.borrowed) == ["bee"]
    best_in_the_mean = max(result.validation_scores, key=result.validation_scores.get)
    assert result.chosen["bee"] == best_in_the_mean
    (remark,) = split_results.remarks([result], probe)
    assert remark == (
        "without a positive to validate on, so the C that is best in the mean of the others: bee"
    )
