"""Which numbers may be compared, and how the table says so."""

import csv
import io

import pytest
from helpers.records import PAPER_PROTOCOL, make_record

from vggfeat.report.published import read_published
from vggfeat.report.render import render
from vggfeat.report.transfer import compare, numbers, table

# Tables 11 and 12 of the paper, as printed; the stars (other pre-training) are in the names.
TABLE_11 = {
    "Zeiler & Fergus (2013)": {"voc2012": "79.0", "caltech101": "86.5", "caltech256": "74.2"},
    "Chatfield et al. (2014)": {
        "voc2007": "82.4", "voc2012": "83.2", "caltech101": "88.4", "caltech256": "77.6"
    },
    "He et al. (2014)": {"voc2007": "82.4", "caltech101": "93.4"},
    "Wei et al. (2014)": {"voc2007": "81.5", "voc2012": "81.7"},
    "Wei et al. (2014), 2000 classes": {"voc2007": "85.2", "voc2012": "90.3"},
    "Published, 16 layers": {
        "voc2007": "89.3", "voc2012": "89.0", "caltech101": "91.8", "caltech256": "85.0"
    },
    "Published, 19 layers": {
        "voc2007": "89.3", "voc2012": "89.0", "caltech101": "92.3", "caltech256": "85.1"
    },
    "Published, 16 & 19 layers": {
        "voc2007": "89.7", "voc2012": "89.3", "caltech101": "92.7", "caltech256": "86.2"
    },
}  # fmt: skip
TABLE_12 = {
    "Oquab et al. (2014)": {"voc2012_actions_box": "70.2"},
    "Gkioxari et al. (2014)": {"voc2012_actions_box": "73.6"},
    "Hoai (2014)": {"voc2012_actions_box": "76.3"},
    "Published, 16 & 19 layers": {"voc2012_actions": "79.2", "voc2012_actions_box": "84.0"},
}
SPREADS = {"86.5": 0.5, "74.2": 0.3, "88.4": 0.6, "77.6": 0.1, "93.4": 0.5, "91.8": 1.0,
           "85.0": 0.2, "92.3": 0.5, "85.1": 0.3, "92.7": 0.5, "86.2": 0.3}  # fmt: skip


def measured(**changes):
    rows = compare([make_record(**changes)], read_published())
    (row,) = [row for row in rows if row.is_measured]
    return row


def net(name="vgg16", weights="released Caffe model"):
    return {"name": name, "weights": weights, "weights_sha256": "ab"}


@pytest.mark.parametrize("number, printed", [("Table 11", TABLE_11), ("Table 12", TABLE_12)])
def test_the_papers_tables_are_there_to_the_last_digit(number, printed):
    found = {}
    for row in read_published():
        if row.source == f"Simonyan & Zisserman (2014) {number}":
            found.setdefault(row.method, {})[row.benchmark] = str(row.value)
            with_spread = row.metric == "mean_class_recall"
            assert row.spread == (SPREADS[str(row.value)] if with_spread else None)
    assert found == printed


def test_the_best_shallow_row_is_the_best_of_those_with_the_same_pretraining():
    rows = read_published()
    for best in (row for row in rows if row.kind == "best shallow"):
        others = [
            row
            for row in rows
            if row.benchmark == best.benchmark and row.kind == "earlier"
            and "classes of ILSVRC" not in row.notes
        ]  # fmt: skip
        top = max(row.value for row in others)
        assert best.value == top
        for row in others:
            assert (row.method in best.notes) == (row.value == top)


def test_every_published_number_names_its_source_and_rule():
    for row in read_published():
        assert row.source and row.metric
        assert 0 < row.value < 100
        if row.benchmark.startswith("voc") and row.kind != "best shallow":
            by_rule = row.metric == "map_area" and "FAIR" in row.notes
            assert (
                by_rule
                or "AP rule" in row.notes
                or "logistic" in row.notes
                or (row.source.endswith("Table 12"))
            )


def test_the_papers_net_under_the_papers_protocol_may_be_compared():
    row = measured()
    assert row.comparison == "same"
    (told,) = row.reasons
    assert told.startswith("as far as stated: choice of C on 20 %")
    assert row.published == 91.8 and row.difference == pytest.approx(0.02)


def test_two_nets_are_compared_with_the_two_nets_row():
    row = measured(nets=[net("vgg16"), net("vgg19")])
    assert row.published == 92.7 and row.comparison == "same"


@pytest.mark.parametrize(
    "protocol, reason",
    [
        ({"scales": [256]}, "scales 256, published 256 384 512"),
        ({"mirror": False}, "mirror no, published yes"),
        ({"aggregate": "average"}, "aggregate average, published stack"),
        ({"splits": 10}, "splits 10, published 3"),
        ({"images": 6039}, "images 6039, published 9144"),
        ({"test_per_class": 20}, "test per class 20, published 50"),
    ],
)
def test_small_deviations_are_near_and_named(protocol, reason):
    row = measured(protocol=PAPER_PROTOCOL | protocol)
    assert row.comparison == "near" and row.reasons == (reason,)
    assert row.difference is not None


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"limited": True}, "LIMITED to a part of the pictures"),
        ({"nets": [net(weights="random:0")]}, "random weights"),
        ({"protocol": PAPER_PROTOCOL | {"classes": 101}}, "classes 101, published 102"),
        (
            {"protocol": PAPER_PROTOCOL | {"train_per_class": 15}},
            "train per class 15, published 30",
        ),
        (
            {"metric": "accuracy", "metrics": {"accuracy": {"value": 0.9, "spread": None}}},
            "metric accuracy, published mean_class_recall",
        ),
    ],
)
def test_decisive_deviations_are_not_comparable(changes, reason):
    row = measured(**changes)
    assert row.comparison == "not comparable" and row.reasons == (reason,)


def test_the_order_of_the_nets_does_not_matter():
    row = measured(nets=[net("vgg19"), net("vgg16")])
    assert row.published == 92.7 and row.comparison == "same"


def test_pictures_turned_by_exif_are_near():
    features = {"exif": True, "precision": "fp32", "dtype": "float32"}
    row = measured(nets=[net() | {"features": features}])
    assert row.reasons == ("pictures turned by their EXIF orientation",)


def test_another_classifier_is_not_comparable():
    row = measured(protocol=PAPER_PROTOCOL | {"classifier": "logistic regression"})
    assert row.comparison == "not comparable"
    assert row.reasons == ("classifier logistic regression, published linear SVM",)


def test_other_weights_and_skipped_pictures_are_near():
    row = measured(nets=[net(weights="torchvision")], skipped={"a/1.jpg": "broken"})
    assert row.reasons == (
        "weights torchvision, published released Caffe model",
        "skipped pictures: 1",
    )


def test_a_net_without_a_published_number_has_no_difference():
    row = measured(nets=[net("squeezenet1_0", "w.safetensors")])
    assert row.difference is None and row.reasons == ("no published number for this net",)
    assert row.comparison == "same"  # the protocol is


def test_a_changed_net_is_another_net():
    assert measured(nets=[net("vgg16:width=0.5")]).published is None


def test_a_benchmark_without_published_numbers_is_compared_with_nothing():
    row = measured(benchmark="digits", title="Digits")
    assert row.comparison == "" and row.reasons == ("no published number for this benchmark",)


VOC_PROTOCOL = {
    "version": 1, "classes": 20, "trained_on": "trainval", "scored_on": "test", "images": 9963,
    "scales": [256, 384, 512, 640, 768], "aggregate": "average", "mirror": True,
    "classifier": "linear SVM",
}  # fmt: skip
APS = {
    "map_11pt": {"value": 0.85, "spread": None},
    "map_area": {"value": 0.88, "spread": None},
    "map_step": {"value": 0.879, "spread": None},
}


def voc2007(**changes):
    voc = {"benchmark": "voc2007", "title": "VOC-2007", "protocol": VOC_PROTOCOL}
    return measured(**(voc | {"metric": "map_11pt", "metrics": APS} | changes))


def test_a_published_map_is_compared_by_its_own_rule():
    row = voc2007()
    assert row.comparison == "same"
    assert (row.value, row.published, row.difference) == (85.0, 89.3, -4.3)


def test_a_number_by_another_rule_than_the_headline_is_compared_with_that_one_only():
    """The ResNet-50 row of OpenSelfSup goes by area: 88.0 is compared, not 85.0."""
    published = [row for row in read_published() if row.source.startswith("OpenSelf")]
    record = make_record(
        benchmark="voc2007", title="VOC-2007", metric="map_11pt", metrics=APS,
        protocol=VOC_PROTOCOL | {"scales": [224], "mirror": False},
        nets=[net("resnet50", "torchvision")],
    )  # fmt: skip
    (row,) = [row for row in compare([record], published) if row.is_measured]
    assert (row.value, row.published, row.difference) == (85.0, 87.17, 0.83)
    assert "compared in map_area, the rule of the published number" in row.reasons


def test_a_net_with_other_weights_is_not_the_net_of_a_later_row():
    published = [row for row in read_published() if "VICReg" in row.source]
    record = make_record(
        benchmark="voc2007", metric="map_11pt", metrics=APS, protocol=VOC_PROTOCOL,
        nets=[net("resnet50", "mine.safetensors")],
    )  # fmt: skip
    (row,) = compare([record], published)
    assert row.published is None and row.reasons == ("no published number for this benchmark",)


def test_a_number_without_a_rule_is_compared_with_none():
    published = [row for row in read_published() if "VICReg" in row.source]
    record = make_record(
        benchmark="voc2007", metric="map_11pt", metrics=APS, nets=[net("resnet50", "SwAV")],
        protocol=VOC_PROTOCOL,
    )  # fmt: skip
    (row,) = [row for row in compare([record], published) if row.is_measured]
    assert row.published is None and row.difference is None
    assert row.comparison == "not comparable" and "metric map_11pt, published map" in row.reasons


@pytest.mark.parametrize(
    "protocol, reason",
    [
        ({"scored_on": "val"}, "scored on val, published test"),
        ({"trained_on": "train"}, "trained on train, published trainval"),
        ({"classes": 12}, "classes 12, published 20"),
        ({"images": 400}, "images 400, published 9963"),
    ],
)
def test_other_sets_and_left_out_classes_are_not_comparable(protocol, reason):
    row = voc2007(protocol=VOC_PROTOCOL | protocol)
    assert row.comparison == "not comparable" and row.reasons == (reason,)


def test_benchmarks_come_in_the_papers_order_published_rows_first():
    records = [
        make_record(benchmark=name, title=name) for name in ("digits", "caltech256", "voc2012")
    ]
    found = compare(records, read_published())
    assert list(dict.fromkeys(row.benchmark for row in found)) == [
        "voc2012",
        "caltech256",
        "digits",
    ]
    assert [row.is_measured for row in found] == sorted(row.is_measured for row in found)


def rows():
    records = [
        make_record(),
        make_record(
            nets=[net("vgg19", "torchvision")],
            protocol=PAPER_PROTOCOL | {"scales": [256]},
            limited=True,
            metrics={"mean_class_recall": {"value": 0.5, "spread": None}},
        ),
        make_record(benchmark="digits", title="Digits"),
    ]
    return compare(records, read_published())


def test_the_table_for_people():
    assert render(table(rows()), "table") == (
        "method                         Caltech-101, mean class recall (%)"
        "   Digits, mean class recall (%)\n"
        "----------------------------   ----------------------------------"
        "   -----------------------------\n"
        "Best published, shallow nets   93.4 ± 0.5 [1]\n"
        "Published, 16 layers           91.8 ± 1.0\n"
        "Published, 19 layers           92.3 ± 0.5\n"
        "Published, 16 & 19 layers      92.7 ± 0.5\n"
        "vgg16@released Caffe model     91.8 ± 1.1 (+0.0) = [2]           "
        "   91.8 ± 1.1 [3]\n"
        "vgg19@torchvision              50.0 (-42.3) x LIMITED [4]\n"
        "\n"
        "[1] He et al. (2014).\n"
        "[2] same: as far as stated: choice of C on 20 % of the training pictures; grid and solver"
        " not stated.\n"
        "[3] no published number for this benchmark.\n"
        "[4] not comparable: LIMITED to a part of the pictures; scales 256, published"
        " 256 384 512.\n"
        "Marks: = same protocol as published, ~ near, x not comparable.\n"
    )


def test_markdown_has_as_many_cells_in_every_line():
    lines = [line for line in render(table(rows()), "md").splitlines() if line.startswith("|")]
    assert len(lines) == 8 and {line.count("|") for line in lines} == {4}


def test_csv_has_a_line_for_every_number():
    lines = list(csv.DictReader(io.StringIO(render(numbers(rows()), "csv"))))
    assert len(lines) == 7
    assert lines[4]["value"] == "91.82" and lines[4]["comparison"] == "same"
    assert lines[5]["limited"] == "True" and lines[5]["difference"] == "-42.3"


def test_rows_of_one_method_are_told_apart_by_what_differs():
    records = [
        make_record(protocol=PAPER_PROTOCOL | {"scales": scales, "seed": 0})
        for scales in ([256], [384])
    ]
    text = render(table(compare(records)), "table")
    assert "vgg16@released Caffe model (scales 256) " in text
    assert "vgg16@released Caffe model (scales 384) " in text


def test_latex_escapes_what_latex_reads_otherwise():
    text = render(table(rows()), "latex")
    assert r"\begin{tabular}" in text and r"16 \& 19" in text and r"(\%)" in text


def of_caffe(name):
    return net(name, "caffe") | {"original": "released Caffe model"}


def test_the_original_weights_with_caffes_pooling_may_be_compared():
    row = measured(nets=[of_caffe("vgg16:ceil_mode=true")])
    assert row.comparison == "same" and row.published == 91.8
    both = measured(nets=[of_caffe("vgg19:ceil_mode=true"), of_caffe("vgg16:ceil_mode=true")])
    assert both.comparison == "same" and both.published == 92.7


def test_the_original_weights_with_another_pooling_are_near():
    row = measured(nets=[of_caffe("vgg16")])
    assert row.comparison == "near" and row.published == 91.8
    assert row.reasons == ("pooling rounds down, the published nets' up (ceil_mode=true)",)
    one = measured(nets=[of_caffe("vgg16:ceil_mode=true"), of_caffe("vgg19")])
    assert one.comparison == "near"


def test_caffes_pooling_makes_no_other_weights_the_published_ones():
    row = measured(nets=[net("vgg16:ceil_mode=true", "torchvision")])
    assert row.reasons == ("weights torchvision, published released Caffe model",)


@pytest.mark.parametrize(
    "options", ["layer=conv5_3", "relu=false", "width=0.5", "ceil_mode=true,layer=fc6"]
)
def test_another_layer_has_no_published_number(options):
    row = measured(nets=[of_caffe(f"vgg16:{options}")])
    assert row.published is None and "no published number for this net" in row.reasons


@pytest.mark.parametrize("view", ["centre", "corners", "resized"])
def test_another_view_of_the_published_net_is_near(view):
    row = measured(
        nets=[of_caffe(f"vgg16:ceil_mode=true,view={view}")],
        protocol=PAPER_PROTOCOL | {"view": view},
    )
    assert row.comparison == "near" and row.published == 91.8
    assert row.reasons == (f"view {view}, published dense",)


@pytest.mark.parametrize("view", ["dense", "centre", "resized"])
def test_later_rows_are_found_in_any_view_and_never_the_same(view):
    """Nothing but the published view differs in no point, and still its protocol is another."""
    name = "resnet50" if view == "dense" else f"resnet50:view={view}"
    row = voc2007(
        nets=[net(name, "torchvision")],
        protocol=VOC_PROTOCOL | {"scales": [224], "mirror": False, "view": view},
    )
    assert (row.published, row.difference) == (87.17, 0.83) and row.comparison == "near"
    seen = [reason for reason in row.reasons if reason.startswith("view")]
    assert seen == ([] if view == "resized" else [f"view {view}, published resized"])
    assert row.reasons[-1].startswith("the published protocol: linear SVM on feat5")


def test_another_layer_of_a_later_rows_net_is_another_net():
    row = voc2007(
        nets=[net("resnet50:layer=layer3,view=resized", "torchvision")],
        protocol=VOC_PROTOCOL | {"scales": [224], "mirror": False, "view": "resized"},
    )
    assert row.published is None
