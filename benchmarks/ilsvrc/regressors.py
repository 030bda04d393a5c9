"""Which nets can be used together to localise, and on which pictures."""

from collections.abc import Sequence

from vggfeat.backbones.network import Network
from vggfeat.errors import NetworkError, WeightsError
from vggfeat.layouts.imagenet import Pictures


def regressor_of(network: Network) -> tuple[str, str]:
    """How many boxes it predicts, scr or pcr, and which layers were tuned.

    Raises WeightsError if it predicts none.
    """
    recipe = network.card.recipe if network.card else {}
    if recipe.get("regressor") not in ("scr", "pcr") or network.spec.ceil_mode:
        raise WeightsError(
            f"{network.label}: does not predict boxes. `vggfeat localise train` makes nets that do."
        )
    num_boxes = len(network.card.classes) if recipe["regressor"] == "pcr" else 1
    if network.num_outputs != 4 * num_boxes:
        raise WeightsError(
            f"{network.label}: its card says {recipe['regressor']} of {len(network.card.classes)}"
            f" classes, and its last layer has {network.num_outputs} outputs. Export it again."
        )
    return recipe["regressor"], str(recipe.get("tuned"))


def check_regressors(
    regressors: Sequence[Network], classifier: Sequence[Network], pictures: Pictures
) -> None:
    """Raise WeightsError or NetworkError at nets that do not fit the pictures or each other."""
    for network in regressors:
        regressor_of(network)
        if network.card.classes != pictures.classes:
            raise WeightsError(
                f"{network.label}: was trained on other classes than those of {pictures.root}, or"
                " in another order. Name the pictures of its classes."
            )
    sides = {network.backbone.input_size for network in (*regressors, *classifier)}
    if len(sides) > 1:
        raise NetworkError(
            f"the nets see windows of {', '.join(map(str, sorted(sides)))} pixels. Nets that are"
            " used together need the same input_size."
        )


def check_scores_boxes(classifier: Sequence[Network]) -> None:
    """Raise NetworkError if the classifier's positions are not those of the regressors' boxes."""
    for network in classifier:
        if not network.spec.is_of_paper or network.spec.ceil_mode:
            raise NetworkError(
                f"{network.label}: has other positions than the boxes that it is to score. Name one"
                " of the VGG nets, without ceil_mode."
            )
