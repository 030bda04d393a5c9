"""When training is stuck: its loss stays at ln(classes), where all classes have the same score."""

import math

from vggfeat.plurals import counted
from vggfeat.pretraining.position import Position
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.recipes import STAGES

LEARNS_BELOW = 0.98  # of ln(classes): a mean loss below it has left the plateau of equal scores


def is_stuck(recipe: Recipe, position: Position) -> bool:
    """Whether the loss has not left its plateau after so many updates that none more are made."""
    return not position.learns and position.step >= recipe.stuck_after


def stuck_message(recipe: Recipe, position: Position, num_classes: int) -> str:
    """What is wrong with a net that has not begun to learn, and what to try.

    The advice names only what can help this recipe, with the values that it was trained with.
    """
    tries = [*_weights(recipe), _rate(recipe)]
    advice = " or ".join([", ".join(tries[:-1]), tries[-1]] if len(tries) > 1 else tries)
    parts = (_start(recipe), f"Try {advice}.", _longer(recipe, position))
    return (
        f"{recipe.name}: after {counted(position.step, 'update')} the loss is"
        f" {position.curve[-1]['loss']:.3f}, and ln(classes) is {math.log(num_classes):.3f}: as if"
        f" all classes had the same score. {' '.join(filter(None, parts))}"
    )


def _start(recipe: Recipe) -> str:
    """What the weights that training began with have to do with it, in a sentence."""
    if recipe.start is not None:
        return f"It began with weights of {recipe.start}: see that this one has learned."
    stage = STAGES.get(recipe.name)
    if stage is None or stage.start is None:
        return ""
    return f"It began with random weights; the recipe starts from {stage.start}."


def _weights(recipe: Recipe) -> list[str]:
    """Other random weights, where some layers have random ones."""
    is_whole = recipe.start is not None and recipe.start.startswith(f"{recipe.net}-")
    if recipe.init != "normal" or is_whole:
        return []
    usual = Recipe(name=recipe.name, net=recipe.net).init_std / math.sqrt(recipe.width)
    # Layers of fewer channels sum up fewer inputs, whose deviation grows with the root.
    narrow = f", at width={recipe.width:g}" if recipe.width != 1 else ""
    which = "a larger" if recipe.init_std < 0.99 * usual else "another"
    return ["--set init=glorot", f"{which} init_std (it is {recipe.init_std:g}{narrow})"]


def _rate(recipe: Recipe) -> str:
    """Another learning rate: towards that of the stage, if it was not that."""
    stage = STAGES.get(recipe.name)
    if stage is None or math.isclose(stage.learning_rate, recipe.learning_rate):
        return f"another learning_rate (it was {recipe.learning_rate:g})"
    which = "a larger" if recipe.learning_rate < stage.learning_rate else "a smaller"
    usual = f"the recipe's is {stage.learning_rate:g}"
    return f"{which} learning_rate (it was {recipe.learning_rate:g}; {usual})"


def _longer(recipe: Recipe, position: Position) -> str:
    """How it could go on, in the updates that its epochs have; empty where none is over yet."""
    if position.epoch == 0:
        return ""
    if position.epoch >= recipe.epochs:
        more = f"all {recipe.epochs} epochs are over" if recipe.epochs > 1 else "its epoch is over"
        above = f", with a stuck_after above {recipe.stuck_after}"
        waiting = above if is_stuck(recipe, position) else ""
        return f"If it only needs longer: {more}; --set epochs=N gives it more{waiting}."
    updates = round(position.step * recipe.epochs / position.epoch)
    longer = min(2 * position.step, updates)
    return f"If it only needs longer: --set stuck_after={longer} (its epochs have {updates:,})."
