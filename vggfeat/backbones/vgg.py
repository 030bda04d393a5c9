"""The paper's nets A to E as backbones: layers by the paper's names, always fully convolutional.

A layer is what comes after its ReLU, as in Caffe, where conv5_3 and relu5_3 share their memory;
`relu=false` is what goes into the ReLU. The paper does not say which of the two its fc7 is.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from vggfeat import vgg
from vggfeat.backbones.backbone import Backbone, chosen_view, stated
from vggfeat.errors import NetworkError, UnknownNameError
from vggfeat.images import PAPER_STATISTICS
from vggfeat.weights.vgg_layers import FC_NAMES, keys, layer_names

DESCRIPTOR = "fc7"  # the last hidden layer
LAST_LAYER = "classifier.6"
BEFORE_RELU = " before ReLU"


def family(
    name: str,
    *,
    width: float = 1.0,
    input_size: int = 224,
    ceil_mode: bool = False,
    relu: bool = True,
    layer: str | None = None,
    view: str | None = None,
) -> Backbone:
    """Raises OptionError, UnknownNameError or NetworkError."""
    options = {"width": width, "input_size": input_size, "ceil_mode": ceil_mode}
    with torch.device("meta"):
        net = vgg.build(name, **options)  # refuses bad options now rather than at first use
    layer = layer or DESCRIPTOR
    steps = [known for known, _ in _steps(net.dense(), name)]
    if layer not in steps:
        known = [step for step in steps if not step.endswith(BEFORE_RELU)]
        raise UnknownNameError(f"layer of {name}", layer, known)
    if not relu and layer + BEFORE_RELU not in steps:
        raise NetworkError(f"{name}: {layer} has no ReLU, so there is nothing before it.")
    given = {
        "width": width if width != 1 else None,
        "input_size": input_size if input_size != 224 else None,
        "ceil_mode": ceil_mode or None,
    }
    other = {
        "relu": None if relu else False,
        "layer": layer if layer != DESCRIPTOR else None,
    }
    seen, told = chosen_view(name, view, any_size=True)
    shown = {"view": told}
    return Backbone(
        name=stated(name, given | other | shown),
        trunk=stated(name, given | shown),
        tap=layer if relu else layer + BEFORE_RELU,
        dim=_channels(name, layer, net),
        input_size=input_size,
        min_size=input_size if layer in FC_NAMES else vgg.STRIDE,
        any_size=True,
        view=seen,
        statistics=PAPER_STATISTICS,
        build=partial(_build, name, options),
        to_maps=partial(_FamilyMaps, name),
        to_outputs=vgg.VGG.dense,
        needs=lambda key: layer in FC_NAMES or not key.startswith("classifier"),
        gap=_gap,
        last_layer=LAST_LAYER,
    )


def _build(name: str, options: Mapping, tensors: Mapping[str, Tensor] | None) -> vgg.VGG:
    if tensors is None:
        return vgg.build(name, **options)
    last = tensors.get(f"{LAST_LAYER}.weight")
    classes = {"num_classes": len(last)} if last is not None and last.ndim else {}
    with torch.device("meta"):  # no memory, no random numbers: the tensors replace it all
        return vgg.build(name, **classes, **options)


def _gap(tensors: Mapping[str, Tensor]) -> str:
    """Files of the convolutions alone have a classifier of NaN."""
    classifier = [tensor for key, tensor in tensors.items() if key.startswith("classifier")]
    firsts = [tensor.reshape(-1)[:1] for tensor in classifier]  # of most files this is enough
    if not classifier or not all(tensor.isnan().all() for tensor in [*firsts, *classifier]):
        return ""
    return (
        "has no classifier: it can give conv1_1 to pool5 (layer=pool5), and neither fc6 to fc8 nor"
        " scores"
    )


def _channels(name: str, layer: str, net: vgg.VGG) -> int:
    if not layer.startswith(("conv", "fc")):  # pooling and norm1: of the block's last convolution
        layer = [known for known in layer_names(name) if known.startswith(f"conv{layer[4:]}")][-1]
    return len(net.state_dict()[keys(name)[layer][0]])


class _FamilyMaps(nn.Module):
    """images [N, 3, H, W] -> a map [N, D, h, w] for each of these layers; ends with the last."""

    def __init__(self, name: str, net: vgg.VGG, layers: Sequence[str]):
        super().__init__()
        self.dense = net.dense()
        self.name, self.layers = name, tuple(layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: dict[str, Tensor] = {}
        activations = images
        for known, step in _steps(self.dense, self.name):
            if known == "fc6" + BEFORE_RELU:
                self.dense.check_fits(images)
            activations = step(activations)
            if known in self.layers:
                maps[known] = activations
                if len(maps) == len(set(self.layers)):
                    break
        return [maps[layer] for layer in self.layers]


def _steps(dense: vgg.DenseVGG, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a dense net in order, with the names of what they give."""
    features = iter(dense.features)
    for block, kernels in enumerate(vgg.CONFIGURATIONS[name].blocks, start=1):
        for number in range(1, len(kernels) + 1):
            yield f"conv{block}_{number}{BEFORE_RELU}", next(features)
            yield f"conv{block}_{number}", next(features)
            if vgg.CONFIGURATIONS[name].lrn and block == number == 1:
                yield "norm1", next(features)
        yield f"pool{block}", next(features)
    yield f"fc6{BEFORE_RELU}", dense.fc6
    yield "fc6", nn.functional.relu
    yield f"fc7{BEFORE_RELU}", dense.fc7
    yield "fc7", nn.functional.relu
    yield "fc8", dense.fc8
