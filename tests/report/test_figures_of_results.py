"""Figures of records and scores: the numbers drawn are those of the record, and of scikit-learn."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.records import make_record, transfer_net
from helpers.scored import CLASSES, of_classes, write_scored
from matplotlib.figure import Figure as Canvas
from scipy.integrate import trapezoid
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve

from vggfeat.errors import RecordError
from vggfeat.records.record import read
from vggfeat.report import shots as shots_table
from vggfeat.report.figures import (
    choice,
    confusion,
    forest,
    measured_published,
    per_class,
    precision_recall,
    scales,
    shots,
    style,
    times,
)
from vggfeat.report.figures.all_figures import all_figures
from vggfeat.report.results import Result, Results

rng = np.random.default_rng(0)


def results(*records):
    return Results(
        transfer=tuple(
            Result(label=r.net, record=r, path=Path(f"{number}.json"))
            for number, r in enumerate(records)
        )
    )


def scored(path):
    return Results(transfer=(Result(label="vgg16", record=read(path), path=path),))


def test_nothing_is_drawn_of_nothing():
    assert list(all_figures(Results())) == []


def test_bars_are_the_values_of_the_record_the_worst_class_first():
    values = {"ant": 0.9, "bee": 0.25, "cat": None, "<b>dog": 0.5}
    metric = {"value": 0.55, "spread": None, "per_class": values}
    (figure,) = per_class.figures(results(make_record(metrics={"mean_class_recall": metric})))
    assert [list(map(str, row)) for row in figure.table.rows] == [
        ["bee", "25.0"], ["<b>dog", "50.0"], ["ant", "90.0"],
    ]  # fmt: skip
    assert "55.0 %" in figure.caption
    assert "&lt;b&gt;dog" in style.as_svg(figure)


def test_where_accuracy_is_the_headline_the_bars_are_recalls():
    recalls = {"value": 0.5, "spread": None, "per_class": {"ant": 0.8, "bee": 0.2}}
    metrics = {"mean_class_recall": recalls, "accuracy": {"value": 0.7, "spread": None}}
    (figure,) = per_class.figures(results(make_record(metric="accuracy", metrics=metrics)))
    assert [list(map(str, row)) for row in figure.table.rows] == [["bee", "20.0"], ["ant", "80.0"]]
    assert "The recall of each class" in figure.caption
    assert "50.0 % (accuracy of all pictures: 70.0 %)" in figure.caption


def test_nets_of_one_name_keep_their_values_apart():
    def of(weights, ant, bee):
        metric = {"value": (ant + bee) / 2, "spread": None, "per_class": {"ant": ant, "bee": bee}}
        nets = [transfer_net(weights=weights)]
        return make_record(nets=nets, metrics={"mean_class_recall": metric})

    (figure,) = per_class.figures(
        results(of("b.safetensors", 0.2, 0.1), of("a.safetensors", 0.9, 0.8))
    )
    assert figure.table.columns[1:] == (
        "vgg16@a.safetensors: recall (%)", "vgg16@b.safetensors: recall (%)",
    )  # fmt: skip
    canvas = Canvas()
    figure.draw(canvas)
    (axes,) = canvas.axes
    assert [bar.get_width() for bar in axes.patches] == [80, 90]
    (marks,) = [line for line in axes.lines if line.get_marker() == "s"]
    assert list(marks.get_xdata()) == [10, 20]


def test_errors_of_classes_are_sorted_the_other_way_and_ids_become_words():
    of_class = {"n01440764": 0.1, "n01443537": 0.8, "my class": 0.3}
    errors = {"top1_error": {"value": 0.5, "spread": None, "per_class": of_class}}
    record = make_record(
        benchmark="ilsvrc_classification", metric="top1_error", metrics=errors, n_test=[9]
    )
    on_ilsvrc = results(record).transfer
    (figure,) = per_class.figures(Results(ilsvrc=on_ilsvrc))
    assert [str(row[0]) for row in figure.table.rows] == ["goldfish", "my class", "tench"]
    assert "40.0 % (top-1 error of all pictures: 50.0 %)" in figure.caption


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (per_class, {"metrics": {"mean_class_recall": {"value": 0.5, "per_class": {"a": "b"}}}}),
        (choice, {"probe": {"c_grid": ["?"], "c": [1.0], "validation": [{"1": 0.2}]}}),
    ],
)
def test_a_malformed_record_is_named(kind, changes):
    with pytest.raises(RecordError, match=r"^0.json: the record's values .* are malformed"):
        list(kind.figures(results(make_record(**changes))))


def test_of_many_classes_the_ends_are_named_and_the_table_has_all():
    values = {f"class {k:03d}": k / 256 for k in range(257)}
    metric = {"value": 0.5, "spread": None, "per_class": values}
    (figure,) = per_class.figures(results(make_record(metrics={"mean_class_recall": metric})))
    text = style.as_svg(figure)
    assert len(figure.table.rows) == 257 and len(text) < 40_000
    assert ">class 000<" in text and ">class 256<" in text and ">class 128<" not in text


@pytest.fixture
def multi_label(tmp_path):
    """Labels with difficult ones, in which scores are all different."""
    labels = rng.choice([1, 0, -1], size=(60, 3), p=[0.3, 0.1, 0.6])
    values = (rng.permutation(180).reshape(60, 3) + 40.3 * labels).astype(np.float32)
    path = write_scored(tmp_path, labels, values, metric="map_area", benchmark="voc2012")
    return path, labels, values


def test_precision_and_recall_are_those_of_scikit_learn(multi_label):
    path, labels, values = multi_label
    (result,) = scored(path).transfer
    curves = precision_recall.curves_of(result.scores(), "map_step")
    for k, curve in enumerate(curves):
        counts = labels[:, k] != 0
        truth, of_class = labels[counts, k] > 0, values[counts, k]
        precision, recall, _ = precision_recall_curve(truth, of_class)
        expected = np.c_[precision, recall][-2::-1]  # without its last point, which is (1, 0)
        ours = np.c_[curve.precision, curve.recall]
        np.testing.assert_allclose(ours, expected[: len(ours)])
        assert ours[-1, 1] == 1 and curve.num_positives == truth.sum()
        assert curve.ap == pytest.approx(average_precision_score(truth, of_class))


def test_the_mean_of_the_curves_is_the_number_of_the_record(multi_label):
    path, *_ = multi_label
    (figure,) = precision_recall.figures(scored(path))
    value = 100 * read(path).metrics["map_area"]["value"]
    assert f"mean {value:.1f} %" in figure.caption
    aps = [row[2].values[0] for row in figure.table.rows]
    assert np.mean(aps) == pytest.approx(value, abs=1e-3)
    assert aps == sorted(aps, reverse=True)


def test_the_area_below_the_drawn_outline_is_the_average_precision(multi_label):
    path, *_ = multi_label
    (result,) = scored(path).transfer
    for curve in precision_recall.curves_of(result.scores(), "map_area"):
        recall, precision = precision_recall._outline(curve)
        assert trapezoid(precision, recall) == pytest.approx(curve.ap)


def test_a_class_without_scores_or_positives_has_no_curve(tmp_path):
    labels = np.array([[1, -1, 1], [-1, -1, -1]])
    values = np.array([[1, 2, np.nan], [0, 1, np.nan]], dtype=np.float32)
    path = write_scored(tmp_path, labels, values, metric="map_area",
                        metrics={"map_area": {"value": 1.0, "spread": None}})  # fmt: skip
    (result,) = scored(path).transfer
    assert [c.name for c in precision_recall.curves_of(result.scores(), "map_area")] == ["ant"]


def test_confusions_are_those_of_scikit_learn_over_all_splits(tmp_path):
    truth = rng.integers(3, size=90)
    values = rng.normal(size=(90, 3)).astype(np.float32)
    path = write_scored(tmp_path, of_classes(truth), values, splits=np.repeat([0, 1, 2], 30))
    (result,) = scored(path).transfer
    counts = confusion.counts_of(result.scores())
    np.testing.assert_array_equal(counts, confusion_matrix(truth, values.argmax(axis=1)))
    (figure,) = confusion.figures(scored(path))
    assert f"{np.trace(counts)} lie on the diagonal" in figure.caption
    for row in figure.table.rows:
        true, predicted = (CLASSES.index(str(cell)) for cell in row[:2])
        assert row[2].values[0] == counts[true, predicted]
        assert row[4].values[0] == pytest.approx(100 * counts[true, predicted] / counts[true].sum())


def test_pictures_that_could_not_be_read_and_untrained_classes_confuse_nothing(tmp_path):
    values = np.array([[np.nan, 2, 1], [-np.inf] * 3, [np.nan, 1, 2]], dtype=np.float32)
    path = write_scored(tmp_path, of_classes([1, 0, 1]), values,
                        metrics={"mean_class_recall": {"value": 1.0, "spread": None}})  # fmt: skip
    (result,) = scored(path).transfer
    np.testing.assert_array_equal(
        confusion.counts_of(result.scores()), [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
    )


def test_the_largest_confusions_are_by_share_and_never_of_a_single_picture():
    counts = np.array([[8, 2, 0], [30, 60, 10], [1, 0, 1]])
    assert confusion.largest(counts, 2) == [(1, 0), (0, 1)]
    assert (2, 0) not in confusion.largest(counts, 9)


def test_names_beside_a_large_matrix_keep_their_distance_and_stay_within():
    places = confusion._apart([0, 1, 2, 250, 255, 256], gap=10, highest=256)
    assert np.diff(places).min() >= 10 and places[-1] <= 256
    assert confusion._apart([0, 100, 200], gap=10, highest=256) == [0, 100, 200]


def protocol(**changes):
    return make_record().protocol | changes


def record_of(value, **changes):
    metric = {"mean_class_recall": {"value": value, "spread": 0.01}}
    return make_record(metrics=metric, **changes)


def test_scales_are_compared_where_nothing_else_differs():
    single = {"aggregate": "stack"}
    (figure,) = scales.figures(
        results(
            record_of(0.8, protocol=protocol(scales=[256], **single)),
            record_of(0.7, protocol=protocol(scales=[384], **single)),
            record_of(0.9, protocol=protocol(scales=[256, 384], aggregate="average")),
            record_of(0.85, protocol=protocol(scales=[256, 384], aggregate="stack")),
            record_of(0.1, protocol=protocol(scales=[512], mirror=False)),
        )
    )
    assert figure.table.columns == (
        "curve", "256", "384", "256 + 384, average", "256 + 384, stack",
    )  # fmt: skip
    (row,) = figure.table.rows
    assert list(map(str, row)) == ["vgg16", "80.0 ± 1.0", "70.0 ± 1.0", "90.0 ± 1.0", "85.0 ± 1.0"]
    assert list(scales.figures(results(record_of(0.8)))) == []


def test_the_choice_shows_means_over_splits_of_values_that_all_tried():
    probe = {
        "c_grid": [0.1, 1.0, 10.0],
        "c": [1.0, 1.0, 0.1],
        "validation": [{"0.1": 0.2, "1": 0.5}, {"0.1": 0.4, "1": 0.6, "10": 0.3},
                       {"0.1": 0.6, "1": 0.1}],
    }  # fmt: skip
    (figure,) = choice.figures(results(make_record(probe=probe)))
    assert [list(map(str, row[1:])) for row in figure.table.rows] == [
        ["0.1", "40.0", "1"], ["1", "40.0", "2"], ["10", "", "0"],
    ]  # fmt: skip
    assert "not tried in every split, as the score no longer rose" in figure.caption
    old = {"c_grid": [1.0], "c": [1.0]}
    assert list(choice.figures(results(make_record(probe=old)))) == []


def test_the_choice_of_each_class_is_counted_by_classes():
    probe = {"k_grid": [1, 3], "k": [{"ant": 1, "bee": 3, "cat": 3}],
             "validation": [{"1": 0.2, "3": 0.5}]}  # fmt: skip
    (figure,) = choice.figures(results(make_record(probe=probe)))
    assert [str(row[3]) for row in figure.table.rows] == ["1", "2"]
    assert "classes" in figure.caption


def test_the_figure_of_shots_draws_the_table_of_shots():
    records = [
        record_of(0.1 * n, protocol=protocol(shots=n), key=f"{n:016x}") for n in (1, 2, 4)
    ] + [record_of(0.9)]
    (figure,) = shots.figures(results(*records))
    assert figure.table == shots_table.tables(records)[0]
    assert figure.table.columns[-4:] == ("1", "2", "4", "all")


def test_methods_that_are_left_out_are_counted():
    nets = [make_record(nets=[transfer_net(weights=f"{n}.safetensors")]) for n in range(13)]
    (all_of_them,) = measured_published.figures(results(*nets[:12]))
    (cut,) = measured_published.figures(results(*nets))
    assert "12 best of" not in all_of_them.caption and "The 12 best of 13 methods." in cut.caption


def test_published_numbers_stand_beside_the_best_of_each_method():
    worse = make_record(metrics={"mean_class_recall": {"value": 0.5, "spread": None}})
    (figure,) = measured_published.figures(results(worse, make_record()))
    of_kind = {}
    for name, kind, value in figure.table.rows:
        of_kind.setdefault(str(kind), []).append((str(name), str(value)))
    assert of_kind["measured"] == [("vgg16", "91.8 ± 1.1")]
    assert ("Published, 16 layers", "91.8 ± 1.0") in of_kind["published"]


def test_stages_that_follow_each_other_add_up_and_parts_of_them_are_left_out():
    seconds = {"extract": 10.0, "decode": 99.0, "choose_C": 3.0, "fit": 1.0, "score": 0.5}
    (figure,) = times.figures(results(make_record(seconds=seconds)))
    assert list(map(str, figure.table.rows[0][1:])) == ["10.00", "3.00", "1.00", "0.50", "14.50"]


def test_a_difference_is_certain_where_its_interval_excludes_0():
    certain = forest.Difference(a="A", b="B", value=1.9, low=0.4, high=3.4)
    open_ = forest.Difference(a="A", b="<C>", value=-0.2, low=-1.4, high=1.1)
    assert certain.is_certain and not open_.is_certain
    figure = forest.forest([certain, open_], name="voc 2007", title="Pairs", metric="mAP")
    assert figure.name == "paired-voc-2007"
    text = style.as_svg(figure)
    assert "+1.9 (+0.4 to +3.4)" in text and "&lt;C&gt;" in text
    with pytest.raises(ValueError, match="at least one"):
        forest.forest([], name="none", title="", metric="mAP")


def test_figures_have_names_of_their_own_that_are_names_of_files():
    records = [
        make_record(nets=[transfer_net(f"vgg16:width=0.{n}")], seconds={"fit": 1.0},
                    benchmark=benchmark, key=f"{n:016x}")
        for n in (1, 2) for benchmark in ("a/../b", "caltech101")
    ]  # fmt: skip
    names = [figure.name for figure in all_figures(results(*records))]
    assert names and len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9-]+([.][0-9][A-Za-z0-9-]*)*", name) for name in names)


@pytest.mark.parametrize("benchmarks", [("猫", "犬"), ("a b", "a_b", "A/B"), ("../x", "..")])
def test_no_figure_takes_the_name_of_another(benchmarks):
    records = [
        make_record(benchmark=benchmark, nets=[transfer_net(net)], seconds={"fit": 1.0})
        for benchmark in benchmarks
        for net in ("vgg16", "vgg19")
    ]
    names = [figure.name for figure in all_figures(results(*records))]
    assert len({name.lower() for name in names}) == len(names) >= len(benchmarks)
    assert all(re.fullmatch("[A-Za-z0-9-]+", name) for name in names)


@pytest.mark.parametrize("metric", ["mean_class_recall", "map_area"])
def test_every_kind_draws_names_in_any_letters(tmp_path, metric):
    classes = ("a\nb\x07\u202e", "</svg><script>鸟", "$\\frac{1}{0}$ %s " + "x" * 300)
    truth = rng.integers(3, size=60)
    probe = {"c_grid": [1.0], "c": [1.0], "validation": [{"1": 0.5}]}
    per_class_values = dict.fromkeys(classes, 0.5)
    metrics = {metric: {"value": 0.5, "spread": 0.1, "per_class": per_class_values}}
    for sizes in ([256], [256, 384]):
        path = write_scored(
            tmp_path, of_classes(truth), rng.normal(size=(60, 3)).astype(np.float32),
            classes=classes, metric=metric, net=classes[2], title=classes[1], probe=probe,
            metrics=metrics, seconds={"fit": 1.0}, protocol=protocol(scales=sizes),
        )  # fmt: skip
    all_results = (
        Result(label=classes[0], record=read(path), path=path)
        for path in sorted(path.parent.glob("*.json"))
    )
    drawn = {
        figure.name.partition("-")[0]: style.as_svg(figure)
        for figure in all_figures(Results(transfer=tuple(all_results)))
    }
    of_scores = "confusion" if metric == "mean_class_recall" else "precision"
    assert {"per", "scales", "choice", "time", of_scores} <= drawn.keys()
    assert not any("<script" in svg for svg in drawn.values())
