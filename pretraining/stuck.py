"""When training is stuck: its loss stays at ln(classes), where all classes have the same score."""

import math

from vggfeat.plurals import counted
from vggfeat.pretraining.position import Position
from vggfeat.pretraining.recipe import Recipe

LEARNS_BELOW = 0.98  # of ln(classes): a mean loss below it has left the plateau of equal scores


def is_stuck(recipe: Recipe, position: Position) -> bool:
    """Whether the loss has not left its plateau after so many updates that none more are made."""
    return not position.learns and position.step >= recipe.stuck_after


def stuck_message(recipe: Recipe, position: Position, num_classes: int) -> str:
    """What is wrong with a net that has not begun to learn, and what to try."""
    other_weights = ""
    if recipe.init == "normal":
        other_weights = f"--set init=glorot, another init_std (it is {recipe.init_std:g}) or "
    return (
        f"{recipe.name}: after {counted(position.step, 'update')} the loss is"
        f" {position.curve[-1]['loss']:.3f}, and ln(classes) is {math.log(num_classes):.3f}: as if"
        " all classes had the same score. Start from a shallower net as the recipes do, or try"
        f" {other_weights}another learning_rate (it was {recipe.learning_rate:g}). If it only"
        f" needs longer: --set stuck_after={2 * position.step}."
    )
