"""`vggfeat table` shows the records of some benchmarks, nets, probes or scales."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vggfeat.cli import main

RESULTS = Path(__file__).resolve().parents[2] / "results"


def table(*arguments: str, out: str = "nets") -> Result:
    return CliRunner().invoke(main, ["table", "--out", str(RESULTS / out), *arguments])


def shown(*arguments: str, out: str = "nets") -> list[dict]:
    result = table("--format", "json", *arguments, out=out)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_names_of_each_kind_choose_and_several_of_one_kind_add_up():
    everything = shown()
    assert len(shown("--benchmark", "voc2007", "--dataset", "voc2012")) < len(everything)
    chosen = shown("--benchmark", "voc2007", "--probe", "svm", "--scales", "256,384,512")
    assert len(chosen) == 3
    for record in chosen:
        assert record["benchmark"] == "voc2007" and record["probe"].get("probe", "svm") == "svm"
        assert record["protocol"]["scales"] == [256, 384, 512]


@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_0",
        "squeezenet1_0@squeezenet1_0_imagenet.safetensors",
        "squeezenet1_0_imagenet.safetensors",
    ],
)
def test_a_net_is_named_as_tables_name_it_with_or_without_weights(name):
    assert {record["nets"][0]["name"] for record in shown("--net", name)} == {"squeezenet1_0"}
    assert all(len(record["nets"]) == 1 for record in shown("--net", name))


def test_published_rows_stay_beside_what_was_chosen():
    text = table("--benchmark", "voc2012", "--probe", "logistic").stdout
    assert "Published, 16 layers" in text and "VOC-2012" in text and "VOC-2007" not in text


def test_other_tables_can_be_chosen_from_too():
    text = table("--sweep", "--scales", "256 384", out="sweep").stdout
    assert "Same in all lines: scales 256 384," in text
    text = table(
        "--ilsvrc", "--sweep", "--net", "vgg16", "--scales", "64,73,82", out="ilsvrc"
    ).stdout
    assert "64 73 82" in text and "vgg19" not in text and "110" not in text.split("\n\n")[0]


def test_an_unknown_name_is_an_error_of_one_line_with_those_that_there_are():
    result = table("--net", "resnet50")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: Unknown net of these records 'resnet50'. Known: squeezenet1_0,"
        " squeezenet1_0+timm/tf_efficientnet_lite0, timm/tf_efficientnet_lite0.\n"
    )
    result = table("--probe", "svm", "--net", "squeezenet1_0", "--scale", "512")
    assert result.stderr.startswith("Error: Unknown scales of these records '512'.")


def test_names_that_no_record_has_together_are_an_error():
    result = table("--net", "squeezenet1_0:relu=False", "--scales", "256", out="sweep")
    assert result.stderr == (
        "Error: No record is of net squeezenet1_0:relu=False, scales 256 at once. Leave one of"
        " them out.\n"
    )


def test_records_of_training_are_not_chosen_from():
    result = table("--runs", str(RESULTS / "pretraining/runs"), "--net", "vgg16")
    assert result.exit_code == 2 and "--net: choose records" in result.stderr
