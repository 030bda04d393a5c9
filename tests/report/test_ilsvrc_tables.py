"""The paper's ImageNet tables: every published number, and which measured ones stand where."""

import csv
import io
from collections import Counter

import pytest
from helpers.records import classified, errors, make_record, net

from vggfeat.box_merging import THRESHOLD
from vggfeat.errors import RecordError
from vggfeat.pretraining.recipes import TABLE
from vggfeat.report.ilsvrc_results import measured_result, published_results
from vggfeat.report.ilsvrc_tables import numbers, tables
from vggfeat.report.published import CLASSIFICATION, LOCALISATION, read_published
from vggfeat.report.render import render

ILSVRC_ROWS = [row for row in read_published() if row.benchmark in (CLASSIFICATION, LOCALISATION)]
LOW, HIGH, WIDE = [224, 256, 288], [352, 384, 416], [256, 384, 512]
SUBMISSION = [
    ("vgg16", "256", LOW), ("vgg16", "384", HIGH), ("vgg16", "256-512", WIDE),
    ("vgg16_1x1", "256", LOW), ("vgg16_1x1", "384", HIGH),
    ("vgg19", "256", LOW), ("vgg19", "384", HIGH),
]  # fmt: skip


def localised(*nets, view="dense", top5=0.29, given=0.33, **changes):
    by_view = {"given_class_error": given}
    if view == "dense":
        by_view = {"top1_error": 0.45, "top5_error": top5} | by_view
    boxes = [{"regressor": "pcr", "tuned": "all"} | one for one in nets or [net()]]
    values = {
        "benchmark": "ilsvrc_localisation", "nets": boxes, "metrics": errors(**by_view),
        "metric": "given_class_error" if view == "centre" else "top5_error",
    }  # fmt: skip
    return classified(view=view, **values | changes)


def compared(record):
    return measured_result(record, [row for rows in published_results().values() for row in rows])


def tables_of(*records):
    """Number of a table -> network and view of each measured line, as the csv form has them."""
    found = {}
    for line in csv.DictReader(io.StringIO(render(numbers(records), "csv"))):
        found.setdefault(int(line["table"]), []).append(line)
    return {
        number: {(line["network"], line["view"]) for line in lines if line["kind"] == "measured"}
        for number, lines in found.items()
    }


# Published numbers.


def published_numbers(table, **where):
    return [
        str(row.value)
        for row in ILSVRC_ROWS
        if row.table == str(table) and all(getattr(row, name) == where[name] for name in where)
    ]


def test_every_number_of_the_tables_is_there():
    counts = Counter(int(row.table) for row in ILSVRC_ROWS)
    assert counts == {3: 24, 4: 22, 5: 12, 6: 11, 7: 33, 8: 3, 9: 6, 10: 6}


@pytest.mark.parametrize(
    "table, where, expected",
    [
        (3, {"network": "vgg11_lrn"}, ["29.7", "10.5"]),
        (3, {"network": "vgg19", "metric": "top5_error"}, ["9.0", "8.7", "8.0"]),
        (4, {"network": "vgg13"}, ["28.2", "9.6"]),
        (4, {"network": "vgg16_1x1", "metric": "top1_error"}, ["27.7", "27.8", "26.3"]),
        (4, {"network": "vgg16", "metric": "top1_error"}, ["26.6", "26.5", "24.8"]),
        (4, {"network": "vgg19", "metric": "top1_error"}, ["26.9", "26.7", "24.8"]),
        (4, {"network": "vgg16", "scales": "352 384 416"}, ["26.5", "8.6"]),
        (4, {"set": "test"}, ["7.4", "7.3"]),
        (5, {"network": "vgg16"}, ["24.8", "7.5", "24.6", "7.5", "24.4", "7.2"]),
        (5, {"network": "vgg19"}, ["24.8", "7.5", "24.6", "7.4", "24.4", "7.1"]),
        (6, {"view": "dense"}, ["24.7", "7.5", "7.3", "24.0", "7.1", "7.0"]),
        (6, {"view": "crops"}, ["23.9", "7.2"]),
        (6, {"view": "both"}, ["23.7", "6.8", "6.8"]),
        (7, {"kind": "very deep", "set": "test"}, ["6.8", "7.0", "7.3"]),
        (7, {"set": "val/test"}, ["7.9", "6.7"]),
        (7, {"method": "Zeiler & Fergus, 1 net"}, ["37.5", "16.0", "16.1"]),
        (7, {"method": "Krizhevsky et al., 1 net"}, ["40.7", "18.2"]),
        (7, {"kind": "earlier", "set": "test"},
         ["8.1", "9.1", "11.7", "12.5", "14.8", "16.1", "13.6", "16.4"]),
        (8, {"metric": "given_class_error"}, ["36.4", "34.3", "33.1"]),
        (8, {"regressor": "pcr", "tuned": "all"}, ["33.1"]),
        (9, {"set": "val"}, ["29.5", "28.2", "27.5", "26.9"]),
        (9, {"set": "test"}, ["26.7", "25.3"]),
        (10, {}, ["26.9", "25.3", "26.7", "30.0", "29.9", "34.2"]),
    ],
)  # fmt: skip
def test_the_numbers_are_the_papers(table, where, expected):
    assert published_numbers(table, **where) == expected


def test_a_line_has_as_many_scales_as_nets():
    for row in ILSVRC_ROWS:
        counts = {getattr(row, name).count("+") for name in ("network", "train_scales", "scales")}
        assert len(counts) == 1 and row.source
        assert bool(row.network) == (row.kind == "very deep")


def test_the_recipes_expect_the_errors_of_table_3():
    expected = {(stage.net, *stage.scales): stage.published for stage in TABLE if stage.published}
    found = {}
    for row in published_results()[3]:
        first, _, last = row.train_scales[0].partition("-")
        found[*row.networks, int(first), int(last or first)] = tuple(row.values.values())
    assert found == expected


# Which table.


@pytest.mark.parametrize(
    "record, expected",
    [
        (classified(net()), {3, 7}),
        (classified(net(), view="centre"), {3, 7}),
        (classified(net(scales=LOW)), {4, 7}),
        (classified(net(scales=LOW), view="centre"), {4, 7}),
        (classified(net(scales=WIDE), view="crops"), {5, 7}),
        (classified(net(), view="both"), {5, 7}),
        (classified(net(), net("vgg19")), {6, 7}),
        (classified(net(), net("vgg19"), view="both"), {6, 7}),
        (localised(view="centre"), {8}),
        (localised(view="dense"), {9, 10}),
        (make_record(), set()),
    ],
)
def test_the_table_of_a_record(record, expected):
    assert set(tables_of(record)) == expected


def test_crops_have_the_dense_line_of_the_same_net_and_scales_beside_them():
    d, e = net("vgg16", "256-512", WIDE), net("vgg19", "256-512", WIDE)
    found = tables_of(
        classified(d, view="crops"), classified(d), classified(d, view="both"), classified(e),
        classified(d | {"scales": [384]}), classified(d | {"weights": "other"}),
        classified(d, title="other pictures"), classified(d, view="centre"),
    )  # fmt: skip
    text = render(tables([classified(d, view="crops"), classified(d)]), "table")
    assert found[5] == {("vgg16", view) for view in ("dense", "crops", "both")}
    assert found[4] == {("vgg16", "dense"), ("vgg16", "centre"), ("vgg19", "dense")}
    five = text.split("Table 7")[0].split("Table 5")[1].splitlines()
    assert [" dense " in line for line in five if "safetensors" in line] == [True, False]


def test_table_7_has_the_lowest_top_5_error_then_the_lowest_top_1():
    records = [
        classified(net("vgg13"), top1=0.2, top5=0.1),
        classified(net("vgg16"), top1=0.27, top5=0.09),
        classified(net("vgg19"), top1=0.26, top5=0.09),
    ]
    assert tables_of(*records)[7] == {("vgg19", "dense")}


def test_the_best_of_other_pictures_is_not_the_state_of_the_art():
    easy = classified(net("vgg11"), top1=0.01, top5=0.0, protocol={"classes": 10})
    assert tables_of(easy, classified(net()))[7] == {("vgg16", "dense")}
    assert tables_of(easy)[7] == {("vgg11", "dense")}


def test_table_10_has_the_best_dense_localisation():
    records = [localised(net(s="384"), top5=0.28), localised(net(s="256"), top5=0.29)]
    lines = csv.DictReader(io.StringIO(render(numbers(records), "csv")))
    ours = [line for line in lines if (line["table"], line["kind"]) == ("10", "measured")]
    assert {line["train_scales"] for line in ours} == {"384"}


# Which mark.


def test_the_papers_configuration_may_be_compared():
    row = compared(classified(net()))
    assert (row.verdict.comparison, row.verdict.reasons) == ("same", ())
    assert row.published == {"top1_error": 27.0, "top5_error": 8.8}
    assert row.differences == {"top1_error": -0.3, "top5_error": -0.2}


@pytest.mark.parametrize(
    "record, published",
    [
        (classified(net(s="384", scales=[384])), (26.8, 8.7)),
        (classified(net("vgg19", "256-512", [384])), (25.5, 8.0)),
        (classified(net("vgg13", "256", [288, 224, 256])), (28.2, 9.6)),
        (classified(net("vgg19", "256-512", WIDE), view="both"), (24.4, 7.1)),
        (classified(net("vgg19", "256-512", WIDE), net("vgg16", "256-512", WIDE)), (24.0, 7.1)),
        (classified(*(net(*one) for one in SUBMISSION)), (24.7, 7.5)),
        (classified(*(net(*one) for one in reversed(SUBMISSION))), (24.7, 7.5)),
        (localised(net(s="384", scales=[384]), view="centre"), (33.1,)),
        (localised(net(s="384", scales=[384, 352])), (27.5,)),
        (localised(net(s="384", scales=[352, 384]), net()), (26.9,)),
    ],
)
def test_the_published_number_of_a_configuration(record, published):
    row = compared(record)
    assert row.verdict.comparison == "same" and tuple(row.published.values()) == published


@pytest.mark.parametrize(
    "record",
    [
        classified(net(s="384")),
        classified(net(scales=[288])),
        classified(net(), view="centre"),
        classified(net(), view="crops"),
        classified(net("vgg11_lrn", "384", [384])),
        classified(net(), net("vgg19")),
        # The scales of two nets exchanged.
        classified(net(s="256", scales=HIGH), *(net(*one) for one in SUBMISSION[1:])),
        localised(net(s="384", scales=[384], regressor="scr")),
        localised(net(s="384", scales=[384], tuned="fc")),
        localised(net(), view="centre"),
    ],
)  # fmt: skip
def test_a_configuration_without_a_published_number_has_no_mark(record):
    row = compared(record)
    assert (row.verdict.comparison, row.differences) == ("", {})
    assert row.verdict.reasons == ("no published number for this configuration",)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"limited": True}, "LIMITED to a part of the pictures"),
        ({"nets": [net(weights="random:0")]}, "random weights"),
        ({"protocol": {"classes": 200}}, "classes 200, published 1000"),
        (
            {"protocol": {"images": 10_000}, "title": "tiny-imagenet-200"},
            "images 10000 of tiny-imagenet-200, published 50000",
        ),
        ({"protocol": {"set": "train"}}, "set train, published val"),
        ({"nets": [net("vgg16:width=0.25")]}, "net with width=0.25"),
        ({"nets": [net("vgg16:input_size=64")]}, "net with input_size=64"),
    ],
)
def test_decisive_differences_are_not_comparable(changes, reason):
    assert compared(classified(**changes)).verdict.reasons == (reason,)
    protocol = {"protocol": {}} | changes
    unpublished = compared(classified(view="centre", **protocol))
    for row in (compared(classified(**changes)), unpublished):
        assert (row.verdict.comparison, row.differences) == ("not comparable", {})
        assert row.verdict.reasons == (reason,)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"nets": [net(s=None)]}, "weights trained otherwise, published S 256"),
        ({"nets": [net("vgg16:relu=false")]}, "net with relu=false"),
        ({"skipped": {"a.jpg": "broken"}}, "skipped pictures: 1"),
    ],
)
def test_smaller_differences_are_near(changes, reason):
    row = compared(classified(**changes))
    assert row.verdict.comparison == "near" and row.verdict.reasons == (reason,)
    assert row.differences == {"top1_error": -0.3, "top5_error": -0.2}


def test_an_unknown_s_is_compared_with_the_best_that_fits():
    row = compared(classified(net(s=None, scales=[384])))
    assert row.published == {"top1_error": 25.6, "top5_error": 8.1}
    assert row.verdict.reasons == ("weights trained otherwise, published S 256-512",)
    some = [net(*one) for one in SUBMISSION[1:]]
    assert compared(classified(net(s=None, scales=LOW), *some)).published["top1_error"] == 24.7
    assert compared(classified(net(s=None, scales=WIDE), *some)).published == {}


# Numbers and text.


def test_views_and_nets_are_timed_one_after_the_other():
    fast, slow = {"dense": 30.0, "crops": 60.0}, {"dense": 20.0, "crops": 10.0}
    nets = [net(images_per_s=fast), net("vgg19", images_per_s=slow)]
    assert compared(classified(nets[0])).images_per_s == pytest.approx(30)
    assert compared(classified(*nets)).images_per_s == pytest.approx(12)
    both = compared(classified(*nets, view="both")).images_per_s
    assert both == pytest.approx(5)
    for missing in ({}, {"crops": 10.0}):
        assert compared(classified(nets[0], net(images_per_s=missing))).images_per_s is None


def lines_of(text, mark="safetensors"):
    return [line.split("|")[1:-1] for line in text.splitlines() if mark in line]


def test_the_table_in_markdown():
    text = render(tables([classified(net(images_per_s={"dense": 31.2}))]), "md")
    three, seven = text.split("### ")[1:]
    assert three.startswith("Table 3: one scale\n\n| net ") and seven.startswith("Table 7: ")
    (line,) = lines_of(three)
    assert [cell.strip() for cell in line] == [
        "vgg16", "256", "256", "dense", "26.7", "8.6", "31.2", "vgg16-256.safetensors",
        "-0.3 / -0.2", "=",
    ]  # fmt: skip
    assert len(lines_of(three, "| published ")) == 12
    assert len({line.count("|") for line in three.splitlines() if line.startswith("|")}) == 1
    assert three.rstrip().endswith("Marks: = same protocol as published, ~ near, x not comparable.")


def test_only_tables_with_test_numbers_have_their_column():
    text = render(tables([classified(net()), classified(net(scales=LOW))]), "md")
    has_column = {part[:7]: "test top-5 (%)" in part for part in text.split("### ")[1:]}
    assert has_column == {"Table 3": False, "Table 4": True, "Table 7": True}


def test_one_number_for_validation_and_test_stands_in_both_columns():
    (line,) = lines_of(render(tables([classified()]), "md"), "GoogLeNet, 7 nets")
    cells = [cell.strip() for cell in line]
    assert cells[5:7] == ["6.7", "6.7"] and cells[4] == ""


def test_limited_is_stamped_behind_the_numbers():
    text = render(tables([classified(limited=True), localised(limited=True)]), "md")
    for line in lines_of(text.split("### ")[1]):
        assert line[4].strip() == "26.7 LIMITED" and line[5].strip() == "8.6 LIMITED"
        assert line[-1].strip() == "x [1]" and line[-2].strip() == ""
    assert "29.0 LIMITED" in text


def test_equal_reasons_share_a_note():
    other = {"protocol": {"images": 9}}
    records = [
        classified(net(), **other), classified(net("vgg19"), **other), classified(net(s=None)),
    ]  # fmt: skip
    three = render(tables(records), "table").split("Table 7")[0]
    marks = [line.split()[-2:] for line in three.splitlines() if "safetensors" in line]
    assert marks == [["x", "[1]"], ["~", "[2]"], ["x", "[1]"]]
    assert three.count("images 9 of ILSVRC-2012, published 50000") == 1


def test_measured_lines_are_sorted_by_network_s_q_and_view():
    records = [
        classified(one, view=view)
        for one in (
            net("vgg19"), net(s="256-512", scales=[384]), net(s="384", scales=[384]), net(s=None),
            net(s="256", scales=[1024]), net(s="256"),
        )
        for view in ("dense", "centre")
    ]  # fmt: skip
    three = render(tables(records), "md").split("### ")[1]
    found = [[cell.strip() for cell in line[:4]] for line in lines_of(three)]
    assert [line[:3] for line in found[::2]] == [
        ["vgg16", "256", "256"],
        ["vgg16", "256", "1024"],
        ["vgg16", "384", "384"],
        ["vgg16", "256-512", "384"],
        ["vgg16", "unknown", "256"],
        ["vgg19", "256", "256"],
    ]
    assert [line[3] for line in found[:2]] == ["centre", "dense"]


def test_nets_with_their_own_scales_are_told_apart():
    text = render(tables([classified(*(net(*one) for one in SUBMISSION))]), "md")
    (line,) = lines_of(text.split("### ")[1])
    assert line[1].strip() == "256+384+256-512+256+384+256+384"
    assert line[2].strip().startswith("224 256 288+352 384 416+256 384 512+224")
    assert line[-2].strip() == "+2.0 / +1.1"


def test_the_tables_of_localisation():
    records = [
        localised(net(s="384", scales=[384]), view="centre"),
        localised(net(s="384", scales=[384]), top5=0.2849),
    ]
    eight, nine, ten = render(tables(records), "md").split("### ")[1:]
    (line,) = lines_of(eight)
    assert [cell.strip() for cell in line] == [
        "vgg16", "384", "384", "all", "pcr", "33.0", "vgg16-384.safetensors", "-0.1", "=",
    ]  # fmt: skip
    for text in (nine, ten):
        (line,) = lines_of(text)
        assert [cell.strip() for cell in line] == [
            "vgg16", "384", "384", "all", "pcr", "45.0", "28.5", "33.0", "",
            "vgg16-384.safetensors", "+0.3", "=",
        ]  # fmt: skip
    assert len(lines_of(ten, "OverFeat")) == 1


def test_what_names_the_classes_of_dense_boxes_is_told_and_never_the_papers():
    def judged(classifier, threshold=THRESHOLD):
        protocol = {"classifier": classifier, "merge_threshold": threshold}
        record = localised(net(s="384", scales=[384]), protocol=protocol)
        return compared(record), render(tables([record]), "table")

    row, text = judged("vgg16@jitter.safetensors")
    assert row.verdict.comparison == "near"
    assert "classes named by vgg16@jitter.safetensors" in row.verdict.reasons[0]
    assert "classifier" in text and "T=" not in text
    assert judged("vgg16@random:0")[0].verdict.comparison == "not comparable"
    assert "vgg16@jitter.safetensors, T=0.5" in judged("vgg16@jitter.safetensors", 0.5)[1]


def test_without_the_error_of_the_given_class_there_is_no_column_for_it():
    record = localised(metrics=errors(top1_error=0.4, top5_error=0.3))
    assert "the class given" not in render(tables([record]), "table")


def test_csv_has_a_line_for_every_number():
    record = classified(net(s=None, scales=[256]), limited=True)
    lines = list(csv.DictReader(io.StringIO(render(numbers([record]), "csv"))))
    assert Counter(line["table"] for line in lines) == {"3": 26, "7": 35}
    ours = [line for line in lines if line["kind"] == "measured"]
    assert [(line["metric"], line["value"]) for line in ours[:2]] == [
        ("top1_error", "26.7"),
        ("top5_error", "8.6"),
    ]
    assert ours[0]["limited"] == "True" and ours[0]["comparison"] == "not comparable"
    assert ours[0]["published"] == "27.0" and ours[0]["difference"] == ""
    assert ours[0]["train_scales"] == "unknown" and ours[0]["set"] == "val"


def test_without_records_there_is_no_table():
    for form in ("table", "md", "latex"):
        assert render(tables([make_record()]), form) == ""
    assert render(numbers([make_record()]), "csv") == ""


def test_latex_has_a_table_each():
    text = render(tables([classified()]), "latex")
    assert text.startswith("% Table 3: one scale\n") and text.count(r"\begin{tabular}") == 2


@pytest.mark.parametrize(
    "record",
    [
        classified(nets=[{"name": "vgg16", "weights": "w"}]),
        classified(net(train_scale="big")),
        classified(net(scales=["big"])),
        classified(protocol={"view": "sideways"}),
        classified(metrics=errors(top1_error=0.3)),
        localised(view="centre", metrics=errors(top5_error=0.3)),
    ],
)
def test_a_record_that_lacks_something_is_refused_by_name(record):
    with pytest.raises(RecordError, match=r"^ilsvrc_.*/vgg16-0123456789abcdef.json: not a record"):
        render(tables([record]), "table")
