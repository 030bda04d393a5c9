"""Which numbers may be compared, and in which points they differ."""

from dataclasses import replace

import pytest
from helpers.records import PAPER_PROTOCOL, make_record, transfer_net

from vggfeat.report.judge import MARKS, Point, judge
from vggfeat.report.published import read_published
from vggfeat.report.settings import assumed_statistics
from vggfeat.report.sweep import tables
from vggfeat.report.transfer import compare


def measured(**changes):
    rows = compare([make_record(**changes)], read_published())
    (row,) = [row for row in rows if row.is_measured]
    return row


def test_the_papers_net_under_the_papers_protocol_may_be_compared():
    row = measured()
    assert row.comparison == "same"
    (told,) = row.reasons
    assert told.startswith("as far as stated: choice of C on 20 %")
    assert row.published == 91.8 and row.difference == pytest.approx(0.02)


def test_two_nets_are_compared_with_the_two_nets_row():
    row = measured(nets=[transfer_net("vgg16"), transfer_net("vgg19")])
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
        ({"nets": [transfer_net(weights="random:0")]}, "random weights"),
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
    row = measured(nets=[transfer_net("vgg19"), transfer_net("vgg16")])
    assert row.published == 92.7 and row.comparison == "same"


def test_pictures_turned_by_exif_are_near():
    features = {"exif": True, "precision": "fp32", "dtype": "float32"}
    row = measured(nets=[transfer_net() | {"features": features}])
    assert row.reasons == ("pictures turned by their EXIF orientation",)


def test_large_jpegs_that_were_decoded_smaller_are_near():
    whole, scaled = (
        measured(nets=[transfer_net() | {"features": {"exif": False, "decoder": decoder}}])
        for decoder in ("Pillow", "Pillow, scaled JPEG")
    )
    assert "large JPEGs decoded smaller" not in whole.reasons
    assert scaled.reasons == ("large JPEGs decoded smaller",)


def test_another_classifier_is_compared_with_nothing():
    row = measured(protocol=PAPER_PROTOCOL | {"classifier": "logistic regression"})
    assert row.comparison == "" and row.difference is None
    assert row.reasons == ("published numbers are of a linear SVM",)


def test_a_classifier_is_compared_with_the_published_number_of_its_own_kind():
    """ResNet-50 on VOC 2007 was published with both: by area with SVMs, 87.17 of them."""
    svm = voc2007(nets=[transfer_net("resnet50", "torchvision")])
    assert svm.published == 87.17
    logistic = VOC_PROTOCOL | {"classifier": "logistic regression"}
    rows = [row for row in read_published() if row.classifier == logistic["classifier"]]
    weights = next(row.weights for row in rows if row.benchmark == "voc2007")
    other = voc2007(nets=[transfer_net("resnet50", weights)], protocol=logistic)
    assert other.published in [row.value for row in rows] and other.comparison != ""


def test_other_weights_and_skipped_pictures_are_near():
    row = measured(nets=[transfer_net(weights="torchvision")], skipped={"a/1.jpg": "broken"})
    assert row.reasons == (
        "weights torchvision, published released Caffe model",
        "skipped pictures: 1",
    )


def test_a_net_without_a_published_number_has_no_difference():
    row = measured(nets=[transfer_net("squeezenet1_0", "w.safetensors")])
    assert row.difference is None and row.reasons == ("no published number for this net",)
    assert row.comparison == "same"  # the protocol is


def test_a_changed_net_is_another_net():
    assert measured(nets=[transfer_net("vgg16:width=0.5")]).published is None


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
        nets=[transfer_net("resnet50", "torchvision")],
    )  # fmt: skip
    (row,) = [row for row in compare([record], published) if row.is_measured]
    assert (row.value, row.published, row.difference) == (85.0, 87.17, 0.83)
    assert "compared in map_area, the rule of the published number" in row.reasons


def test_a_net_with_other_weights_is_not_the_net_of_a_later_row():
    published = [row for row in read_published() if "VICReg" in row.source]
    record = make_record(
        benchmark="voc2007", metric="map_11pt", metrics=APS, protocol=VOC_PROTOCOL,
        nets=[transfer_net("resnet50", "mine.safetensors")],
    )  # fmt: skip
    (row,) = compare([record], published)
    assert row.published is None and row.reasons == ("no published number for this net",)


def cifar10(classifier):
    return measured(
        benchmark="cifar10", title="CIFAR-10", metric="accuracy",
        metrics={name: {"value": 0.9, "spread": 0.0} for name in ("accuracy", "mean_class_recall")},
        protocol={"classes": 10, "images": 60_000, "splits": 1, "classifier": classifier},
        nets=[transfer_net("resnet50", "torchvision")],
    )  # fmt: skip


def test_of_a_set_with_later_numbers_alone_the_same_net_by_the_same_probe_is_compared():
    """Ericsson et al. (2021): torchvision's ResNet-50 on CIFAR-10, 91.42."""
    row = cifar10("logistic regression")
    assert row.comparison == "near" and (row.published, row.difference) == (91.42, -1.42)
    assert any("readme says 91.47 with C 0.056" in reason for reason in row.reasons)
    assert cifar10("linear SVM").reasons == (
        "the published number of this net is by logistic regression",
    )


def test_a_number_without_a_rule_is_compared_with_none():
    published = [row for row in read_published() if "VICReg" in row.source]
    record = make_record(
        benchmark="voc2007", metric="map_11pt", metrics=APS, protocol=VOC_PROTOCOL,
        nets=[transfer_net("resnet50", "SwAV")],
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


def of_caffe(name):
    return transfer_net(name, "caffe") | {"original": "released Caffe model"}


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
    row = measured(nets=[transfer_net("vgg16:ceil_mode=true", "torchvision")])
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
        nets=[transfer_net(name, "torchvision")],
        protocol=VOC_PROTOCOL | {"scales": [224], "mirror": False, "view": view},
    )
    assert (row.published, row.difference) == (87.17, 0.83) and row.comparison == "near"
    seen = [reason for reason in row.reasons if reason.startswith("view")]
    assert seen == ([] if view == "resized" else [f"view {view}, published resized"])
    assert row.reasons[-1].startswith("the published protocol: linear SVM on feat5")


def test_another_layer_of_a_later_rows_net_is_another_net():
    row = voc2007(
        nets=[transfer_net("resnet50:layer=layer3,view=resized", "torchvision")],
        protocol=VOC_PROTOCOL | {"scales": [224], "mirror": False, "view": "resized"},
    )
    assert row.published is None


# The judge itself


def points(*, decisive=False):
    """A point that differs where the record has another number, and one that only then matters."""

    def number(record, published):
        return [f"{record}, published {published}"] if record != published else []

    def detail(record, published):
        return ["a detail"]

    return Point("number", decisive, number), Point("detail", False, detail, is_fine=True)


def test_a_decisive_difference_makes_a_number_not_comparable_whatever_its_details():
    verdict = judge(points(decisive=True), 3, 5)
    assert (verdict.comparison, verdict.reasons) == ("not comparable", ("3, published 5",))
    assert (verdict.mark, verdict.note) == ("x", "not comparable: 3, published 5.")


def test_any_other_difference_makes_it_near_and_none_the_same():
    verdict = judge(points(), 3, 5)
    assert (verdict.comparison, verdict.reasons) == ("near", ("3, published 5", "a detail"))
    assert judge(points()[:1], 5, 5).comparison == "same"
    assert list(MARKS.values()) == ["=", "~", "x", ""]


# Input statistics that nobody states


def of_own_weights(**more):
    """A net in a file, with a row of the user's that was published of it."""
    record = make_record(nets=[transfer_net("net.onnx", "own") | more])
    row = next(row for row in read_published() if row.benchmark == "caltech101")
    published = replace(row, network="net.onnx", weights="own", kind="very deep")
    (measured,) = [result for result in compare([record], [published]) if result.is_measured]
    return measured


def test_a_number_on_assumed_input_statistics_is_never_the_same():
    mean_std = "mean=123.675/116.28/103.53,std=58.395/57.12/57.375"
    assumed = of_own_weights(assumed=mean_std)
    assert assumed.comparison == "near"
    assert f"input statistics of net.onnx assumed, {mean_std}" in assumed.reasons
    stated = of_own_weights(assumed="")
    assert not any("assumed" in reason for reason in stated.reasons)


@pytest.mark.parametrize(
    "name, mean, is_assumed",
    [("net.onnx", [123.675, 116.28, 103.53], True), ("net.onnx", [0.0, 0.0, 0.0], False),
     ("net.onnx:mean=123.675/116.28/103.53", [123.675, 116.28, 103.53], False)],
)  # fmt: skip
def test_records_of_before_show_what_was_assumed_by_the_usual_numbers(name, mean, is_assumed):
    features = {"mean": mean, "std": [1.0, 1.0, 1.0]}
    net = transfer_net(name, "own") | {"features": features}
    assert assumed_statistics(net) == ("mean" if is_assumed else "")
    assert assumed_statistics(net | {"weights": "vgg16.pth"}) == ""


def test_an_assumption_stands_below_tables_that_compare_with_nothing():
    record = make_record(nets=[transfer_net("net.onnx", "own") | {"assumed": "std=1/1/1"}])
    legend = tables([record])[0].legend
    assert legend[-1] == "Not stated by anybody: input statistics of net.onnx assumed, std=1/1/1."
    assert len(tables([make_record()])[0].legend) == 1
