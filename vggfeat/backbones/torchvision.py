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

from vggfeat.backbones import defaults
from vggfeat.backbones.anatomy import Anatomy
from vggfeat.backbones.backbone import Backbone, ScoresAsMap, check_input_size
from vggfeat.backbones.defaults import INPUT_OF, OUTPUT, Defaults
from vggfeat.backbones.hooks import LayerHooks, ShapeProbe, hooked_backbone, probe_shapes
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import NetworkError, UnknownNameError
from vggfeat.storage.library_facts import known
from vggfeat.vgg import CONFIGURATIONS, as_convolution

# torchvision itself takes 2 s to import: it is imported where a net is looked up or built.

BEFORE_RELU = " before ReLU"
# Old files of DenseNet have other keys.
DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


OPTIONS = ("input_size", "relu", "layer", "view")


def torchvision_backbone(spec: NetSpec, *, weights: str = "torchvision") -> Backbone:
    """A net of torchvision at a layer; weights names the set whose metadata hold.

    Raises UnknownNameError, OptionError or NetworkError.
    """
    name, before_relu = spec.name, spec.relu is False
    question = [name, weights, spec.input_size]
    anatomy = Anatomy.from_json(
        known("torchvision", question, lambda: _anatomy(*question).to_json())
    )
    spec.check_options(OPTIONS)
    if before_relu and not _is_squeezenet(name):
        raise NetworkError(
            f"{name}: has no option relu. layer= takes any module, also the one before a ReLU."
        )
    shapes, side, default_side = anatomy.shapes, anatomy.input_size, anatomy.default_size
    row = defaults_of(name)
    default_layer = row.layer.format(classifier=anatomy.classifier)
    layer = spec.layer or default_layer
    if before_relu and layer != default_layer:
        raise NetworkError(
            f"{name}: relu=false is of its layer {default_layer!r} only, not of {layer!r}."
        )
    has_window = _has_dense_form(name) and _is_after_window(layer)
    backbone = hooked_backbone(
        spec,
        shapes,
        layer=layer,
        side=side,
        default=NetSpec(name, layer=default_layer, input_size=default_side),
        defaults=row,
        min_size=side if has_window else anatomy.min_size,
        statistics=anatomy.statistics,
        build=partial(_build, name, side, before_relu=before_relu),
        to_maps=lambda net, layers: LayerHooks(
            _dense(name, net), [layer.removesuffix(BEFORE_RELU) for layer in layers], shapes
        ),
        to_outputs=partial(_outputs, name),
        renamed=_in_todays_keys,
        last_layer=anatomy.classifier,
    )
    return replace(backbone, layer_name=layer + BEFORE_RELU) if before_relu else backbone


def _anatomy(name: str, weights: str, asked_side: int | None) -> Anatomy:
    """What torchvision says of a net. Raises UnknownNameError, OptionError or NetworkError."""
    from vggfeat.weights.torchvision import FIRST, NAMES, crop_side, statistics_of, weights_named

    if name not in NAMES:
        names = {*NAMES, *CONFIGURATIONS}
        raise UnknownNameError("network", name, names, listed=CONFIGURATIONS)
    metadata = weights_named(name, weights)
    side = crop_side(metadata) if asked_side is None else asked_side
    check_input_size(side)
    return Anatomy(
        default_size=crop_side(weights_named(name, FIRST)),
        input_size=side,
        min_size=min(metadata.meta["min_size"]),
        statistics=statistics_of(name, metadata),
        classifier=_last_layer(name, side),
        shapes=_shapes(name, side),
    )


def defaults_of(name: str) -> Defaults:
    """The row of defaults for a net of torchvision."""
    if _is_squeezenet(name):
        return defaults.SQUEEZENET
    return defaults.TORCHVISION_FC if _has_dense_form(name) else defaults.TORCHVISION


def _in_todays_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an old file under the keys that torchvision's nets have now."""
    return {DENSENET_KEY.sub(r"\1\2", key): tensor for key, tensor in tensors.items()}


def _keywords(name: str, side: int) -> dict[str, object]:
    """The arguments of its builder besides the number of classes."""
    from vggfeat.weights.torchvision import NORMALISED_TWICE

    if name.startswith("vit_"):
        return {"image_size": side}
    if name in NORMALISED_TWICE:
        return {"init_weights": False}
    return {}


def _build(
    name: str, side: int, tensors: Mapping[str, Tensor] | None, *, before_relu: bool = False
) -> nn.Module:
    from torchvision import models

    from vggfeat.weights.torchvision import NORMALISED_TWICE

    keywords = _keywords(name, side)
    last = None if tensors is None else tensors.get(f"{_last_layer(name, side)}.weight")
    if last is not None and last.ndim:
        keywords["num_classes"] = len(last)
    if name in NORMALISED_TWICE:
        # Auxiliary classifiers serve training only; torchvision's files have them.
        keywords["aux_logits"] = any(key.lower().startswith("aux") for key in tensors or ())
    net = models.get_model_builder(name)(weights=None, **keywords)
    if before_relu:
        fire = net.features[-1]
        fire.expand1x1_activation = fire.expand3x3_activation = nn.Identity()
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
def _shapes(name: str, side: int) -> ShapeProbe:
    net = _dense(name, _blank(name, side))
    inputs_of = () if _is_squeezenet(name) else (_last_layer(name, side),)
    return probe_shapes(net, side, inputs_of=inputs_of)


@cache
def _last_layer(name: str, side: int) -> str:
    """The module that gives the scores."""
    if _is_squeezenet(name):
        return "classifier.1"
    linear = (n for n, m in _blank(name, side).named_modules() if isinstance(m, nn.Linear))
    return list(linear)[-1]


def _is_squeezenet(name: str) -> bool:
    return name.startswith("squeezenet")


def _has_dense_form(name: str) -> bool:
    return name == "alexnet" or name.startswith("vgg")


def _is_after_window(layer: str) -> bool:
    """Whether a layer of a net with a dense form comes after the window of its first large one."""
    return layer == OUTPUT or layer.removeprefix(INPUT_OF).startswith("classifier")


def _dense(name: str, net: nn.Module) -> nn.Module:
    return _DenseClassifier(net) if _has_dense_form(name) else net


def _outputs(name: str, net: nn.Module) -> nn.Module:
    if _is_squeezenet(name):  # without the average over positions that ends the net
        return nn.Sequential(net.features, *net.classifier[:-1])
    if _has_dense_form(name):
        return _DenseClassifier(net)
    return ScoresAsMap(net)


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
