"""`--net NAME=SPEC`: what of a text is a name, and which names are refused."""

import pytest

from vggfeat.backbones.given_names import at_layers, name_of, parse_named
from vggfeat.backbones.spec import fusion_text, parse_fusion
from vggfeat.errors import OptionError


def named(*texts: str) -> dict[str, str]:
    """Specification -> name, empty where it has none."""
    fusions, names = parse_named(texts)
    return {fusion_text(fusion): names.get(fusion, "") for fusion in fusions}


@pytest.mark.parametrize(
    ("text", "spec", "name"),
    [
        ("deep=vgg19", "vgg19", "deep"),
        ("My net no. 2=vgg16+vgg19", "vgg16+vgg19", "My net no. 2"),
        ("Größe = vgg16", "vgg16", "Größe"),
        ("a-b_c.d=vgg16:width=0.25@random:0", "vgg16:width=0.25@random:0", "a-b_c.d"),
        ("x=runs/y=1.safetensors", "runs/y=1.safetensors", "x"),
        # No names: what stands before "=" is an option, or in a path.
        ("vgg16:width=0.25", "vgg16:width=0.25", ""),
        ("runs/rate=0.1/a.safetensors", "runs/rate=0.1/a.safetensors", ""),
        ("runs/a.safetensors:layer=fc6", "runs/a.safetensors:layer=fc6", ""),
        ("vgg16@rate=0.1.pth", "vgg16@rate=0.1.pth", ""),
        ("my_nets:small:layer=fc", "my_nets:small:layer=fc", ""),
    ],
)
def test_a_name_comes_first_and_holds_no_sign_of_a_specification(text, spec, name):
    assert named(text) == {spec: name}


def test_a_file_whose_own_name_has_an_equals_sign_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rate=1.safetensors").touch()
    assert named("rate=1.safetensors") == {"rate=1.safetensors": ""}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a="], "a=: no net stands behind the name, as in a=vgg16."),
        (["a=vgg16", "a=vgg19"], "a=vgg19: another net is named 'a', too. Choose another name."),
        (["a=vgg16", "b=vgg16"], "the same net is named 'a', too. Leave one of them out."),
        (
            ["vgg16=vgg16:width=0.5"],
            "vgg16 is a net itself. Choose another name, such as 'my vgg16'",
        ),
        (["resnet50=vgg16"], "resnet50 is a net itself"),
    ],
)
def test_a_name_is_one_nets_and_no_other_net_has_it(texts, message):
    with pytest.raises(OptionError) as error:
        parse_named(texts)
    assert message in str(error.value)


def test_the_same_net_by_the_same_name_twice_is_one_net():
    assert named("a=vgg16", "a=vgg16") == {"vgg16": "a"}


def test_a_net_before_its_relu_and_at_layers_is_told_from_the_named_one():
    fusions, names = parse_named(["x=vgg16"])
    assert name_of(parse_fusion("vgg16:relu=false"), names) == "x:relu=false"
    assert name_of(parse_fusion("vgg19"), names) == ""
    assert list(at_layers(fusions, names, ["fc6"])[1].values()) == ["x"]
    several, names = at_layers(fusions, names, ["fc6", "fc7"])
    assert list(map(fusion_text, several)) == ["vgg16:layer=fc6", "vgg16:layer=fc7"]
    assert list(names.values()) == ["x:layer=fc6", "x:layer=fc7"]
