"""ls: what is listed is what the other commands take, and says so in few columns."""

import csv
import json

import pytest

from vggfeat.report.published import read_published


@pytest.fixture
def listed(run):
    def listed(*arguments):
        result = run("ls", *arguments, "--format", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return listed


def test_nets_are_those_that_can_be_named(listed):
    from vggfeat.backbones.check import check_net
    from vggfeat.backbones.spec import NetSpec

    nets = {line["net"] for line in listed("nets")}
    assert {"vgg16_1x1", "resnet50", "timm/resnet50"} <= nets
    for name in ("vgg11", "squeezenet1_1"):
        check_net(NetSpec.parse(f"{name}@random:0"))
    assert {line["net"] for line in listed("nets", "SqueezeNet1")} == {
        "squeezenet1_0", "squeezenet1_1",
    }  # fmt: skip


def test_nets_are_grouped_and_timm_is_counted(run):
    lines = run("ls", "nets").stdout.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) < 60
    assert any(line.startswith("timm") and "ls nets TEXT" in line for line in lines)
    result = run("ls", "nets", "resnett")
    assert result.exit_code == 1 and "Unknown net 'resnett'. Did you mean" in result.stderr


def test_layers_of_a_paper_net_have_the_shapes_of_its_table(listed):
    """Simonyan & Zisserman (2014), Table 1: five poolings halve 224 to 7; 64 to 512 channels."""
    shapes = {line["layer"]: line["shape"] for line in listed("layers", "vgg16")}
    assert list(shapes) == [
        "conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1", "conv3_2",
        "conv3_3", "pool3", "conv4_1", "conv4_2", "conv4_3", "pool4", "conv5_1", "conv5_2",
        "conv5_3", "pool5", "fc6", "fc7", "fc8",
    ]  # fmt: skip
    assert shapes["conv1_2"] == "64 x 224 x 224" and shapes["pool5"] == "512 x 7 x 7"
    assert shapes["fc7"] == "4096 x 1 x 1" and shapes["fc8"] == "1000 x 1 x 1"


@pytest.mark.parametrize("net", ["vgg11:width=0.125,input_size=32", "squeezenet1_1", "resnet18"])
def test_layers_are_those_that_layer_takes(listed, net):
    """A hook on the built net sees the shapes that are listed, of every third layer."""
    import torch

    from vggfeat.backbones.load import backbone_of
    from vggfeat.backbones.spec import NetSpec

    lines = listed("layers", f"{net}@weights-that-are-nowhere.pth")
    (default,) = (line["layer"] for line in lines if line["default"])
    assert default == backbone_of(NetSpec.parse(net)).layer_name
    for line in lines[::3]:
        backbone = backbone_of(NetSpec.parse(net).with_option("layer", line["layer"]))
        with torch.device("meta"):
            maps = backbone.to_maps(backbone.build(None).eval(), [backbone.layer_name])
            side = backbone.input_size
            (given,) = maps(torch.zeros(1, 3, side, side))
        assert given.shape[1] == backbone.dim
        assert line["shape"].split(" x ")[0] == str(backbone.dim)
        assert line["of a picture of"] == f"{side} x {side}"


def test_layers_of_nets_that_are_files(listed, tmp_path):
    """A convolution of stride 2 and a linear layer, by torch.export and as an ONNX graph."""
    import numpy as np
    import onnx
    import torch
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(4, 5)).eval()  # fmt: skip
    torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 32, 32),)), tmp_path / "a.pt2")
    shapes = {line["layer"]: line["shape"] for line in listed("layers", tmp_path / "a.pt2")}
    assert (shapes["0"], shapes["3"], shapes["output"]) == ("4 x 16 x 16", "5", "5")

    floats, make = onnx.TensorProto.FLOAT, onnx.helper.make_node
    weight = onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    graph = onnx.helper.make_graph(
        [make("Conv", ["x", "w"], ["conv"], strides=[2, 2], pads=[1, 1, 1, 1]),
         make("Relu", ["conv"], ["relu"]), make("GlobalAveragePool", ["relu"], ["mean"])],
        "g", [onnx.helper.make_tensor_value_info("x", floats, [1, 3, 32, 32])],
        [onnx.helper.make_tensor_value_info("mean", floats, [1, 4, 1, 1])], [weight],
    )  # fmt: skip
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "a.onnx")
    shapes = {line["layer"]: line["shape"] for line in listed("layers", tmp_path / "a.onnx")}
    assert shapes == {"conv": "4 x 16 x 16", "relu": "4 x 16 x 16", "mean": "4 x 1 x 1"}


def test_layers_of_an_unknown_net(run):
    result = run("ls", "layers", "resnet51")
    assert result.exit_code == 1 and "Did you mean 'resnet" in result.stderr


def test_benchmarks_have_metric_and_best_published_number(listed, run):
    lines = {line["benchmark"]: line for line in listed("benchmarks")}
    best = [
        row.value
        for row in read_published()
        if row.benchmark == "caltech256" and row.table in ("11", "12")
    ]
    assert lines["caltech256"]["best published (%)"] == max(best)
    later = [row.value for row in read_published() if row.benchmark == "pcam"]
    assert lines["pcam"]["best published (%)"] == max(later)
    assert lines["dtd"]["best published (%)"] is None
    assert lines["voc2007"]["metric"] == "map_11pt"  # the devkit's of that year
    assert lines["voc2012"]["data"] is None and lines["digits"]["data"] == "made here"
    text = run("ls", "benchmarks").stdout.splitlines()
    names = text.index(next(line for line in text if line.startswith("[1]")))
    assert max(map(len, text[:names])) <= 80


def test_a_benchmarks_metric_is_that_of_its_records(listed, run, tmp_path):
    for line in listed("benchmarks"):
        if line["data"] == "made here":
            net = "vgg11:width=0.0625,input_size=32@random:0"
            run("bench", line["benchmark"], "--net", net, "--scales", "32", "--limit", "4",
                "--probe", "centroid", "--out", tmp_path, "--quiet")  # fmt: skip
            (path,) = (tmp_path / line["benchmark"]).glob("*.json")
            assert json.loads(path.read_text())["metric"] == line["metric"]


def test_probes(run, listed):
    from vggfeat.probes.registry import PROBES

    assert [line["probe"] for line in listed("probes")] == list(PROBES)
    assert all(line["what it is"].endswith(".") for line in listed("probes"))
    assert max(map(len, run("ls", "probes").stdout.splitlines())) <= 92


def test_published_rows_are_those_of_the_file(run, listed):
    assert len(listed("published")) == len(read_published())
    rows = listed("published", "caltech101", "--net", "vgg19")
    assert {(row["benchmark"], row["network"]) for row in rows} == {
        ("caltech101", "vgg19"), ("caltech101", "vgg16+vgg19"),
    }  # fmt: skip
    result = run("ls", "published", "voc2007", "--format", "csv")
    (first, *_) = csv.DictReader(result.stdout.splitlines())
    assert first["value"] == "82.4"
    text = run("ls", "published", "caltech101").stdout
    assert "92.7 ± 0.5 [1]" in text and "[1] Simonyan & Zisserman (2014) Table 11" in text
    assert " 90.05 [" in text  # of two digits as printed
    result = run("ls", "published", "caltech102")
    assert result.exit_code == 1 and "Did you mean 'caltech101'" in result.stderr
    result = run("ls", "published", "svhn")  # a benchmark, of which nothing is published
    assert "Unknown benchmark with published numbers 'svhn'" in result.stderr


@pytest.mark.parametrize("width", [80, 60, 32])
@pytest.mark.parametrize("names", [["benchmarks"], ["suites"], ["published", "caltech101"]])
def test_no_listing_is_wider_than_the_terminal(names, width, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("ls", *names).stdout.splitlines()
    assert max(map(len, lines)) <= width
    whole = " ".join(line.strip() for line in lines)
    told = {"benchmarks": "102 flowers", "suites": "Birdsnap", "published": "91.8"}
    assert told[names[0]] in whole


def test_a_benchmark_that_says_nothing_of_its_task_is_listed(run, monkeypatch):
    from dataclasses import replace

    from vggfeat.benchmarks.datasets import registry

    plain = replace(registry.definition_of("caltech101"), name="plain", about="", published=())
    monkeypatch.setattr(registry, "DATASETS", (*registry.DATASETS, plain))
    (line,) = (x for x in run("ls", "benchmarks").stdout.splitlines() if x.startswith("plain"))
    assert line.split() == ["plain", "mean", "class", "recall", "-"]
