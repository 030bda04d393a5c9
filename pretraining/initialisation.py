"""Initial weights of a recipe: random ones, another net's, or some of either (sect. 3.1)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.pretraining.recipe import Recipe

Start = tuple[str, Mapping[str, Tensor]]  # name of a net, and its weights
LAST_LAYER = "classifier.6"
NUM_TAKEN_CONVOLUTIONS = 4  # and the three FC layers (paper, sect. 3.1)


def initial_net(recipe: Recipe, num_outputs: int, start: Start | None) -> vgg.VGG:
    """The recipe's net as its training begins.

    start holds name and weights of the net to start from: of the same configuration, to take all,
    or shallower, to take its first four convolutions and its FC layers; for another objective
    without the last layer. Layers that the recipe does not train require no gradient. Raises
    WeightsError if the weights do not fit.
    """
    net = vgg.build(
        recipe.net, num_classes=num_outputs, width=recipe.width, input_size=recipe.input_size
    )
    vgg.initialise(net, recipe.init, seed=recipe.seed, std=recipe.init_std)
    if start is not None:
        name, weights = start
        layers = taken_over(recipe.net, name)
        if not recipe.takes_last_layer:
            del layers[LAST_LAYER]
        for ours, theirs in layers.items():
            _copy(net, ours, theirs, weights, recipe.start or name)
    net.features.requires_grad_(recipe.trains_convolutions)
    return net


def taken_over(net: str, start: str) -> dict[str, str]:
    """Module names of the net's layers that start's weights go to -> their names in start.

    The paper's "first four convolutional layers" of net A are conv1_1, conv2_1, conv3_1 and
    conv3_2: only by their place in a block do they fit the deeper nets.
    """
    ours, theirs = _convolutions(net), _convolutions(start)
    places = list(theirs) if net == start else list(theirs)[:NUM_TAKEN_CONVOLUTIONS]
    layers = {ours[place]: theirs[place] for place in places}
    return layers | {f"classifier.{i}": f"classifier.{i}" for i in (0, 3, 6)}


def _convolutions(name: str) -> dict[tuple[int, int], str]:
    """(block, number in the block) -> module name, in the order of the layers."""
    with torch.device("meta"):
        layers = vgg.build(name).features
    names, block, number = {}, 1, 1
    for index, layer in enumerate(layers):
        if isinstance(layer, torch.nn.Conv2d):
            names[block, number] = f"features.{index}"
            number += 1
        elif isinstance(layer, torch.nn.MaxPool2d):
            block, number = block + 1, 1
    return names


@torch.no_grad()
def _copy(net: vgg.VGG, ours: str, theirs: str, weights: Mapping[str, Tensor], start: str) -> None:
    for kind in ("weight", "bias"):
        target = net.get_parameter(f"{ours}.{kind}")
        source = weights.get(f"{theirs}.{kind}")
        if source is None or source.shape != target.shape:
            have = "is missing" if source is None else f"has shape {tuple(source.shape)}"
            raise WeightsError(
                f"{start}: {theirs}.{kind} {have}; {tuple(target.shape)} is needed. Train it with"
                " the same width, input_size and classes."
            )
        target.copy_(source)
