"""torchvision's classification nets as backbones, with whatever their metadata say of them.

The descriptor is what goes into the last fully connected layer; of SqueezeNet, which has none, what
its `features` give. AlexNet and the VGG nets with batch normalisation are applied as the paper
applies its own: their fully connected layers become convolutions. All other nets but those with
attention average over positions by themselves, at any size of the picture.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor, nn
from torchvision import models

from vggfeat.backbones.backbone import Backbone, Scores, check_input_size
from vggfeat.backbones.hooks import INPUT_OF, OUTPUT, Survey, Taps, survey, surveyed_backbone
from vggfeat.errors import NetworkError
from vggfeat.vgg import as_convolution
from vggfeat.weights.torchvision import (
    FIRST,
    NORMALISED_TWICE,
    crop_side,
    statistics_of,
    weights_named,
)

# Old files of DenseNet have other keys.
DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def torchvision(
    name: str,
    *,
    weights: str = "torchvision",
    input_size: int | None = None,
    relu: bool = True,
    layer: str | None = None,
    view: str | None = None,
) -> Backbone:
    """weights names the set whose metadata hold. Raises UnknownNameError or NetworkError."""
    if not relu and not _is_squeezenet(name):
        raise NetworkError(
            f"{name}: has no option relu. layer= takes any module, also the one before a ReLU."
        )
    chosen, usual = weights_named(name, weights), crop_side(weights_named(name, FIRST))
    side = crop_side(chosen) if input_size is None else input_size
    check_input_size(side)
    surveyed = _survey(name, side)
    default = _default_layer(name, side)
    tap = layer or default
    if not relu and tap != default:
        raise NetworkError(f"{name}: relu=false is of its layer {default!r} only, not of {tap!r}.")
    has_window = _has_dense_form(name) and _is_late(tap)
    backbone = surveyed_backbone(
        name,
        surveyed,
        tap=tap,
        usual_tap=default,
        side=side,
        usual_side=usual,
        min_size=side if has_window else min(chosen.meta["min_size"]),
        view=view,
        options={"relu": None if relu else False},
        statistics=statistics_of(name, chosen),
        build=partial(_build, name, side, relu=relu),
        to_maps=lambda net, taps: Taps(
            _dense(name, net), [tap.removesuffix(" before ReLU") for tap in taps], surveyed
        ),
        to_outputs=partial(_outputs, name),
        renamed=_in_todays_keys,
        last_layer=_last_layer(name, side),
    )
    return backbone if relu else replace(backbone, tap=f"{tap} before ReLU")


def _in_todays_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an old file under the keys that torchvision's nets have now."""
    return {DENSENET_KEY.sub(r"\1\2", key): tensor for key, tensor in tensors.items()}


def _keywords(name: str, side: int) -> dict[str, object]:
    """What its builder has to know beside the number of classes."""
    if name.startswith("vit_"):
        return {"image_size": side}
    if name in NORMALISED_TWICE:
        return {"init_weights": False}
    return {}


def _build(
    name: str, side: int, tensors: Mapping[str, Tensor] | None, *, relu: bool = True
) -> nn.Module:
    keywords = _keywords(name, side)
    last = None if tensors is None else tensors.get(f"{_last_layer(name, side)}.weight")
    if last is not None and last.ndim:
        keywords["num_classes"] = len(last)
    if name in NORMALISED_TWICE:
        # Auxiliary classifiers serve training only; torchvision's files have them.
        keywords["aux_logits"] = any(key.lower().startswith("aux") for key in tensors or ())
    net = models.get_model_builder(name)(weights=None, **keywords)
    if not relu:
        last = net.features[-1]
        last.expand1x1_activation = last.expand3x3_activation = nn.Identity()
    return net


@cache
def _blank(name: str, side: int) -> nn.Module:
    """The net without memory for its weights, where torchvision can build it so."""
    with torch.inference_mode(False):  # it is kept, and may serve outside of that mode
        try:
            with torch.device("meta"):
                net = _build(name, side, None)
        except NotImplementedError:  # RegNet computes its widths with tensors
            net = _build(name, side, None)
        except (AssertionError, ValueError) as error:  # of a ViT: no multiple of its patches
            raise NetworkError(f"{name}: cannot have input_size={side} ({error}).") from error
    return net.eval()


@cache
def _survey(name: str, side: int) -> Survey:
    net = _dense(name, _blank(name, side))
    inputs_of = () if _is_squeezenet(name) else (_last_layer(name, side),)
    return survey(net, side, inputs_of=inputs_of)


@cache
def _last_layer(name: str, side: int) -> str:
    """The module that gives the scores."""
    if _is_squeezenet(name):
        return "classifier.1"
    linear = (n for n, m in _blank(name, side).named_modules() if isinstance(m, nn.Linear))
    return list(linear)[-1]


def _default_layer(name: str, side: int) -> str:
    return "features" if _is_squeezenet(name) else INPUT_OF + _last_layer(name, side)


def _is_squeezenet(name: str) -> bool:
    return name.startswith("squeezenet")


def _has_dense_form(name: str) -> bool:
    return name == "alexnet" or name.startswith("vgg")


def _is_late(tap: str) -> bool:
    """Whether a layer of a net with a dense form comes after its first window."""
    return tap == OUTPUT or tap.removeprefix(INPUT_OF).startswith("classifier")


def _dense(name: str, net: nn.Module) -> nn.Module:
    return _DenseClassifier(net) if _has_dense_form(name) else net


def _outputs(name: str, net: nn.Module) -> nn.Module:
    if _is_squeezenet(name):  # without the average over positions that ends the net
        return nn.Sequential(net.features, *net.classifier[:-1])
    if _has_dense_form(name):
        return _DenseClassifier(net)
    return Scores(net)


class _DenseClassifier(nn.Module):
    """A net of `features` and a fully connected `classifier` as a fully convolutional one.

    images [N, 3, H, W] -> map [N, K, h, w]. The adaptive pooling between the two does nothing at
    the size the net was trained at, and is left out at others. Modules keep their names.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.features = net.features
        side = net.avgpool.output_size[0]
        layers = []
        for layer in net.classifier:
            if isinstance(layer, nn.Linear):
                layer, side = as_convolution(layer, side), 1
            layers.append(layer)
        self.classifier = nn.Sequential(*layers)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))
