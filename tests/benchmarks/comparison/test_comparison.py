"""Two records on the same test pictures: difference, tests, classes, pictures, the verdict."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.records import PAPER_PROTOCOL
from helpers.scored import CLASSES, of_classes, write_scored
from scipy.stats import binomtest

import vggfeat
from vggfeat.errors import RecordError
from vggfeat.records.record import read, write


def one_hot(predicted) -> np.ndarray:
    """Scores [n, 3] whose highest is that of these classes."""
    return (np.asarray(predicted)[:, None] == np.arange(3)) + np.array([0.1, 0, 0])


def two_nets(num_pictures=300, right=(0.9, 0.7), seed=0):
    """Labels of so many pictures, and the predictions of two nets."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, num_pictures)
    predictions = [
        np.where(rng.random(num_pictures) < share, truth, (truth + 1) % 3) for share in right
    ]
    return truth, predictions


@pytest.fixture
def pair(tmp_path):
    """A function: the paths of two records of these predictions."""

    def pair(truth, predictions, **changes):
        return [
            write_scored(tmp_path, of_classes(truth), one_hot(predicted), net=net, **changes)
            for net, predicted in zip(("vgg16", "vgg19"), predictions, strict=True)
        ]

    return pair


def test_in_two_lines_of_python(pair):
    truth, predictions = two_nets()
    comparison = vggfeat.compare(*pair(truth, predictions))
    a, b = (np.mean([(p == truth)[truth == k].mean() for k in range(3)]) for p in predictions)
    assert comparison.difference == pytest.approx(100 * (a - b))
    low, high = comparison.interval
    assert 0 < low < comparison.difference < high and comparison.better is comparison.a
    assert str(comparison) == (
        f"vgg16 is better by {comparison.difference:.1f} points ({low:.1f} to {high:.1f})."
    )


def test_the_other_way_round_is_the_same_with_the_other_sign(pair):
    paths = pair(*two_nets())
    there, back = vggfeat.compare(*paths), vggfeat.compare(*paths[::-1])
    assert back.difference == -there.difference
    assert back.interval == pytest.approx(there.interval.scaled(-1))
    assert str(back) == str(there)


def test_no_difference_is_said_with_the_number_of_pictures(pair):
    comparison = vggfeat.compare(*pair(*two_nets(right=(0.8, 0.8))))
    assert comparison.better is None
    assert str(comparison).startswith("No difference can be seen with these 300 pictures (-")


def test_equal_predictions_are_no_difference(pair):
    truth, (a, _) = two_nets()
    comparison = vggfeat.compare(*pair(truth, (a, a)))
    assert (comparison.interval, comparison.p) == ((0, 0), 1)
    assert comparison.mcnemar == (1, (1,)) and comparison.changed_classes() == []


@pytest.mark.parametrize("num", [1, 5, 6])
def test_pictures_that_could_all_fall_to_one_side_by_chance_decide_nothing(pair, num):
    """Each draw has such pictures, so that the interval excludes 0; McNemar's p is 2 * 0.5**num."""
    truth = np.array([0, 1, 2] * 2)[:num]
    comparison = vggfeat.compare(*pair(truth, [truth, (truth + 1) % 3]))
    assert comparison.interval == (100, 100) and comparison.p < 0.001
    assert comparison.mcnemar[0] == pytest.approx(min(1, 2 * 0.5**num))
    assert (comparison.better is comparison.a) == (comparison.mcnemar[0] < 0.05) == (num == 6)
    if num == 5:
        assert str(comparison) == (
            "No difference can be seen with these 5 pictures: one alone is right on 5, and 6 are"
            " needed."
        )


def test_of_errors_the_lower_is_better(pair):
    """Where all classes are predicted alike an error is 1 minus accuracy."""
    truth, predictions = two_nets()
    comparison = vggfeat.compare(*pair(truth, predictions, metric="top1_error"))
    assert comparison.difference < 0 and comparison.better is comparison.a
    assert str(comparison).startswith("vgg16 is better by ")


def test_mcnemar_counts_the_pictures_that_one_alone_got_right(pair):
    truth, (a, b) = two_nets(60, right=(0.8, 0.7))
    comparison = vggfeat.compare(*pair(truth, (a, b)))
    only_a, only_b = ((x == truth) & (y != truth) for x, y in ((a, b), (b, a)))
    assert comparison.right_alone == [(only_a.sum(), only_b.sum())]
    expected = binomtest(int(only_a.sum()), int(only_a.sum() + only_b.sum())).pvalue
    assert comparison.mcnemar == (pytest.approx(expected), (pytest.approx(expected),))
    np.testing.assert_array_equal(comparison.disagreements, np.flatnonzero(a != b))


def test_a_small_gain_on_every_split_is_seen_where_the_spreads_overlap(pair):
    """As on Caltech-101, where splits differ by more than nets do."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 900)
    splits = np.repeat([0, 1, 2], 300)
    right = rng.random(900) < np.array([0.72, 0.84, 0.94])[splits]
    a = np.where(right, truth, (truth + 1) % 3)
    lost = rng.choice(np.flatnonzero(right), 25, replace=False)
    b = a.copy()
    b[lost] = (truth[lost] + 1) % 3
    comparison = vggfeat.compare(*pair(truth, (a, b), splits=splits))
    spread_a, spread_b = (np.std(m.per_split, ddof=1) for m in (comparison.a, comparison.b))
    assert comparison.difference < min(spread_a, spread_b)  # one table says nothing
    assert min(comparison.per_split) > 0 and comparison.better is comparison.a
    p, of_splits = comparison.mcnemar
    assert p == pytest.approx(2 * np.median(of_splits))
    assert comparison.with_other_training.low < comparison.difference
    few = PAPER_PROTOCOL | {"shots": 1}  # n_test / n_train would be about 100
    assert (
        vggfeat.compare(*pair(truth, (a, b), splits=splits, protocol=few)).with_other_training
        is None
    )


def test_splits_that_share_pictures_are_drawn_together(pair):
    """The same pictures in three splits say no more than in one."""
    truth, (a, b) = two_nets(100, right=(0.8, 0.75))
    once = vggfeat.compare(*pair(truth, (a, b)))
    thrice = vggfeat.compare(
        *pair(
            np.tile(truth, 3), (np.tile(a, 3), np.tile(b, 3)), splits=np.repeat([0, 1, 2], 100),
            ids=[f"{n:04d}.jpg" for n in range(100)] * 3,
        )
    )  # fmt: skip
    assert thrice.interval == pytest.approx(once.interval) and thrice.pictures.num_pictures == 100
    assert thrice.with_other_training is None  # the splits were not drawn


def test_several_labels_a_picture(tmp_path):
    rng = np.random.default_rng(4)
    labels = rng.choice([1, -1, -1, 0], (120, 3))
    scores = [gain * (labels > 0) + rng.normal(size=labels.shape) for gain in (3, 1)]
    paths = [
        write_scored(tmp_path, labels, s, net=net, metric="map_area", benchmark="voc2007")
        for net, s in zip(("vgg16", "vgg19"), scores, strict=True)
    ]
    comparison = vggfeat.compare(*paths)
    assert comparison.better is comparison.a and comparison.mcnemar is None
    assert comparison.with_other_training is None  # the split is fixed
    rows = np.arange(120)
    right = [labels[rows, s.argmax(axis=1)] == 1 for s in scores]
    assert comparison.right_alone == [((right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum())]


def test_the_classes_that_changed_most(pair):
    truth = np.repeat([0, 1, 2], 100)
    a, b = truth.copy(), truth.copy()
    a[:20] = 1  # A loses ants
    b[100:140] = 2  # B loses bees
    changes = vggfeat.compare(*pair(truth, (a, b))).changed_classes()
    assert changes == [("bee", 100, pytest.approx(60)), ("ant", pytest.approx(80), 100)]
    assert CLASSES[2] == "cat"  # equal in both


def test_pictures_that_one_could_not_read_are_left_out_on_both_sides(tmp_path):
    truth, predictions = two_nets(100)
    labels, (a, b) = of_classes(truth), map(one_hot, predictions)
    unread = a.copy()
    unread[:7] = -np.inf
    paths = [write_scored(tmp_path, labels, s, net=n) for n, s in (("x", unread), ("y", b))]
    comparison = vggfeat.compare(*paths)
    assert (comparison.pictures.num_pictures, comparison.pictures.num_left_out) == (93, 7)
    on_common = [
        write_scored(tmp_path, labels[7:], s[7:], net=n, ids=comparison.pictures.ids)
        for n, s in (("v", a), ("w", b))
    ]
    assert comparison.difference == vggfeat.compare(*on_common).difference


def test_pictures_that_are_missing_from_the_scores_must_have_been_skipped(tmp_path):
    truth, predictions = two_nets(50)
    ids = [f"{n}.jpg" for n in range(50)]
    a, b = (one_hot(p) for p in predictions)
    whole = write_scored(tmp_path, of_classes(truth), a, net="a", ids=ids)
    facts = {"net": "b", "ids": ids[2:]}
    without_two = write_scored(
        tmp_path, of_classes(truth[2:]), b[2:], skipped={"0.jpg": "broken", "1.jpg": "broken"},
        **facts,
    )  # fmt: skip
    assert vggfeat.compare(whole, without_two).pictures.num_left_out == 2
    other = write_scored(tmp_path, of_classes(truth[2:]), b[2:], **facts)
    with pytest.raises(RecordError, match="tested on other pictures: 2, such as 0.jpg"):
        vggfeat.compare(whole, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"benchmark": "caltech256"}, "other benchmarks, caltech101 and caltech256"),
        ({"splits_sha256": "cd" * 32}, "other splits or test pictures, abababababab and cdcdcdcd"),
        ({"metric": "top1_error"}, "other headlines, mean_class_recall and top1_error"),
        ({"limited": True}, r"other numbers of pictures \(--limit\)"),
        ({"classes": ("ant", "bee", "dog")}, "other classes"),
    ],
)
def test_what_is_not_the_same_question_is_refused(tmp_path, change, message):
    truth, predictions = two_nets(50)
    a = write_scored(tmp_path, of_classes(truth), one_hot(predictions[0]))
    b = write_scored(tmp_path, of_classes(truth), one_hot(predictions[1]), **change)
    with pytest.raises(RecordError, match=f"have {message}.*: not comparable"):
        vggfeat.compare(a, b)


def test_other_labels_of_the_same_pictures_are_refused(tmp_path):
    truth, predictions = two_nets(50)
    a = write_scored(tmp_path, of_classes(truth), one_hot(predictions[0]))
    b = write_scored(tmp_path, of_classes((truth + 1) % 3), one_hot(predictions[1]))
    with pytest.raises(RecordError, match="the labels of the test pictures differ"):
        vggfeat.compare(a, b)


def test_a_class_that_one_could_not_train_is_refused(tmp_path):
    truth, predictions = two_nets(50)
    a, b = (one_hot(p) for p in predictions)
    b[:, 2] = np.nan
    paths = [write_scored(tmp_path, of_classes(truth), s, metric="map_area") for s in (a, b)]
    with pytest.raises(RecordError, match="class cat was trained in one of them only"):
        vggfeat.compare(*paths)


def test_a_record_without_scores_is_refused(pair, tmp_path):
    a, b = pair(*two_nets(50))
    older = write(replace(read(b), scores_sha256=None, key="f" * 16), tmp_path)
    with pytest.raises(RecordError, match="the record has no scores: .* measure again"):
        vggfeat.compare(a, older)


def test_scores_of_another_record_are_refused(pair):
    a, b = pair(*two_nets(50))
    b.with_suffix(".scores.h5").write_bytes(a.with_suffix(".scores.h5").read_bytes())
    with pytest.raises(RecordError, match="not the scores of its record"):
        vggfeat.compare(a, b)


def test_a_number_that_does_not_follow_from_the_scores_is_refused(pair, tmp_path):
    a, b = pair(*two_nets(50))
    wrong = {"mean_class_recall": {"value": 0.5, "spread": None}}
    with pytest.raises(RecordError, match="mean_class_recall is 0.500000, and 0.[0-9]+ follows"):
        vggfeat.compare(a, write(replace(read(b), metrics=wrong), tmp_path))


def test_a_record_is_not_compared_with_itself(pair):
    a, _ = pair(*two_nets(50))
    with pytest.raises(RecordError, match="not compared with itself"):
        vggfeat.compare(a, a)
