"""torchvision's nets: the same numbers as torchvision's own code gives, at any layer and size."""

import hashlib
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision
from helpers.foreign_nets import random_images, saved, shaken
from torch import nn
from torchvision import models

from vggfeat.backbones import load
from vggfeat.backbones.load import load_network
from vggfeat.errors import NetworkError, OptionError, WeightsError
from vggfeat.features import forward
from vggfeat.input_statistics import TORCHVISION_STATISTICS, InputStatistics
from vggfeat.weights import released

FROM_MINUS_1_TO_1 = InputStatistics((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))


@torch.inference_mode()
def found(specification, images):
    return load_network(specification).module(images)


def narrow_vgg(width=4, units=256, classes=10, side=1):
    """torchvision's VGG-11, convolutions by its own code, with fewer channels."""
    channels = [width, "M", 2 * width, "M", *2 * [4 * width], "M", *2 * [8 * width], "M"]
    net = nn.Module()
    net.features = models.vgg.make_layers([*channels, *2 * [8 * width], "M"])
    net.classifier = nn.Sequential(
        nn.Linear(8 * width * side * side, units), nn.ReLU(True), nn.Dropout(),
        nn.Linear(units, units), nn.ReLU(True), nn.Dropout(),
        nn.Linear(units, classes),
    )  # fmt: skip
    return net.eval()


@pytest.mark.parametrize("side", [1, 2])
def test_the_familys_dense_net_gives_torchvisions_logits_in_every_window(tmp_path, side):
    net = narrow_vgg(side=side)
    file = saved(net, tmp_path / "w.pth")
    name = f"vgg11:width=0.0625,input_size={32 * side}@{file}"
    images = random_images(2, 3, 96, 128)
    with torch.inference_mode():
        logits = load_network(name).output_map(images)
        fc7 = load_network(name).module(images)
        maps = net.features(images)
        assert logits.shape == (2, 10, 4 - side, 5 - side)
        for y in range(4 - side):
            for x in range(5 - side):
                window = maps[:, :, y : y + side, x : x + side].flatten(1)
                torch.testing.assert_close(logits[:, :, y, x], net.classifier(window))
                torch.testing.assert_close(fc7[:, :, y, x], net.classifier[:5](window))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg11", "vgg16"])
def test_the_paper_nets_give_torchvisions_logits(tmp_path, name):
    net = models.get_model(name, weights=None).eval()
    network = load_network(f"{name}@{saved(net, tmp_path / 'w.pth')}")
    images = random_images(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network.output_map(images)[:, :, 0, 0], net(images))
        fc7 = net.classifier[:5](net.features(images).flatten(1))
        torch.testing.assert_close(network.module(images)[:, :, 0, 0], fc7)


@pytest.mark.parametrize(
    "name, size, side",
    [
        ("alexnet", (256, 290), 6),
        pytest.param("vgg11_bn", (256, 290), 7, marks=pytest.mark.slow),
    ],
)
def test_nets_with_a_classifier_are_applied_densely(name, size, side):
    """As the original at its own size, and elsewhere as its classifier on each window."""
    network = load_network(f"{name}@random:0")
    assert network.backbone.layer == "input of classifier.6" and network.backbone.dim == 4096
    net = shaken(network.net())
    own, larger = random_images(1, 3, 224, 224), random_images(1, 3, *size, seed=1)
    with torch.inference_mode():
        scores, fc7 = net(own), net.classifier[:6](net.features(own).flatten(1))
        first = net.features[0](own)
        maps = net.features(larger)
        outputs = network.backbone.to_outputs(net)
        torch.testing.assert_close(outputs(own)[:, :, 0, 0], scores)
        logits = outputs(larger)
        dense = network.backbone.to_maps(net, ["input of classifier.6", "features.0"])
        hidden, conv1 = dense(own)
        torch.testing.assert_close(hidden[:, :, 0, 0], fc7)
        torch.testing.assert_close(conv1, first)  # the ReLU after it works in place
        assert (conv1 < 0).any()
        hidden = dense(larger)[0]
        height, width = (length - side + 1 for length in maps.shape[2:])
        assert logits.shape == (1, 1000, height, width) and height * width > 1
        for y in range(height):
            for x in range(width):
                window = maps[:, :, y : y + side, x : x + side].flatten(1)
                torch.testing.assert_close(logits[:, :, y, x], net.classifier(window))
                torch.testing.assert_close(hidden[:, :, y, x], net.classifier[:6](window))


def test_what_a_dense_form_needs_depends_on_the_layer():
    assert load_network("alexnet@random:0").backbone.min_size == 224
    assert load_network("alexnet:layer=output@random:0").backbone.min_size == 224
    assert load_network("alexnet:layer=features.5@random:0").backbone.min_size == 63


def test_resnets_descriptor_is_the_mean_of_its_last_block(tmp_path):
    net = shaken(models.resnet18(weights=None, num_classes=7))
    file = saved(net, tmp_path / "w.pth")
    images = random_images(2, 3, 97, 130)
    with torch.inference_mode():
        maps = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        for block in (net.layer1, net.layer2, net.layer3, net.layer4):
            maps = block(maps)
        mean = maps.mean(dim=(2, 3), keepdim=True)
        torch.testing.assert_close(found(f"resnet18@{file}", images), mean)
        torch.testing.assert_close(found(f"resnet18:layer=layer4@{file}", images), maps)
        network = load_network(f"resnet18@{file}")
        assert network.num_outputs == 7
        torch.testing.assert_close(network.output_map(images)[:, :, 0, 0], net(images))
    assert network.statistics == TORCHVISION_STATISTICS


@pytest.mark.parametrize(
    "name, last",
    [("squeezenet1_1", "features"), ("mobilenet_v3_small", None), ("shufflenet_v2_x0_5", "conv5")],
)
def test_small_nets_without_batch_counts_in_their_files(tmp_path, name, last):
    """Files from before torch 0.4.1 have no num_batches_tracked."""
    net = shaken(models.get_model(name, weights=None))
    tensors = {k: v for k, v in net.state_dict().items() if not k.endswith("batches_tracked")}
    torch.save(tensors, tmp_path / "w.pth")
    images = random_images(2, 3, 64, 75)
    network = load_network(f"{name}@{tmp_path}/w.pth")
    with torch.inference_mode():
        maps = network.module(images)
        if last is None:
            pooled = net.features(images).mean(dim=(2, 3))
            hidden = net.classifier[0](pooled)
            expected = (hidden * (hidden + 3).clamp(0, 6) / 6)[:, :, None, None]
        elif last == "features":
            expected = net.features(images)
        else:
            stages = net.stage4(net.stage3(net.stage2(net.maxpool(net.conv1(images)))))
            expected = net.conv5(stages).mean(dim=(2, 3), keepdim=True)
        torch.testing.assert_close(maps, expected)
        scores = network.output_map(images).mean(dim=(2, 3))
        torch.testing.assert_close(scores, net(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_nets_that_normalise_twice_get_what_they_really_take(tmp_path, name):
    """Here -1 to 1 goes in; torchvision normalises for ImageNet and undoes it inside the net."""
    net = models.get_model_builder(name)(weights=None, transform_input=True, init_weights=False)
    shaken(net)
    aux = [key for key in net.state_dict() if key.lower().startswith("aux")]
    assert aux  # auxiliary classifiers are in torchvision's files too
    network = load_network(f"{name}@{saved(net, tmp_path / 'w.pth')}")
    assert network.statistics == FROM_MINUS_1_TO_1
    pictures = np.random.default_rng(0).integers(0, 256, (2, 96, 112, 3), dtype=np.uint8)
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    theirs = normalise(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255)
    fed = []
    net.fc.register_forward_pre_hook(lambda module, given: fed.append(given[0]))
    with torch.inference_mode():
        scores = net(theirs)
        ours = forward.to_input(pictures, network.statistics, "cpu")
        maps = network.module(ours)
        torch.testing.assert_close(maps[:, :, 0, 0], fed[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(network.output_map(ours)[:, :, 0, 0], scores,
                                   rtol=1e-4, atol=1e-4)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "resnet50", "efficientnet_v2_l"])
def test_released_weights_have_the_statistics_that_torchvision_states(name):
    """Of the two nets that normalise twice: those that are left once both are applied."""
    entry = released.released(name, "torchvision")
    transforms = next(iter(models.get_model_weights(name))).transforms()
    mean, std = np.array(transforms.mean), np.array(transforms.std)
    if name in ("googlenet", "inception_v3"):
        # (x - mean) / std * (std / 0.5) + (mean - 0.5) / 0.5
        mean, std = np.full(3, 0.5), np.full(3, 0.5)
    np.testing.assert_allclose(entry.statistics.mean, 255 * mean, atol=1e-5)
    np.testing.assert_allclose(entry.statistics.std, 255 * std, atol=1e-5)


def test_densenets_old_files_have_other_keys(tmp_path):
    net = shaken(models.densenet121(weights=None))
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", key): tensor
        for key, tensor in net.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    saved(net, tmp_path / "new.pth")
    images = random_images(1, 3, 64, 70)
    with torch.inference_mode():
        expected = net.features(images).clamp(min=0).mean(dim=(2, 3), keepdim=True)
    for file in ("old.pth", "new.pth"):
        torch.testing.assert_close(found(f"densenet121@{tmp_path}/{file}", images), expected)


def test_a_vits_descriptor_is_its_class_token_after_the_last_norm():
    network = load_network("vit_b_32:input_size=64@random:0")
    backbone = network.backbone
    assert (backbone.view, backbone.min_size, backbone.any_size) == ("centre", 64, False)
    assert backbone.layer == "input of heads.head, centre crop of 64"
    net = network.net()
    maps = backbone.to_maps(net, ["input of heads.head", "encoder", "encoder.ln"])
    images = random_images(2, 3, 64, 64)
    with torch.inference_mode():
        token, encoder, ln = maps(images)
        patches = net.conv_proj(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([net.class_token.expand(2, -1, -1), patches], dim=1)
        activations = net.encoder.layers(tokens + net.encoder.pos_embedding)
        expected = net.encoder.ln(activations)
    torch.testing.assert_close(token, expected[:, 0, :, None, None])
    torch.testing.assert_close(encoder, expected.transpose(1, 2)[..., None])  # [2, 768, 5, 1]
    assert torch.equal(encoder, ln)


def test_swins_descriptor_is_what_goes_into_its_head():
    network = load_network("swin_t:input_size=64@random:0")
    net = network.net()
    layers = ["input of head", "features.3", "norm"]
    images = random_images(1, 3, 64, 64)
    with torch.inference_mode():
        head, block, norm = network.backbone.to_maps(net, layers)(images)
        expected = net.norm(net.features(images))
        torch.testing.assert_close(norm, expected.permute(0, 3, 1, 2))
        torch.testing.assert_close(head, expected.mean(dim=(1, 2))[:, :, None, None])
        rows = net.features[:4](images)
        assert rows.shape == (1, 8, 8, 192)
        torch.testing.assert_close(block, rows.permute(0, 3, 1, 2))


def test_convnexts_descriptor_is_the_normalised_mean():
    network = load_network("convnext_tiny@random:0")
    assert network.backbone.view == "dense"
    net = network.net()
    images = random_images(1, 3, 64, 96)
    layers = ["input of classifier.2", "features.1.0.block.3", "features.1.0.block.1"]
    with torch.inference_mode():
        pooled, linear, permuted = network.backbone.to_maps(net, layers)(images)
        mean = net.features(images).mean(dim=(2, 3))
        expected = nn.functional.layer_norm(
            mean, (768,), net.classifier[0].weight, net.classifier[0].bias, net.classifier[0].eps
        )
        torch.testing.assert_close(pooled[:, :, 0, 0], expected, rtol=1e-4, atol=1e-5)
        block = net.features[1][0].block
        conv = block[0](net.features[0](images))
        torch.testing.assert_close(permuted, conv)  # given as [N, h, w, D]
        rows = block[3](block[2](conv.permute(0, 2, 3, 1)))
        torch.testing.assert_close(linear, rows.permute(0, 3, 1, 2))


RANDOM = ("shufflenet_v2_x0_5", "mobilenet_v3_small", "squeezenet1_1")
DIGEST = """
import hashlib, sys, torch
from vggfeat.backbones.load import load_network
torch.manual_seed(5)
for name in sys.argv[1:]:
    net = load_network(name + "@random:3").net()
    digest = hashlib.sha256()
    for tensor in net.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    print(digest.hexdigest())
"""


def digest_of(net):
    tensors = (tensor.numpy().tobytes() for tensor in net.state_dict().values())
    return hashlib.sha256(b"".join(tensors)).hexdigest()


def test_random_weights_depend_on_the_seed_alone():
    torch.manual_seed(99)
    before = torch.get_rng_state()
    here = [digest_of(load_network(f"{name}@random:3").net()) for name in RANDOM]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(98)
    assert digest_of(load_network(f"{RANDOM[0]}@random:3").net()) == here[0]
    other = [digest_of(load_network(f"{name}@random:4").net()) for name in RANDOM]
    assert not set(here) & set(other)


@pytest.mark.slow
def test_random_weights_are_the_same_in_another_process():
    here = [digest_of(load_network(f"{name}@random:3").net()) for name in RANDOM]
    ran = subprocess.run(
        [sys.executable, "-c", DIGEST, *RANDOM], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == here


def test_weights_with_another_crop_keep_their_name(monkeypatch, tmp_path):
    """`vit_b_16` is of 224, but one of its released sets is of 384."""
    (tmp_path / "w.pth").write_bytes(b"never read")
    monkeypatch.setattr(load, "download", lambda *_, **__: tmp_path / "w.pth")
    monkeypatch.setattr(released, "check_digest", lambda *_: None)
    weights = "IMAGENET1K_SWAG_E2E_V1"
    network = load_network(f"vit_b_16@{weights}")
    assert network.name == "vit_b_16:input_size=384" and network.backbone.input_size == 384
    again = load_network(f"{network.name}@{weights}")
    assert (again.name, again.weights) == (network.name, weights)
    with pytest.raises(WeightsError, match="no released weights for a net with another input_size"):
        load_network(f"vit_b_16:input_size=320@{weights}")


@pytest.mark.parametrize(
    "specification, error, message",
    [
        ("vit_b_32:input_size=100@random:0", NetworkError, "vit_b_32: cannot have input_size=100"),
        ("resnet18:input_size=0@random:0", OptionError, "input_size must be at least 1; got 0"),
        ("resnet18:input_size=-5@random:0", OptionError, "at least 1; got -5"),
        ("alexnet:input_size=100@random:0", NetworkError, "cannot take a picture of 100x100"),
        ("resnet18:relu=false@random:0", NetworkError, "resnet18: has no option relu"),
        ("squeezenet1_1:relu=false,layer=features.3@random:0", NetworkError,
         "relu=false is of its layer 'features' only, not of 'features.3'"),
        ("vit_b_32:view=dense@random:0", NetworkError, "there is no dense view of it"),
        ("vit_b_32:layer=encoder.layers.encoder_layer_3.self_attention@random:0", NetworkError,
         "gives no single tensor"),
        ("resnet18:ceil_mode=true@random:0", NetworkError, "has no option 'ceil_mode'"),
    ],
)  # fmt: skip
def test_what_torchvisions_nets_refuse(specification, error, message):
    with pytest.raises(error, match=message):
        load_network(specification)


def test_a_file_of_another_net_is_refused_in_one_line(tmp_path):
    file = saved(models.squeezenet1_1(weights=None), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="does not fit the net") as refused:
        load_network(f"squeezenet1_0@{file}").net()
    assert "\n" not in str(refused.value)
