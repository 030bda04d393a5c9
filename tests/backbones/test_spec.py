"""The grammar of `--net`: where names, options and weights end, and that names come back."""

import pytest
import torch
from helpers.foreign_nets import saved
from helpers.net_files import write_net

from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec, parse_fusion
from vggfeat.errors import OptionError, UnknownNameError, VggfeatError, WeightsError


@pytest.mark.parametrize(
    "text, name, options, weights",
    [
        ("vgg16", "vgg16", {}, ""),
        ("vgg16@caffe", "vgg16", {}, "caffe"),
        ("vgg16:width=0.5@random:7", "vgg16", {"width": 0.5}, "random:7"),
        ("vgg16:@a/b@c.pth", "vgg16", {}, "a/b@c.pth"),
        ("vgg16@C:w.pth", "vgg16", {}, "C:w.pth"),
        ("vgg16@dir:x/a+b.pth", "vgg16", {}, "dir:x/a+b.pth"),
        ("resnet50:layer=layer3.0.conv1,view=centre", "resnet50",
         {"layer": "layer3.0.conv1", "view": "centre"}, ""),
        ("vgg16:relu=False,ceil_mode=TRUE", "vgg16", {"relu": False, "ceil_mode": True}, ""),
        ("vgg16:mean=1/2.5/-3", "vgg16", {"mean": (1.0, 2.5, -3.0)}, ""),
        ("timm/resnet50.a1_in1k", "timm/resnet50.a1_in1k", {}, ""),
        ("timm/resnet50.a1_in1k:layer=layer3@w.safetensors", "timm/resnet50.a1_in1k",
         {"layer": "layer3"}, "w.safetensors"),
        ("my_package.nets:make", "my_package.nets:make", {}, ""),
        ("nets:make:input_size=32,layer=a.b", "nets:make", {"input_size": 32, "layer": "a.b"}, ""),
        ("nets:make@w.pth", "nets:make", {}, "w.pth"),
        ("a.pt:make", "a.pt:make", {}, ""),
        ("runs/a.safetensors", "", {}, "runs/a.safetensors"),
        ("runs/a.safetensors:layer=conv5_1", "", {"layer": "conv5_1"}, "runs/a.safetensors"),
        ("runs/a+b.pth:view=centre", "", {"view": "centre"}, "runs/a+b.pth"),
        ("C:/runs/a.onnx", "", {}, "C:/runs/a.onnx"),
    ],
)  # fmt: skip
def test_the_parts_of_a_specification(text, name, options, weights):
    spec = NetSpec.parse(text)
    assert (spec.name, spec.options, spec.weights) == (name, options, weights)
    assert spec.is_file == (not name) and spec.is_factory == (":" in name)


def test_an_at_sign_in_the_name_of_a_file_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg16@a.safetensors").touch()
    assert NetSpec.parse("vgg16@a.safetensors:layer=fc6").weights == "vgg16@a.safetensors"
    assert NetSpec.parse("vgg16@b.safetensors").weights == "b.safetensors"


@pytest.mark.parametrize(
    "text, error, message",
    [
        ("vgg16:layer", OptionError, "layer has no value"),
        ("vgg16:layer=", OptionError, "layer has no value"),
        ("vgg16:input_size=3.5", OptionError, "input_size='3.5' is not a valid value"),
        ("vgg16:relu=maybe", OptionError, "relu='maybe' is not a valid value"),
        ("timm/x:layr=a", UnknownNameError, "Did you mean 'layer'"),
        ("nets:make:inputsize=2", UnknownNameError, "Did you mean 'input_size'"),
        ("vgg16:view=top", UnknownNameError, "Unknown view of vgg16 'top'"),
        ("w.pth:layer=a,layer=b", OptionError, "layer is given twice"),
        ("vgg16@random:", OptionError, "random weights need a seed"),
        ("vgg16@random:-1", OptionError, "random weights need a seed"),
    ],
)
def test_what_cannot_be_read(text, error, message):
    with pytest.raises(error, match=message):
        NetSpec.parse(text)


def test_an_option_that_is_set_later_is_checked_too():
    spec = NetSpec.parse("vgg16@random:0")
    with pytest.raises(OptionError, match="vgg16: layer has no value"):
        spec.with_option("layer", "")
    with pytest.raises(UnknownNameError, match="Unknown view of vgg16 'top'"):
        spec.with_option("view", "top")


def test_the_home_of_a_user_that_there_is_not_is_a_file_that_is_not_there():
    for text in ("~no_such_user/w.safetensors", "vgg16@~no_such_user/w.safetensors"):
        with pytest.raises(WeightsError, match="~no_such_user/w.safetensors: no such weights file"):
            load_network(text)


@pytest.mark.parametrize(
    "parts",
    [
        ["vgg16", "resnet50:layer=layer3"],
        ["vgg16@a+b.pth", "vgg19@caffe", "timm/test_vit.r160_in1k@timm"],
        ["nets:make", "package.nets:other:layer=x@a+b.safetensors"],
        ["runs/a.safetensors", "runs/b.safetensors:layer=fc6", "vgg16"],
        ["runs/a+b.safetensors", "vgg16@random:3", "resnet18@IMAGENET1K_V1"],
        ["a+b+c.pth"],
        ["vgg16", "nonsense"],
    ],
)
def test_nets_that_are_joined_are_told_apart(parts):
    assert [str(spec) for spec in parse_fusion("+".join(parts))] == parts


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("vgg16:view=centre,layer=fc6,width=0.50@random:3",
         "vgg16:width=0.5,layer=fc6,view=centre@random:3"),
        ("resnet18:layer=layer3,view=centre", "resnet18:view=centre,layer=layer3"),
        ("vgg16:@caffe", "vgg16@caffe"),
        ("vgg16:relu=False,std=1/1/1,mean=1/2.50/-3", "vgg16:relu=false,mean=1/2.5/-3,std=1/1/1"),
        ("timm/a.b_c:input_size=064@w.pth", "timm/a.b_c:input_size=64@w.pth"),
        ("nets:make:layer=z@w.pth", "nets:make:layer=z@w.pth"),
        ("runs/a.pth:layer=y,view=centre", "runs/a.pth:view=centre,layer=y"),
    ],
)  # fmt: skip
def test_the_text_of_a_net_has_its_options_in_one_order_and_is_read_as_the_same_net(
    text, canonical
):
    spec = NetSpec.parse(text)
    assert str(spec) == canonical
    assert NetSpec.parse(canonical) == spec and hash(NetSpec.parse(canonical)) == hash(spec)


@pytest.mark.parametrize(
    "text, changed",
    [
        ("vgg16", "vgg16:layer=x"),
        ("vgg16@w.pth", "vgg16:layer=x@w.pth"),
        ("vgg16:layer=y,width=2@a:b.pth", "vgg16:width=2.0,layer=x@a:b.pth"),
        ("nets:make", "nets:make:layer=x"),
        ("nets:make:layer=z@w.pth", "nets:make:layer=x@w.pth"),
        ("runs/a.pth", "runs/a.pth:layer=x"),
    ],
)
def test_an_option_is_set_whether_it_is_there_or_not(text, changed):
    spec = NetSpec.parse(text).with_option("layer", "x")
    assert str(spec) == changed
    assert spec.with_option("layer", "x") == spec
    assert spec.with_option("layer", None).layer is None
    with pytest.raises(UnknownNameError, match="Did you mean 'layer'"):
        spec.with_option("layr", "x")


def test_options_that_were_not_given_are_none():
    spec = NetSpec.parse("vgg16:width=0.5@random:7")
    assert (spec.width, spec.seed) == (0.5, 7)
    assert spec.input_size is spec.ceil_mode is spec.relu is spec.layer is spec.view is None
    assert NetSpec.parse("vgg16@caffe").seed is None


def test_a_view_that_there_is_not_is_refused_before_a_net_is_made():
    with pytest.raises(UnknownNameError, match="view of vgg16 'center'. Did you mean 'centre'"):
        NetSpec.parse("vgg16:view=center")


NARROW = "vgg11:width=0.0625,input_size=32"


@pytest.mark.parametrize(
    "text, name",
    [
        (f"{NARROW}@random:0", NARROW),
        (f"{NARROW},layer=conv5_2,relu=false,view=corners@random:0",
         f"{NARROW},relu=false,layer=conv5_2,view=corners"),
        (f"{NARROW},layer=fc7,view=dense,ceil_mode=false@random:0", NARROW),
        ("resnet18:layer=layer3@random:0", "resnet18:layer=layer3"),
        ("resnet18:layer=input of fc,view=dense,input_size=224@random:0", "resnet18"),
        ("resnet18:view=resized,layer=fc@random:0", "resnet18:view=resized,layer=fc"),
        ("squeezenet1_1:relu=false@random:0", "squeezenet1_1:relu=false"),
        ("vit_b_32:view=centre@random:0", "vit_b_32"),
        ("timm/test_resnet.r160_in1k:view=centre@random:0",
         "timm/test_resnet.r160_in1k:view=centre"),
    ],
)  # fmt: skip
def test_a_name_comes_back_as_it_is(text, name):
    network = load_network(text)
    assert network.name == name
    again = load_network(f"{network.name}@{network.weights}")
    assert again.name == name and again.identity == network.identity
    assert again.backbone.layer == network.backbone.layer


@pytest.mark.parametrize("file", ["w.safetensors", "a+b.safetensors", "a@b:c.safetensors"])
def test_a_file_that_stands_alone_is_its_net_with_options(tmp_path, file):
    path = write_net(tmp_path / file)
    usual, other = load_network(str(path)), load_network(f"{path}:layer=conv5_2,view=centre")
    assert usual.name == NARROW
    assert other.name == f"{NARROW},layer=conv5_2,view=centre"
    assert str(other.spec.architecture) == NARROW
    assert usual.shares_pass(load_network(f"{path}:layer=conv5_2"))
    assert not usual.shares_pass(other)  # it sees something else of the pictures
    assert load_network(f"{other.name}@{path}").identity == other.identity
    assert parse_fusion(f"{path}+vgg16") == (NetSpec(weights=str(path)), NetSpec("vgg16"))


def test_weights_of_another_net_share_no_pass(tmp_path):
    one, other = (saved(torch.nn.Linear(1, 1 + i), tmp_path / f"{i}.pth") for i in range(2))
    networks = [
        load_network(f"{NARROW},layer={layer}@{file}")
        for layer, file in (("fc7", one), ("fc6", one), ("fc6", other))
    ]
    assert networks[0].shares_pass(networks[1])
    assert not networks[0].shares_pass(networks[2])
    scaled = load_network(f"{NARROW},layer=fc6,std=1/1/1@{one}")
    assert not networks[0].shares_pass(scaled)


@pytest.mark.parametrize("name", ["x" * 300 + ".pth", "a@" + "x" * 300 + ".pth", "a\0b@c.pth"])
def test_names_that_no_file_can_have_are_no_files(name):
    try:
        assert str(NetSpec.parse(name))
    except VggfeatError:
        pass
