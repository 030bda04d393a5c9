"""Tasks on small vectors, against metrics worked out by other means."""

import numpy as np
import pytest
from helpers.probes import problem, signs_of
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.errors import DatasetError, OptionError
from vggfeat.probes.registry import load_probe

NEWTON = load_probe()
CLASSES = ("cat", "dog", "owl")
SPLIT = Split(train=np.arange(60), validation=np.arange(60, 90), test=np.arange(90, 150))


def evaluate(task, X, labels, split=SPLIT, unread=None):
    unread = np.empty((0, labels.shape[1]), labels.dtype) if unread is None else unread
    classes = CLASSES[: labels.shape[1]]
    result, _ = task.fit_and_score(X, labels, split, classes=classes, unread=unread, probe=NEWTON)
    return result


def test_single_labels_are_scored_by_mean_class_recall():
    X, y = problem(n=150)
    result = evaluate(SingleLabel(), X, signs_of(y))
    predicted = result.scores.argmax(axis=1)
    assert np.nanmean(result.metrics["mean_class_recall"]) == pytest.approx(
        balanced_accuracy_score(y[90:], predicted)
    )
    assert result.metrics["accuracy"] == (predicted == y[90:]).mean()
    assert (result.num_train, result.num_test) == (90, 60) and result.chosen in NEWTON.grid


def test_the_metric_of_the_headline_chooses_the_hyperparameter():
    X, y = problem(n=150)
    y[:90][np.arange(90) % 4 > 0] = 0  # more of one class, so that the two differ
    C = NEWTON.grid[0]
    fitted = NEWTON.fits(X[:60], signs_of(y[:60]), exclusive=True).fit(C)
    predicted = fitted.decisions(X[60:90]).argmax(axis=1)
    expected = {
        "mean_class_recall": balanced_accuracy_score(y[60:90], predicted),
        "accuracy": (predicted == y[60:90]).mean(),
    }
    assert expected["accuracy"] != pytest.approx(expected["mean_class_recall"], abs=0.01)
    for metric, value in expected.items():
        task = SingleLabel(metric=metric)
        assert evaluate(task, X, signs_of(y)).validation_scores[C] == pytest.approx(value)
        rule = f"best {metric.replace('_', ' ')} on the validation part"
        assert task.settings(NEWTON)["c_rule"].startswith(rule)


def test_a_metric_that_is_none_of_the_task_is_an_error():
    with pytest.raises(OptionError, match="metric must be mean_class_recall or accuracy; got 'f1'"):
        SingleLabel(metric="f1")


def test_multiple_labels_are_scored_by_average_precision():
    X, y = problem(n=150)
    labels = signs_of(y)
    result = evaluate(MultiLabel(metric="map_step"), X, labels)
    for k in range(3):
        expected = average_precision_score(labels[90:, k] > 0, result.scores[:, k])
        assert result.metrics["map_step"][k] == pytest.approx(expected)
    assert list(result.chosen) == list(CLASSES)


@pytest.mark.parametrize("task", [SingleLabel(), MultiLabel(metric="map_area")])
def test_every_test_example_has_a_score_of_every_class(task):
    X, y = problem(n=150)
    result = evaluate(task, X, signs_of(y))
    assert result.scores.shape == (60, 3) and result.scores.dtype == np.float32
    assert np.isfinite(result.scores).all()


def test_a_class_that_cannot_be_trained_has_no_number_and_scores_of_nan():
    X, y = problem(n=150)
    labels = signs_of(y)
    labels[SPLIT.both, 1] = -1
    result = evaluate(MultiLabel(metric="map_area"), X, labels)
    assert np.isnan(result.scores[:, 1]).all() and not np.isnan(result.scores[:, [0, 2]]).any()
    assert result.left_out == {"dog": "positive and negative pictures are needed to train on"}


def test_unread_examples_rank_last_among_multiple_labels_and_do_not_count_among_single_ones():
    X, y = problem(n=150)
    labels, task = signs_of(y), MultiLabel(metric="map_area")
    whole, unread = evaluate(task, X, labels), labels[90:100]
    rest = Split(train=SPLIT.train, validation=SPLIT.validation, test=np.arange(100, 150))
    result = evaluate(task, X, labels, rest, unread)
    assert result.num_test == whole.num_test == 60
    assert (result.metrics["map_area"] < whole.metrics["map_area"]).all()
    assert evaluate(SingleLabel(), X, labels, rest, unread).num_test == 50


def test_two_classes_are_decided_by_the_larger_score():
    X, y = problem(n=150, K=2)
    result = evaluate(SingleLabel(), X, signs_of(y, K=2))
    np.testing.assert_allclose(result.scores[:, 0], -result.scores[:, 1], atol=1e-4)
    assert result.metrics["accuracy"] == ((result.scores[:, 1] > 0) == y[90:]).mean()


def test_a_class_whose_only_training_example_validates_does_not_decide_the_choice():
    """It has no decision values while the hyper-parameter is chosen, and is predicted nowhere."""
    X, y = problem(n=150)
    y[:90] = np.where(y[:90] == 2, 0, y[:90])
    y[60] = 2
    split = Split(train=np.arange(61), validation=SPLIT.validation, test=SPLIT.test)
    fitted = SingleLabel().fit(X, signs_of(y), split, classes=CLASSES, probe=NEWTON)
    assert max(fitted.validation_scores.values()) > 1 / 3


def test_a_task_states_its_choice_in_the_record_and_its_key():
    assert "difficult_in_training" not in SingleLabel().settings(NEWTON)
    ignored, negative = (
        MultiLabel(metric="map_area", difficult=rule).settings(NEWTON)
        for rule in ("ignore", "negative")
    )
    assert ignored["c_rule"].startswith("for each class the best average precision")
    assert ignored != negative and negative["difficult_in_training"] == "negative"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"metric": "map"}, "metric must be one of map_11pt, map_area, map_step; got 'map'"),
        ({"metric": "map_area", "difficult": "skip"}, "difficult must be one of ignore, negative"),
    ],
)
def test_an_unknown_rule_is_an_error(options, message):
    with pytest.raises(OptionError, match=message):
        MultiLabel(**options)


@pytest.mark.parametrize("row", [5, 120])  # one that trains, one that is tested
@pytest.mark.parametrize("task", [SingleLabel(), MultiLabel(metric="map_area")])
def test_vectors_that_are_not_finite_are_an_error(task, row):
    X, y = problem(n=150)
    X[row, 3] = np.nan
    with pytest.raises(DatasetError, match="a vector holds NaN"):
        evaluate(task, X, signs_of(y))
