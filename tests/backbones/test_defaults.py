"""What a net of each kind has where `--net` says nothing: the rows of defaults.py."""

import pytest
import torch
from helpers.foreign_nets import saved
from torch import nn

from vggfeat import vgg
from vggfeat.backbones import defaults
from vggfeat.backbones.load import load_network
from vggfeat.input_statistics import PAPER_STATISTICS, TORCHVISION_STATISTICS


@pytest.mark.parametrize(
    "net, row, layer, view, input_size",
    [
        ("vgg16:width=0.0625", defaults.PAPER, "fc7", "dense", 224),
        ("squeezenet1_1", defaults.SQUEEZENET, "features", "dense", 224),
        ("alexnet", defaults.TORCHVISION_FC, "input of classifier.6", "dense", 224),
        ("resnet18", defaults.TORCHVISION, "input of fc", "dense", 224),
        ("vit_b_32", defaults.TORCHVISION, "input of heads.head", "centre", 224),
        ("timm/test_resnet.r160_in1k", defaults.TIMM, "input of fc", "dense", 160),
        ("timm/test_vit.r160_in1k", defaults.TIMM, "input of head", "centre", 160),
    ],
)
def test_a_net_without_options_is_as_the_row_of_its_kind_says(net, row, layer, view, input_size):
    backbone = load_network(f"{net}@random:0").backbone
    assert (backbone.layer_name, backbone.view, backbone.input_size) == (layer, view, input_size)
    assert backbone.layer_name.startswith(row.layer.partition("{")[0])
    assert backbone.view == row.view_for(any_size=backbone.any_size)
    assert row.input_size in (backbone.input_size, None)
    assert row.statistics in (backbone.statistics, None)


def test_a_users_function_and_an_exported_net_give_their_output(tmp_path, monkeypatch):
    (tmp_path / "nets_by_default.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Conv2d(3, 4, 3)\n"
    )
    monkeypatch.chdir(tmp_path)
    example = torch.zeros(2, 3, 224, 224)
    torch.export.save(torch.export.export(nn.Conv2d(3, 4, 3), (example,)), tmp_path / "net.pt2")
    for name, view in (("nets_by_default:net", "dense"), ("net.pt2", "centre")):
        network = load_network(name)
        backbone = network.backbone
        assert (backbone.layer_name, backbone.view, backbone.input_size) == ("output", view, 224)
        assert network.statistics == TORCHVISION_STATISTICS


def test_a_file_of_a_paper_net_that_says_nothing_is_taken_for_torchvisions(tmp_path):
    path = saved(vgg.build("vgg11", width=0.0625, input_size=32), tmp_path / "w.pth")
    name = "vgg11:width=0.0625,input_size=32"
    assert load_network(f"{name}@{path}").statistics == TORCHVISION_STATISTICS
    assert load_network(f"{name}@random:0").statistics == PAPER_STATISTICS
    assert load_network(f"{name},mean=1/2/3@{path}").statistics.mean == (1.0, 2.0, 3.0)
