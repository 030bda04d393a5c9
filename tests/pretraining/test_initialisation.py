"""What a net begins with: layers of another net by their place, the rest random."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.pretraining.initialisation import initial_net, taken_over
from vggfeat.pretraining.recipes import recipe

NARROW = {"width": 0.0625, "input_size": 32, "scales": (37, 37)}


def small(name: str):
    return replace(recipe(name), **NARROW)


def shallow(classes: int = 5) -> dict[str, torch.Tensor]:
    net = vgg.build("vgg11", num_classes=classes, width=0.0625, input_size=32)
    return net.state_dict()


@pytest.mark.parametrize(
    "net, places",
    [
        # conv1_1, conv2_1, conv3_1, conv3_2 of each net, and the three FC layers.
        ("vgg13", ["features.0", "features.5", "features.10", "features.12"]),
        ("vgg16", ["features.0", "features.5", "features.10", "features.12"]),
        ("vgg16_1x1", ["features.0", "features.5", "features.10", "features.12"]),
        ("vgg19", ["features.0", "features.5", "features.10", "features.12"]),
    ],
)
def test_deeper_nets_take_the_first_four_convolutions_and_the_fc_layers(net, places):
    theirs = ["features.0", "features.3", "features.6", "features.8"]
    expected = dict(zip(places, theirs, strict=True))
    expected |= {f"classifier.{i}": f"classifier.{i}" for i in (0, 3, 6)}
    assert taken_over(net, "vgg11") == expected


@pytest.mark.parametrize("name", ["vgg13-256", "vgg16_1x1-256", "vgg16-256", "vgg19-256"])
def test_the_layers_taken_over_are_equal_and_the_others_are_not(name):
    made = small(name)
    given = shallow()
    net = initial_net(made, 5, ("vgg11", given))
    random = initial_net(made, 5, None).state_dict()
    taken = taken_over(made.net, "vgg11")
    for key, value in net.state_dict().items():
        module, _, kind = key.rpartition(".")
        expected = given[f"{taken[module]}.{kind}"] if module in taken else random[key]
        assert torch.equal(value, expected), key


def test_the_next_stage_takes_all_weights():
    first = initial_net(small("vgg16-256"), 5, None)
    second = initial_net(small("vgg16-384"), 5, ("vgg16", first.state_dict()))
    for key, value in second.state_dict().items():
        assert torch.equal(value, first.state_dict()[key])


def test_random_weights_are_drawn_as_the_recipe_says():
    """N(0, std) or Glorot's rule, biases zero."""
    made = replace(recipe("vgg11-256"), width=0.25, input_size=64, scales=(73, 73), init_std=0.03)
    normal = initial_net(made, 5, None)
    for key, value in normal.state_dict().items():
        if key.endswith("bias"):
            assert not value.any()
        elif value.numel() > 10_000:
            assert value.std() == pytest.approx(0.03, rel=0.03) and abs(value.mean()) < 1e-3
    fc7 = initial_net(replace(made, init="glorot"), 5, None).classifier[3].weight
    assert fc7.std().item() == pytest.approx(np.sqrt(2 / (1024 + 1024)), rel=0.02)


@pytest.mark.parametrize(
    "given, message",
    [
        (shallow(classes=7), "vgg11-256: classifier.6.weight has shape .* same width, input_size"),
        ({}, "vgg11-256: features.0.weight is missing"),
    ],
)
def test_weights_that_do_not_fit_are_refused(given, message):
    with pytest.raises(WeightsError, match=message):
        initial_net(small("vgg16-256"), 5, ("vgg11", given))


@pytest.mark.slow
def test_why_random_weights_are_small_and_deep_nets_start_from_a_shallow_one():
    """Full-size nets: from N(0, 0.1) the loss explodes, from 0.01 a deep net hears nothing."""

    def first_update(name: str, std: float) -> tuple[float, float]:
        net = initial_net(replace(recipe("vgg11-256"), net=name, init_std=std), 1000, None)
        torch.manual_seed(0)
        images = torch.rand(4, 3, 224, 224) * 255 - 118
        loss = torch.nn.functional.cross_entropy(net(images), torch.arange(4))
        loss.backward()
        return loss.item(), net.features[0].weight.grad.norm().item()

    assert first_update("vgg11", 0.1)[0] > 1e8
    shallow, deep = first_update("vgg11", 0.01), first_update("vgg16", 0.01)
    assert shallow[0] == pytest.approx(np.log(1000), abs=0.01) == deep[0]
    assert shallow[1] > 100 * deep[1]
