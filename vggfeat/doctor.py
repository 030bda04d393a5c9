"""Facts of a net and its weights; the likeliest classes of a picture."""

from collections.abc import Iterator
from pathlib import Path

import torch

from vggfeat import images
from vggfeat.backbones.network import ILSVRC_CLASSES, Network
from vggfeat.backbones.spec import VIEWS
from vggfeat.errors import WeightsError
from vggfeat.features import crops
from vggfeat.features.forward import autocast_for, to_input

TOP = 5
CROP_SHARE = 224 / 256  # of the shortest side, as ILSVRC's centre crops have it


def network_facts(network: Network) -> Iterator[tuple[str, str]]:
    """Name and value of what decides a net's descriptors. Raises WeightsError of misfits."""
    backbone, net = network.backbone, network.net()
    number = sum(parameter.numel() for parameter in net.parameters())
    yield "net", network.name
    yield "parameters", f"{number:,}"
    yield "weights", network.weights
    yield "digest", network.weights_identity
    if network.original:
        yield "these are", network.original
    imported = network.card.training.get("imported") if network.card else None
    for name, value in imported.items() if isinstance(imported, dict) else ():
        if name == "statistics":  # which stand below
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield f"imported, {name}", text
    for name, words in (("mean", "pixels less the mean"), ("std", "divided by")):
        assumed = " (assumed)" if name in network.assumed else ""
        yield words, _channels(getattr(network.statistics, name)) + assumed
    yield "descriptor", f"{backbone.layer}, {backbone.dim} numbers"
    yield "sees", VIEWS[backbone.view]
    sizes = f"{backbone.min_size} and more" if backbone.any_size else f"{backbone.input_size}"
    yield "takes sides of", f"{sizes} pixels; trained on {backbone.input_size}"
    named, assumed = _names(network)
    some = f": {', '.join((*named[:2], '...', named[-1]))}" if len(named) > 2 else ""
    yield "outputs", f"{network.num_outputs}{some}{' (ILSVRC assumed)' if assumed else ''}"
    if wrong := _no_classes(network):
        yield "classes", wrong


def _no_classes(network: Network) -> str:
    """Why its outputs are not the classes that its card names; empty if they are."""
    if network.card is None:
        return ""
    if network.card.recipe.get("regressor") is not None:
        return "it predicts boxes, not classes"
    if len(network.card.classes) in (0, network.num_outputs):
        return ""
    named = f"its card names {len(network.card.classes)}, and the net has {network.num_outputs}"
    return f"{named} outputs: the card is of another net"


def _names(network: Network) -> tuple[tuple[str, ...], bool]:
    """The names of the classes, and whether they are assumed as nobody says them."""
    if _no_classes(network):
        return (), False
    if network.classes or network.num_outputs != ILSVRC_CLASSES:
        return network.classes, False
    from vggfeat.weights.torchvision import imagenet_classes  # 2 s to import

    return imagenet_classes(), True


def top_classes(network: Network, picture: Path) -> list[tuple[float, str]]:
    """The likeliest classes of a picture's centre crop: posterior and name, in order.

    A name that nobody says is the class's number. Raises PictureError or WeightsError.
    """
    if wrong := _no_classes(network):
        raise WeightsError(f"{network.label}: {wrong}.")
    side = network.backbone.input_size
    (batch,) = images.load_batch([picture], [round(side / CROP_SHARE)])
    with autocast_for("cpu", "fp32"):
        cropped = crops.centre(to_input(batch, network.statistics, "cpu"), side)
        scores = network.output_map(cropped).mean(dim=(2, 3))[0]
    posteriors = torch.softmax(scores, dim=0)
    best = posteriors.topk(min(TOP, len(posteriors)))
    names, _ = _names(network)
    names = names or [f"class {number}" for number in range(len(posteriors))]
    return [(value.item(), names[index]) for value, index in zip(*best, strict=True)]


def _channels(values: tuple[float, ...]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in zip("RGB", values, strict=True))
