"""The variants of a sweep, and its table."""

import csv
import io

import pytest
from helpers.records import PAPER_PROTOCOL, make_record

from vggfeat.backbones.spec import fusion_text, parse_fusion
from vggfeat.benchmarks import sweep
from vggfeat.benchmarks.options import Settings
from vggfeat.errors import OptionError, UnknownNameError
from vggfeat.report.render import render
from vggfeat.report.sweep import numbers, tables

PAPER = Settings.of({"scales": (256, 384, 512), "aggregate": "stack"})


def variants(*axes, settings=PAPER):
    return [
        (s.extraction.scales, s.vectors.aggregate, s.vectors.scale_l2, s.extraction.mirror)
        for s in sweep.settings_of(settings, axes)
    ]


def test_without_axes_there_is_one_variant():
    assert variants() == [((256, 384, 512), "stack", False, True)]


def test_scales_are_all_then_pairs_then_single_ones():
    assert [scales for scales, *_ in variants("scales")] == [
        (256, 384, 512), (256, 384), (256, 512), (384, 512), (256,), (384,), (512,)
    ]  # fmt: skip


def test_how_scales_are_combined_is_not_varied_where_there_is_one():
    found = variants("scales", "aggregate", "scale_l2")
    assert len(found) == len(set(found)) == 4 * 4 + 3
    assert {row[1:3] for row in found if len(row[0]) == 1} == {("stack", False)}


def test_mirrors_are_varied_about_what_is_asked():
    assert [mirror for *_, mirror in variants("mirror")] == [True, False]


def test_two_scales_have_no_pairs_twice():
    settings = Settings.of({"scales": (256, 384), "aggregate": "stack"})
    assert [row[0] for row in variants("scales", settings=settings)] == [
        (256, 384), (256,), (384,)
    ]  # fmt: skip


def swept(nets, axes):
    """The nets that a sweep measures, as text."""
    return [fusion_text(fusion) for fusion in sweep.nets_of(list(map(parse_fusion, nets)), axes)]


def test_a_net_without_that_option_does_not_stop_the_others():
    assert swept(["vgg11", "resnet18", "vgg11+resnet18"], ["relu"]) == [
        "vgg11", "resnet18", "vgg11+resnet18", "vgg11:relu=false"
    ]  # fmt: skip


def test_relu_varies_the_nets():
    assert swept(["vgg16", "vgg16+vgg19:width=0.5@a+b.pth"], ["relu"]) == [
        "vgg16", "vgg16+vgg19:width=0.5@a+b.pth",
        "vgg16:relu=false", "vgg16:relu=false+vgg19:width=0.5,relu=false@a+b.pth",
    ]  # fmt: skip
    assert swept(["vgg16:relu=true"], ["relu"]) == ["vgg16:relu=true", "vgg16:relu=false"]
    assert swept(["vgg16"], ["scales"]) == ["vgg16"]


def test_axes_are_checked():
    sweep.check_axes(list(sweep.AXES))
    with pytest.raises(UnknownNameError, match="axis of a sweep 'scale'. Did you mean 'scales'"):
        sweep.check_axes(["scale"])
    with pytest.raises(OptionError, match="an axis is given twice in mirror,mirror"):
        sweep.check_axes(["mirror", "mirror"])


def record(value, **protocol):
    return make_record(
        protocol=PAPER_PROTOCOL | protocol,
        metrics={"mean_class_recall": {"value": value, "spread": 0.004}},
    )


def test_the_table_has_a_line_a_setting_best_first():
    records = [
        record(0.81, scales=[256]),
        record(0.85, scales=[256, 384]),
        record(0.84, scales=[256, 384], aggregate="average"),
    ]
    assert render(tables(records), "table") == (
        "scales    aggregate   Caltech-101, mean class recall (%)   to best\n"
        "-------   ---------   ----------------------------------   -------\n"
        "256 384   stack       85.0 ± 0.4                           +0.0\n"
        "256 384   average     84.0 ± 0.4                           -1.0\n"
        "256                   81.0 ± 0.4                           -4.0\n"
        "\n"
        "Same in all lines: net vgg16@released Caffe model, mirror yes, splits 3, images 9144.\n"
    )


def test_csv_has_raw_columns():
    records = [record(0.81, mirror=False), record(0.85, mirror=True)]
    lines = list(csv.DictReader(io.StringIO(render(numbers(records), "csv"))))
    assert [line["value"] for line in lines] == ["81.0", "85.0"]
    assert lines[0]["spread"] == "0.4" and lines[0]["mirror"] == "no"
    assert lines[0]["benchmark"] == "caltech101" and lines[0]["limited"] == "False"


@pytest.mark.parametrize("form", ["md", "latex"])
def test_the_table_in_other_forms(form):
    records = [record(0.81, mirror=False), record(0.85, mirror=True)]
    text = render(tables(records), form)
    assert "85.0 ± 0.4" in text and "-4.0" in text and "mirror" in text


def test_other_splits_make_another_table():
    other = make_record(splits_sha256="other")
    assert render(tables([record(0.8), other]), "table").count("to best") == 2


def test_each_benchmark_has_its_table():
    other = make_record(benchmark="digits", title="Digits")
    text = render(tables([record(0.8), other]), "table")
    assert text.index("Caltech-101") < text.index("Digits, mean class recall")
