"""timm's nets: the same numbers as timm's own code gives, and what is said where timm cannot."""

import sys

import huggingface_hub
import pytest
import torch
from helpers.foreign_nets import random_images, saved, shaken

from vggfeat.backbones.check import check_net
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import (
    DownloadError,
    NetworkError,
    OptionError,
    UnknownNameError,
    WeightsError,
)

timm = pytest.importorskip("timm")


def own_net(name, **keywords):
    return shaken(timm.create_model(name, pretrained=False, **keywords))


@pytest.mark.parametrize(
    "name, size, view",
    [
        ("test_vit", (160, 160), "centre"),
        ("test_resnet", (96, 131), "dense"),
        ("test_convnext", (96, 131), "dense"),
        ("test_efficientnet", (160, 97), "dense"),
    ],
)
def test_the_descriptor_is_what_timm_calls_pre_logits(tmp_path, name, size, view):
    net = own_net(name, num_classes=9)
    network = load_network(f"timm/{name}@{saved(net, tmp_path / 'w.pth')}")
    assert network.backbone.view == view
    images = random_images(2, 3, *size)
    with torch.inference_mode():
        expected = net.forward_head(net.forward_features(images), pre_logits=True)
        maps = network.module(images)
        assert maps.shape == (2, network.backbone.dim, 1, 1)
        torch.testing.assert_close(maps[:, :, 0, 0], expected)
        torch.testing.assert_close(network.output_map(images)[:, :, 0, 0], net(images))
    assert network.num_outputs == 9


def test_a_vit_has_its_class_token_and_tokens():
    network = load_network("timm/test_vit@random:0")
    net = network.net()
    images = random_images(2, 3, 160, 160)
    with torch.inference_mode():
        norm, head = network.backbone.to_maps(net, ["norm", "input of head"])(images)
    # Without dropout and fc_norm, the class token goes into the head as the norm gives it.
    assert norm.shape == (2, network.backbone.dim, norm.shape[2], 1) and norm.shape[2] > 100
    torch.testing.assert_close(norm[:, :, :1], head)


@pytest.mark.parametrize("layer, dim", [("layers.0", 96), ("layers.3", 768), ("norm", 768)])
def test_swin_gives_rows_of_channels_though_it_takes_one_size_only(layer, dim):
    backbone = load_network(f"timm/swin_tiny_patch4_window7_224:layer={layer}@random:0").backbone
    assert backbone.dim == dim and not backbone.any_size


@pytest.mark.parametrize("name", ["twins_pcpvt_small", "lambda_resnet26t", "efficientvit_b0"])
def test_attention_by_another_name_is_attention(name):
    """These take pictures of any size, at which they are other nets."""
    assert load_network(f"timm/{name}@random:0").backbone.view == "centre"


def test_windows_of_swin_are_refused_in_one_line():
    layer = "layers.0.blocks.0.attn"
    with pytest.raises(NetworkError, match=f"layer '{layer}' gives a tensor 64x49x96") as refused:
        load_network(f"timm/swin_tiny_patch4_window7_224:layer={layer}@random:0")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "test_resnet.r160_in1k"])
def test_pictures_are_normalised_as_the_configuration_of_the_tag_says(name):
    network = load_network(f"timm/{name}@random:0")
    config = timm.get_pretrained_cfg(name)
    assert network.name == f"timm/{name}" and network.weights == "random:0"
    assert network.statistics.mean == pytest.approx([255 * number for number in config.mean])
    assert network.statistics.std == pytest.approx([255 * number for number in config.std])
    assert network.backbone.input_size == config.input_size[-1]


def test_another_input_size_makes_another_vit(tmp_path):
    net = own_net("test_vit", img_size=96)
    file = saved(net, tmp_path / "w.pth")
    network = load_network(f"timm/test_vit:input_size=96@{file}")
    assert network.backbone.layer == "input of head, centre crop of 96"
    images = random_images(1, 3, 96, 96)
    with torch.inference_mode():
        expected = net.forward_head(net.forward_features(images), pre_logits=True)
        torch.testing.assert_close(network.module(images)[:, :, 0, 0], expected)
    with pytest.raises(WeightsError, match="'pos_embed' has shape"):
        load_network(f"timm/test_vit@{file}").net()


def test_a_convolutional_net_has_another_crop_only():
    usual, smaller = (
        load_network(f"timm/test_resnet{options}@random:0").backbone
        for options in ("", ":input_size=96,view=centre")
    )
    assert (usual.input_size, smaller.input_size) == (160, 96)
    assert smaller.layer == f"{usual.layer}, centre crop of 96"


def test_nets_with_several_classifiers_need_a_layer():
    name = "timm/deit_tiny_distilled_patch16_224"
    with pytest.raises(NetworkError, match=f"{name}: has several classifiers. Choose a layer"):
        load_network(f"{name}@random:0")
    backbone = load_network(f"{name}:layer=norm@random:0").backbone
    assert (backbone.layer_name, backbone.dim) == ("norm", 192)


def test_a_net_without_a_classifier_gives_its_features():
    """DINOv2 has an identity in its place."""
    backbone = load_network("timm/vit_small_patch14_dinov2:input_size=70@random:0").backbone
    assert (backbone.dim, backbone.view, backbone.input_size) == (384, "centre", 70)


@pytest.mark.parametrize(
    "specification, error, message",
    [
        ("timm/test_resne", UnknownNameError, "Did you mean 'timm/test_resnet'"),
        ("timm/test_resnet.nosuch", NetworkError, "no configuration of that tag"),
        ("timm/test_resnet:layer=layer5", UnknownNameError, "Did you mean 'layer4'"),
        ("timm/test_resnet:input_size=0", OptionError, "at least 1; got 0"),
        ("timm/test_vit:input_size=-1", OptionError, "at least 1; got -1"),
        ("timm/test_vit:view=dense", NetworkError, "no dense view of it.*view=centre"),
        ("timm/test_vit:view=center", UnknownNameError, "Did you mean 'centre'"),
        ("timm/test_vit:width=2", NetworkError, "has no option 'width'"),
    ],
)
def test_what_timms_nets_refuse_before_anything_is_fetched(specification, error, message):
    with pytest.raises(error, match=message):
        check_net(NetSpec.parse(specification))
    with pytest.raises(error, match=message):
        load_network(f"{specification}@random:0")


def test_a_layers_typo_counts_the_names_it_does_not_list():
    with pytest.raises(UnknownNameError, match=r"Known: 1[\d]{3} names\.$"):
        check_net(NetSpec("timm/nothing_like_it_at_all"))


def test_weights_are_fetched_from_timms_repository(tmp_path, monkeypatch):
    net = own_net("test_resnet")
    from safetensors.torch import save_file

    save_file(net.state_dict(), tmp_path / "model.safetensors")
    asked = []

    def fetch(repository, file, **keywords):
        asked.append((repository, file, keywords))
        return str(tmp_path / "model.safetensors")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    network = load_network("timm/test_resnet", weights_dir=tmp_path / "cache", offline=True)
    images = random_images(1, 3, 64, 64)
    with torch.inference_mode():
        expected = net.forward_head(net.forward_features(images), pre_logits=True)
        torch.testing.assert_close(network.module(images)[:, :, 0, 0], expected)
    ((repository, file, keywords),) = asked
    assert (repository, file) == ("timm/test_resnet.r160_in1k", "model.safetensors")
    assert keywords["local_files_only"] is True
    assert tmp_path / "cache" in keywords["cache_dir"].parents
    assert network.label == "timm/test_resnet@timm" and len(network.weights_sha256) == 64


@pytest.mark.parametrize("weights", ["torchvision", "caffe", "IMAGENET1K_V2"])
def test_weights_of_others_are_not_timms(weights):
    with pytest.raises(UnknownNameError, match=f"'{weights}'.* Known: timm"):
        load_network(f"timm/test_resnet@{weights}")


def test_weights_that_cannot_be_had_say_what_to_do(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("the hub cannot be reached\nand more lines")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(DownloadError, match=r"cannot be had .*name it: timm/test_vit@FILE"):
        load_network("timm/test_vit", weights_dir=tmp_path)
    with pytest.raises(WeightsError, match="timm has no weights for timm/resnet26t.*random:0"):
        monkeypatch.setattr(
            timm, "get_pretrained_cfg", lambda *_, **__: timm.models.PretrainedCfg()
        )
        from vggfeat.backbones.timm import file_of

        file_of("timm/resnet26t", tmp_path)


def test_without_timm_its_nets_say_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(NetworkError, match=r"pip install 'vggfeat\[timm\]'"):
        load_network("timm/test_vit@random:0")
