"""RECIPES, `--stage` and `--set FIELD=VALUE` of a command -> the recipes that it trains."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from vggfeat.errors import OptionError, UnknownNameError
from vggfeat.pretraining.recipe import Recipe, Scales
from vggfeat.pretraining.recipes import chain, recipe

DEFAULT_TARGETS = ("vgg16", "vgg19")
STAGE_FIELDS = ("start", "scales")  # that hold for one stage only
FIXED_FIELDS = ("name", "net", "published", "regressor", "tuned")  # that the stage's name decides
SHALLOW = "vgg11"  # whose layers deeper nets start from
ALLOWED = {
    Scales: "S or SMIN-SMAX in pixels, such as 256 or 256-512",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def select_recipes(
    targets: Sequence[str], stages: Sequence[str], overrides: Mapping[str, str]
) -> list[Recipe]:
    """The recipes of the stages alone, or of the chains to all targets, each once, overridden.

    Without either: the chains to DEFAULT_TARGETS. Raises UnknownNameError or OptionError.
    """
    if stages:
        return [overridden(recipe(name), overrides, one_stage=True) for name in stages]
    chains = [step for target in targets or DEFAULT_TARGETS for step in chain(target)]
    return [overridden(step, overrides, one_stage=False) for step in dict.fromkeys(chains)]


def overridden(original: Recipe, overrides: Mapping[str, str], *, one_stage: bool) -> Recipe:
    """The recipe with fields replaced by what a user wrote for them.

    A new input_size scales S with it, so that a crop shows the same share of the picture, unless S
    is given too. Raises UnknownNameError at a field that does not exist or cannot be changed,
    OptionError at a value that is not allowed, and at a field that holds for one stage only if
    there are several.
    """
    types = typing.get_type_hints(type(original))
    names = [field.name for field in fields(original) if field.name not in FIXED_FIELDS]
    changes: dict[str, Any] = {}
    for name, text in overrides.items():
        if name not in names:
            raise UnknownNameError("field of a recipe", name, names)
        if name in STAGE_FIELDS and not one_stage:
            raise OptionError(
                f"{name} belongs to one stage: name that one alone, such as with --stage."
            )
        changes[name] = _parse(name, text, types[name])
    if changes.get("start") is not None:
        _check_start(original, changes["start"])
    if "input_size" in changes and "scales" not in changes:
        factor = changes["input_size"] / original.input_size
        changes["scales"] = tuple(round(scale * factor) for scale in original.scales)
    return replace(original, **changes)


def _check_start(original: Recipe, start: str) -> None:
    if recipe(start).net not in (original.net, SHALLOW) or start == original.name:
        raise OptionError(
            f"start must be another stage of {original.net}, one of {SHALLOW}, or none; got"
            f" {start!r}."
        )


def _parse(name: str, text: str, kind: Any) -> Any:
    """The text as a value of the field's type."""
    try:
        if kind == Scales:
            smallest, _, largest = text.partition("-")
            return int(smallest), int(largest or smallest)
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind in (int, float):
            return kind(text)
    except (ValueError, KeyError) as error:
        raise OptionError(f"{name} must be {ALLOWED[kind]}; got {text!r}.") from error
    if kind == str | None:
        return None if text == "none" else text
    return text
