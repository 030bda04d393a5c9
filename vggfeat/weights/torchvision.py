"""torchvision's own weights: what its registry says of them."""

from collections.abc import Mapping

from torchvision import models

from vggfeat.input_statistics import InputStatistics

NAMES = frozenset(models.list_models(module=models))  # its classification nets
FIRST = "IMAGENET1K_V1"  # what "torchvision" means where there are several
# Their weights were ported from nets that take -1 to 1; torchvision takes its own normalisation and
# undoes it inside the net (`transform_input`). Here the net is given what it really takes.
NORMALISED_TWICE = ("googlenet", "inception_v3")


def weights_of(net: str) -> Mapping[str, models.Weights]:
    """The sets of weights for a net by their names, oldest first; without the alias DEFAULT."""
    return {weights.name: weights for weights in models.get_model_weights(net)}


def weights_named(net: str, name: str) -> models.Weights:
    """The set of that name; for all other names the first one."""
    by_name = weights_of(net)
    return by_name.get(name) or by_name.get(FIRST) or next(iter(by_name.values()))


def statistics_of(net: str, weights: models.Weights) -> InputStatistics:
    """What a net with these weights expects, from their own metadata."""
    if net in NORMALISED_TWICE:
        return InputStatistics(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
    preset = weights.transforms()
    scaled = ([255 * number for number in numbers] for numbers in (preset.mean, preset.std))
    mean, std = (tuple(round(number, 6) for number in numbers) for numbers in scaled)
    return InputStatistics(mean, std)


def crop_side(weights: models.Weights) -> int:
    """Side of the crops on which they were evaluated, pixels."""
    return weights.transforms().crop_size[0]


def imagenet_classes() -> tuple[str, ...]:
    """The names of ILSVRC's 1000 classes, in the order of their WordNet ids."""
    return tuple(models.AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
