"""The paper's nets A to E as backbones: layers by the paper's names, always fully convolutional.

A layer is what comes after its ReLU, as in Caffe, where conv5_3 and relu5_3 share their memory;
`relu=false` is what goes into the ReLU. The paper does not say which of the two its fc7 is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor, nn

from vggfeat import vgg
from vggfeat.backbones.backbone import Backbone
from vggfeat.backbones.defaults import PAPER
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import NetworkError, UnknownNameError
from vggfeat.weights.vgg_layers import FC_NAMES

LAST_LAYER = "classifier.6"
BEFORE_RELU = " before ReLU"


def vgg_backbone(spec: NetSpec) -> Backbone:
    """A net of the paper at a layer. Raises OptionError, UnknownNameError or NetworkError."""
    width = 1.0 if spec.width is None else spec.width
    input_size = PAPER.input_size if spec.input_size is None else spec.input_size
    layer = spec.layer or PAPER.layer
    before_relu, view = spec.relu is False, spec.view or PAPER.view
    vgg.check_options(spec.name, width=width, input_size=input_size)  # now, not at first use
    _check_layer(spec.name, layer, before_relu=before_relu)
    canonical = replace(
        spec.architecture,
        width=width if width != 1 else None,
        input_size=input_size if input_size != PAPER.input_size else None,
        ceil_mode=spec.ceil_mode or None,
        relu=False if before_relu else None,
        layer=layer if layer != PAPER.layer else None,
        view=view if view != PAPER.view else None,
    )
    options = {"width": width, "input_size": input_size, "ceil_mode": bool(spec.ceil_mode)}
    return Backbone(
        spec=canonical,
        layer_name=layer + BEFORE_RELU if before_relu else layer,
        dim=_channels(layer, width),
        input_size=input_size,
        min_size=input_size if layer in FC_NAMES else vgg.STRIDE,
        any_size=True,
        view=view,
        statistics=PAPER.statistics,
        build=partial(_build, spec.name, options),
        to_maps=partial(_VGGMaps, spec.name),
        to_outputs=vgg.VGG.dense,
        needs=lambda key: key in _keys_before(spec.name, layer),
        missing_part=partial(_missing_part, spec.name),
        last_layer=LAST_LAYER,
        layer_shapes=partial(_layer_shapes, spec.name, options),
    )


def _check_layer(name: str, layer: str, *, before_relu: bool) -> None:
    layers = _layers(name)
    if layer not in layers:
        after_relu = [listed for listed in layers if not listed.endswith(BEFORE_RELU)]
        raise UnknownNameError(f"layer of {name}", layer, after_relu)
    if before_relu and layer + BEFORE_RELU not in layers:
        raise NetworkError(f"{name}: {layer} has no ReLU, so there is nothing before it.")


def _build(name: str, options: Mapping, tensors: Mapping[str, Tensor] | None) -> vgg.VGG:
    if tensors is None:
        return vgg.build(name, **options)
    last = tensors.get(f"{LAST_LAYER}.weight")
    classes = {"num_classes": len(last)} if last is not None and last.ndim else {}
    with torch.device("meta"):  # no memory, no random numbers: the tensors replace it all
        return vgg.build(name, **classes, **options)


def _missing_part(name: str, tensors: Mapping[str, Tensor]) -> str:
    """Why a file lacks fc6 to fc8: those of the convolutions alone have none, or one of NaN."""
    classifier = [tensor for key, tensor in tensors.items() if key.startswith("classifier")]
    firsts = [tensor.reshape(-1)[:1] for tensor in classifier]  # of most files this is enough
    if not all(tensor.isnan().all() for tensor in [*firsts, *classifier]):
        return ""
    if not tensors.keys() >= _keys_before(name, "pool5"):
        return ""
    return (
        "has no classifier: it can give conv1_1 to pool5 (layer=pool5), and neither fc6 to fc8 nor"
        " scores"
    )


@cache
def _keys_before(name: str, layer: str) -> frozenset[str]:
    """The keys of the layers with weights up to a layer, itself included."""
    layers = _layers(name)
    before = layers[: layers.index(layer) + 1]
    num_weighted = sum(one.endswith(BEFORE_RELU) or one == FC_NAMES[-1] for one in before)
    with torch.device("meta"):
        return frozenset(list(vgg.build(name).state_dict())[: 2 * num_weighted])


def _channels(layer: str, width: float) -> int:
    """D of a layer: of its block, or of the fully connected layers."""
    if layer == FC_NAMES[-1]:
        return vgg.NUM_CLASSES
    if layer in FC_NAMES:
        return vgg.scaled(vgg.FC_UNITS, width)
    block = int(layer.removeprefix("conv").removeprefix("pool").removeprefix("norm")[0])
    return vgg.scaled(vgg.BLOCK_CHANNELS[block - 1], width)


class _VGGMaps(nn.Module):
    """images [N, 3, H, W] -> a map [N, D, h, w] for each of these layers; ends with the last."""

    def __init__(self, name: str, net: vgg.VGG, layers: Sequence[str]):
        super().__init__()
        self.dense = net.dense()
        self.name, self.layers = name, tuple(layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: dict[str, Tensor] = {}
        activations = images
        relu = nn.functional.relu
        steps = [*self.dense.features, self.dense.fc6, relu, self.dense.fc7, relu, self.dense.fc8]
        for layer, step in zip(_layers(self.name), steps, strict=True):
            if layer == "fc6" + BEFORE_RELU:
                self.dense.check_fits(images)
            activations = step(activations)
            if layer in self.layers:
                maps[layer] = activations
                if len(maps) == len(set(self.layers)):
                    break
        return [maps[layer] for layer in self.layers]


def _layer_shapes(name: str, options: Mapping) -> dict[str, tuple[int, ...]]:
    """Layer, but those before a ReLU -> the shape that it gives; nothing is computed."""
    layers = [layer for layer in _layers(name) if not layer.endswith(BEFORE_RELU)]
    side = options["input_size"]
    with torch.device("meta"), torch.inference_mode():
        maps = _VGGMaps(name, vgg.build(name, **options), layers)(torch.zeros(1, 3, side, side))
    return {layer: tuple(map_.shape) for layer, map_ in zip(layers, maps, strict=True)}


@cache
def _layers(name: str) -> tuple[str, ...]:
    """The layers of a dense net in order, before and after each ReLU."""
    configuration = vgg.CONFIGURATIONS[name]
    layers = []
    for block, kernels in enumerate(configuration.blocks, start=1):
        for number in range(1, len(kernels) + 1):
            layers += [f"conv{block}_{number}{BEFORE_RELU}", f"conv{block}_{number}"]
            if configuration.lrn and block == number == 1:
                layers.append("norm1")
        layers.append(f"pool{block}")
    return (*layers, "fc6" + BEFORE_RELU, "fc6", "fc7" + BEFORE_RELU, "fc7", "fc8")
