"""What has to be known of a library's net is the same from its file, without the library."""

import json
import sys
from dataclasses import replace

import pytest

from vggfeat.backbones import timm, torchvision
from vggfeat.backbones.anatomy import Anatomy
from vggfeat.backbones.spec import parse_fusion

NETS = [
    (torchvision._anatomy, ("squeezenet1_0", "torchvision", None)),
    (torchvision._anatomy, ("mobilenet_v2", "torchvision", 99)),
    (torchvision._anatomy, ("resnet18", "IMAGENET1K_V1", None)),
    (timm._anatomy, ("test_convnext", None)),
    (timm._anatomy, ("test_vit", None)),
]


@pytest.mark.parametrize("look_up, question", NETS, ids=[question[0] for _, question in NETS])
def test_nothing_is_lost_in_json(look_up, question):
    anatomy = look_up(*question)
    again = Anatomy.from_json(json.loads(json.dumps(anatomy.to_json())))
    assert again == anatomy
    assert again.shapes.layers == anatomy.shapes.layers  # in their order


@pytest.mark.parametrize("options", ["", ":layer=norm_pre", ":input_size=96,view=centre"])
def test_a_net_is_known_again_without_timm(options, home, monkeypatch):
    ((spec,),) = [parse_fusion(f"timm/test_convnext{options}")]
    real = timm.timm_backbone(spec)
    monkeypatch.delitem(sys.modules, "timm")
    timm.timm_backbone(spec)  # is kept
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    assert len(list((home / "libraries").iterdir())) == 1
    again = timm.timm_backbone(spec)
    assert "timm" not in sys.modules
    functions = {"build": None, "to_maps": None, "to_outputs": None, "needs": None}
    functions |= {"layer_shapes": None}
    assert replace(again, **functions) == replace(real, **functions)
    keys = ("stem.0.weight", "head.fc.weight", "stages.0.blocks.0.conv_dw.weight")
    assert list(again.layer_shapes().items()) == list(real.layer_shapes().items())
    assert [again.needs(key) for key in keys] == [real.needs(key) for key in keys]
