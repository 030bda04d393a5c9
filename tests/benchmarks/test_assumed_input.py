"""A benchmark with a net in a file of which nobody says what its input is normalised with."""

import json

import pytest
import torch
from click.testing import CliRunner
from helpers.trees import write_all
from torch import nn

from vggfeat.cli import main

ASSUMED = "mean=123.675/116.28/103.53,std=58.395/57.12/57.375"


@pytest.fixture
def net(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.export.export(module, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


@pytest.fixture
def bench(home, tmp_path):
    data = tmp_path / "data"
    write_all(data)

    def bench(net, *options):
        arguments = ["bench", "caltech101", "--net", str(net), "--data-dir", str(data), "--offline",
                     "--limit", "40", "--scales", "40", "--no-mirror", "--splits", "1",
                     "--out", str(tmp_path / "out"), *options]  # fmt: skip
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.stderr
        return result

    return bench


def test_the_assumption_is_told_once_noted_in_the_record_and_under_the_table(bench, net, tmp_path):
    result = bench(net)
    told = f"net.pt2@own: nothing says what its input is normalised with; assumed: {ASSUMED}"
    assert result.stderr.count("nothing says what its input") <= 1
    (path,) = (tmp_path / "out").glob("caltech101/*.json")
    record = json.loads(path.read_text())
    assert told in record["notes"] and record["nets"][0]["assumed"] == ASSUMED
    assert f"input statistics of net.pt2 assumed, {ASSUMED}" in result.stdout


def test_what_is_stated_is_not_told(bench, net, tmp_path):
    result = bench(f"{net}:mean=123.675/116.28/103.53,std=58.395/57.12/57.375")
    assert "assumed" not in result.stderr + result.stdout
    (path,) = (tmp_path / "out").glob("caltech101/*.json")
    record = json.loads(path.read_text())
    assert not any("assumed" in note for note in record["notes"])
    assert record["nets"][0]["assumed"] == ""
