"""Which nets can be tested on which pictures: their classes must be the same, in the same order."""

import logging
from collections.abc import Sequence
from pathlib import Path

from vggfeat.backbones.check import check_net
from vggfeat.backbones.network import ILSVRC_CLASSES, Network
from vggfeat.backbones.spec import NetSpec
from vggfeat.benchmarks.ilsvrc.class_errors import TOP
from vggfeat.benchmarks.ilsvrc.class_order import are_wordnet_ids, assumption, check_order
from vggfeat.errors import DatasetError, OptionError, WeightsError

log = logging.getLogger(__name__)


def check_class_scores(spec: NetSpec) -> None:
    """Raise VggfeatError if a net is mistyped, or chooses a layer or a view.

    Class scores come from the last layer, and `--views` chooses the view.
    """
    check_net(spec)
    for key in ("layer", "view") & spec.options.keys():
        raise OptionError(
            f"{spec}: {key}= is for descriptors. Class scores come from the last layer, and"
            " --views says what of a picture is seen."
        )


def check_predicts_classes(network: Network) -> None:
    """Raise WeightsError if the net predicts boxes, or other classes than its card names."""
    if network.card and network.card.recipe.get("regressor") is not None:
        raise WeightsError(
            f"{network.label}: predicts boxes, not classes. `vggfeat localise evaluate` takes it."
        )
    if network.card and len(network.card.classes) not in (0, network.num_outputs):
        raise WeightsError(
            f"{network.label}: its card names {len(network.card.classes)} classes, and its last"
            f" layer has {network.num_outputs} outputs. Export it again."
        )


def check_classes(network: Network, classes: Sequence[str], data: Path) -> None:
    """Raise WeightsError unless the net has these classes in this order.

    DatasetError if they are too few for a top-5 error.
    """
    if len(classes) < max(TOP):
        raise DatasetError(
            f"{data}: has {len(classes)} classes; the top-5 error needs at least {max(TOP)}."
        )
    check_predicts_classes(network)
    if network.card is None or not network.card.classes:
        if network.num_outputs != len(classes):
            raise WeightsError(
                f"{network.label}: is a net of {network.num_outputs} classes, and {data} has"
                f" {len(classes)}. Name a net that was trained on these classes."
            )
        check_order(network, classes)
        if not are_wordnet_ids(classes):
            log.warning(assumption(network.label, classes))
        return
    names = network.card.classes
    if names == tuple(classes) or (_are_thousand_ids(classes) and are_ilsvrcs_names(names)):
        return
    if len(network.card.classes) != len(classes):
        difference = f"it has {len(network.card.classes)} classes, there are {len(classes)}"
    else:
        number = next(n for n, c in enumerate(classes) if c != network.card.classes[n])
        named = network.card.classes[number]
        difference = f"its class {number} is {named!r}, there {classes[number]!r}"
    raise WeightsError(
        f"{network.label}: its classes are not those of {data}: {difference}. Name the pictures of"
        " the classes it was trained on; their folders' names must be the same."
    )


def _are_thousand_ids(folders: Sequence[str]) -> bool:
    return len(folders) == ILSVRC_CLASSES and are_wordnet_ids(folders)


def are_ilsvrcs_names(names: Sequence[str]) -> bool:
    """Whether names are the usual ones of ILSVRC's classes, in the order of their WordNet ids."""
    if len(names) != ILSVRC_CLASSES:
        return False
    from vggfeat.weights.torchvision import imagenet_classes  # 2 s to import

    return tuple(names) == imagenet_classes()
