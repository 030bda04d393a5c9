"""The paper's training as data: one frozen recipe for each net and each training scale S.

A recipe derives from another by a small change: S=384 starts from the weights of S=256, scale
jitter from those of S=384, and a net deeper than 11 layers takes layers from the 11-layer net
(paper, sect. 3.1). `chain` lists what a recipe stands on, first things first.

The cost counts the multiplications and additions of forward and backward passes in 74 epochs of
ILSVRC-2012, 1,281,167 pictures. The errors are Table 3's, in %, top-1 / top-5: they are measured
densely on the whole picture, while training reports the centre crop.
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import torch

from vggfeat import vgg
from vggfeat.errors import OptionError, UnknownNameError
from vggfeat.pretraining.objective import Classification, Task
from vggfeat.vgg import PAPER_INPUT_SIZE

Scales = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How one net is trained at one S. Refuses values that make no sense with OptionError."""

    name: str
    net: str  # of networks.CONFIGURATIONS
    start: str | None = None  # the recipe whose weights it starts from
    published: tuple[float, float] | None = None  # top-1 and top-5 error, %

    width: float = 1.0  # factor on all channel counts
    input_size: int = PAPER_INPUT_SIZE  # pixels, side of a training crop
    scales: Scales = (256, 256)  # S: shortest side, drawn from this range, both ends included
    init: Literal["normal", "glorot"] = "normal"  # of the layers that are not taken over
    # Of "normal". The paper prints a variance of 0.01, a deviation of 0.1, from which the loss of
    # the full-size nets is not finite after one update (docs/pretraining.md).
    init_std: float = 0.01
    batch_size: int = 256  # pictures in an update, over all devices
    learning_rate: float = 1e-2
    drops: int = 3  # times that the rate is divided by 10; the stall after the last one ends it
    patience: int = 3  # epochs without a better top-1 on the validation pictures that are a stall
    epochs: int = 74  # at most
    momentum: float = 0.9
    weight_decay: float = 5e-4
    dropout: float = 0.5  # of fc6 and fc7
    mirror: bool = True
    colour_std: float = 0.1  # of the multipliers of the colour shift
    stuck_after: int = 4000  # updates in which the loss may stay at ln(classes)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.net not in vgg.CONFIGURATIONS:
            raise UnknownNameError("network", self.net, vgg.CONFIGURATIONS)
        with torch.device("meta"):  # refuses width and input_size
            vgg.build(self.net, width=self.width, input_size=self.input_size)
        self._require(self.init in ("normal", "glorot"), "init", "'normal' or 'glorot'")
        first, last = self.scales
        self._require(
            self.input_size <= first <= last <= MAX_SCALE,
            "scales", f"S or SMIN-SMAX, from input_size {self.input_size} to {MAX_SCALE}",
        )  # fmt: skip
        for name in ("batch_size", "epochs", "patience", "stuck_after"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        for name in ("learning_rate", "init_std"):
            self._require(0 < getattr(self, name) < float("inf"), name, "above 0 and finite")
        for name in ("weight_decay", "colour_std"):
            self._require(0 <= getattr(self, name) < float("inf"), name, "at least 0 and finite")
        for name in ("momentum", "dropout"):
            self._require(0 <= getattr(self, name) < 1, name, "at least 0 and below 1")
        self._require(0 <= self.drops <= MAX_DROPS, "drops", f"0 to {MAX_DROPS}")
        self._require(0 <= self.seed < 2**63, "seed", "from 0 to 2^63 - 1")

    def _require(self, holds: bool, name: str, allowed: str) -> None:
        if not holds:
            value = getattr(self, name)
            got = "-".join(map(str, value)) if isinstance(value, tuple) else repr(value)
            raise OptionError(f"{name} must be {allowed}; got {got}.")

    @property
    def test_scale(self) -> int:
        """Q of the centre crop: S, or the middle of its range (paper, sect. 4.1)."""
        return sum(self.scales) // 2

    @property
    def is_full_size(self) -> bool:
        """Whether the net is the paper's."""
        return self.width == 1.0 and self.input_size == PAPER_INPUT_SIZE

    @property
    def begins_with(self) -> str:
        """The weights that training begins with, in words."""
        random = "Glorot" if self.init == "glorot" else f"N(0, {self.init_std:g})"
        if self.start is None:
            return random
        # A shallower net gives a part of its layers.
        return self.start if self.start.startswith(f"{self.net}-") else f"{self.start}, {random}"

    @property
    def net_specification(self) -> str:
        """The net as `--net` names it, without weights."""
        options = []
        if self.width != 1.0:
            options.append(f"width={self.width}")
        if self.input_size != PAPER_INPUT_SIZE:
            options.append(f"input_size={self.input_size}")
        return f"{self.net}:{','.join(options)}" if options else self.net

    @property
    def takes_last_layer(self) -> bool:
        """Whether the last layer of what it starts from serves its task."""
        return True

    @property
    def trains_convolutions(self) -> bool:
        return True

    def task(self, num_classes: int) -> Task:
        """What the net is trained for."""
        return Classification(num_classes)

    def decisive(self) -> dict[str, Any]:
        """The fields that decide what is learned up to an epoch."""
        told_only = ("name", "published", "epochs", "stuck_after")
        return {name: value for name, value in asdict(self).items() if name not in told_only}


MAX_SCALE = 2048  # pixels
MAX_DROPS = 10


def _deeper(net: str, published: tuple[float, float] | None = None) -> Recipe:
    return replace(vgg11_256(), name=f"{net}-256", net=net, start="vgg11-256", published=published)


def _at_384(recipe: Recipe, published: tuple[float, float] | None = None) -> Recipe:
    """Sect. 3.1: the weights of S=256 and a smaller initial rate of 1e-3."""
    return replace(
        recipe,
        name=f"{recipe.net}-384",
        start=recipe.name,
        published=published,
        scales=(384, 384),
        learning_rate=1e-3,
        drops=2,  # down to the last rate of S=256
    )


def _jittered(recipe: Recipe, published: tuple[float, float] | None = None) -> Recipe:
    """Sect. 3.1: all layers of the net of S=384 fine-tuned; the rate is not stated."""
    return replace(
        recipe,
        name=f"{recipe.net}-jitter",
        start=recipe.name,
        published=published,
        scales=(256, 512),
    )


def vgg11_256() -> Recipe:
    """Net A at S=256, from random weights.

    Command:   vggfeat pretrain --stage vgg11-256 --data DIR
    Cost:      4.3e18 operations in 74 epochs
    Expected:  29.6 / 10.4, dense at Q=256.
    """
    return Recipe(name="vgg11-256", net="vgg11", published=(29.6, 10.4))


def vgg11_384() -> Recipe:
    """Net A at S=384, from vgg11-256.

    Command:   vggfeat pretrain --stage vgg11-384 --data DIR
    Cost:      4.3e18 operations in 74 epochs
    Expected:  not in the paper.
    """
    return _at_384(vgg11_256())


def vgg11_jitter() -> Recipe:
    """Net A with S from 256 to 512, from vgg11-384.

    Command:   vggfeat pretrain --stage vgg11-jitter --data DIR
    Cost:      4.3e18 operations in 74 epochs
    Expected:  not in the paper.
    """
    return _jittered(vgg11_384())


def vgg11_lrn_256() -> Recipe:
    """Net A-LRN at S=256, from random weights.

    Command:   vggfeat pretrain --stage vgg11_lrn-256 --data DIR
    Cost:      4.3e18 operations in 74 epochs
    Expected:  29.7 / 10.5, dense at Q=256.
    """
    return Recipe(name="vgg11_lrn-256", net="vgg11_lrn", published=(29.7, 10.5))


def vgg11_lrn_384() -> Recipe:
    """Net A-LRN at S=384, from vgg11_lrn-256.

    Command:   vggfeat pretrain --stage vgg11_lrn-384 --data DIR
    Cost:      4.3e18 operations in 74 epochs
    Expected:  not in the paper.
    """
    return _at_384(vgg11_lrn_256())


def vgg11_lrn_jitter() -> Recipe:
    """Net A-LRN with S from 256 to 512, from vgg11_lrn-384.

    Command:   vggfeat pretrain --stage vgg11_lrn-jitter --data DIR
    Cost:      4.3e18 operations in 74 epochs
    Expected:  not in the paper.
    """
    return _jittered(vgg11_lrn_384())


def vgg13_256() -> Recipe:
    """Net B at S=256, layers of vgg11-256 taken over, the others random.

    Command:   vggfeat pretrain --stage vgg13-256 --data DIR
    Cost:      6.4e18 operations in 74 epochs
    Expected:  28.7 / 9.9, dense at Q=256.
    """
    return _deeper("vgg13", published=(28.7, 9.9))


def vgg13_384() -> Recipe:
    """Net B at S=384, from vgg13-256.

    Command:   vggfeat pretrain --stage vgg13-384 --data DIR
    Cost:      6.4e18 operations in 74 epochs
    Expected:  not in the paper.
    """
    return _at_384(vgg13_256())


def vgg13_jitter() -> Recipe:
    """Net B with S from 256 to 512, from vgg13-384.

    Command:   vggfeat pretrain --stage vgg13-jitter --data DIR
    Cost:      6.4e18 operations in 74 epochs
    Expected:  not in the paper.
    """
    return _jittered(vgg13_384())


def vgg16_1x1_256() -> Recipe:
    """Net C at S=256, layers of vgg11-256 taken over, the others random.

    Command:   vggfeat pretrain --stage vgg16_1x1-256 --data DIR
    Cost:      6.7e18 operations in 74 epochs
    Expected:  28.1 / 9.4, dense at Q=256.
    """
    return _deeper("vgg16_1x1", published=(28.1, 9.4))


def vgg16_1x1_384() -> Recipe:
    """Net C at S=384, from vgg16_1x1-256.

    Command:   vggfeat pretrain --stage vgg16_1x1-384 --data DIR
    Cost:      6.7e18 operations in 74 epochs
    Expected:  28.1 / 9.3, dense at Q=384.
    """
    return _at_384(vgg16_1x1_256(), published=(28.1, 9.3))


def vgg16_1x1_jitter() -> Recipe:
    """Net C with S from 256 to 512, from vgg16_1x1-384.

    Command:   vggfeat pretrain --stage vgg16_1x1-jitter --data DIR
    Cost:      6.7e18 operations in 74 epochs
    Expected:  27.3 / 8.8, dense at Q=384.
    """
    return _jittered(vgg16_1x1_384(), published=(27.3, 8.8))


def vgg16_256() -> Recipe:
    """Net D at S=256, layers of vgg11-256 taken over, the others random.

    Command:   vggfeat pretrain --stage vgg16-256 --data DIR
    Cost:      8.8e18 operations in 74 epochs
    Expected:  27.0 / 8.8, dense at Q=256.
    """
    return _deeper("vgg16", published=(27.0, 8.8))


def vgg16_384() -> Recipe:
    """Net D at S=384, from vgg16-256.

    Command:   vggfeat pretrain --stage vgg16-384 --data DIR
    Cost:      8.8e18 operations in 74 epochs
    Expected:  26.8 / 8.7, dense at Q=384.
    """
    return _at_384(vgg16_256(), published=(26.8, 8.7))


def vgg16_jitter() -> Recipe:
    """Net D with S from 256 to 512, from vgg16-384.

    Command:   vggfeat pretrain --stage vgg16-jitter --data DIR
    Cost:      8.8e18 operations in 74 epochs
    Expected:  25.6 / 8.1, dense at Q=384.
    """
    return _jittered(vgg16_384(), published=(25.6, 8.1))


def vgg19_256() -> Recipe:
    """Net E at S=256, layers of vgg11-256 taken over, the others random.

    Command:   vggfeat pretrain --stage vgg19-256 --data DIR
    Cost:      11.2e18 operations in 74 epochs
    Expected:  27.3 / 9.0, dense at Q=256.
    """
    return _deeper("vgg19", published=(27.3, 9.0))


def vgg19_384() -> Recipe:
    """Net E at S=384, from vgg19-256.

    Command:   vggfeat pretrain --stage vgg19-384 --data DIR
    Cost:      11.2e18 operations in 74 epochs
    Expected:  26.9 / 8.7, dense at Q=384.
    """
    return _at_384(vgg19_256(), published=(26.9, 8.7))


def vgg19_jitter() -> Recipe:
    """Net E with S from 256 to 512, from vgg19-384.

    Command:   vggfeat pretrain --stage vgg19-jitter --data DIR
    Cost:      11.2e18 operations in 74 epochs
    Expected:  25.5 / 8.0, dense at Q=384.
    """
    return _jittered(vgg19_384(), published=(25.5, 8.0))


RECIPES: Mapping[str, Callable[[], Recipe]] = {
    make().name: make
    for make in (
        vgg11_256, vgg11_384, vgg11_jitter,
        vgg11_lrn_256, vgg11_lrn_384, vgg11_lrn_jitter,
        vgg13_256, vgg13_384, vgg13_jitter,
        vgg16_1x1_256, vgg16_1x1_384, vgg16_1x1_jitter,
        vgg16_256, vgg16_384, vgg16_jitter,
        vgg19_256, vgg19_384, vgg19_jitter,
    )
}  # fmt: skip
DEFAULT_TARGETS = ("vgg16", "vgg19")
# What holds for one stage only.
STAGE_FIELDS = ("start", "scales")
FIXED_FIELDS = ("name", "net", "published", "regressor", "tuned")


def recipe(name: str) -> Recipe:
    """The recipe of a stage. Raises UnknownNameError, or OptionError at a net's name."""
    if name in vgg.CONFIGURATIONS:
        stages = ", ".join(stage for stage in RECIPES if stage.startswith(f"{name}-"))
        raise OptionError(f"{name} is a net; its stages are {stages}.")
    if name not in RECIPES:
        raise UnknownNameError("stage", name, RECIPES)
    return RECIPES[name]()


def chain(target: str) -> list[Recipe]:
    """The recipes that lead to a net's last stage, or to a stage, in the order of training."""
    if target not in RECIPES and target not in vgg.CONFIGURATIONS:
        raise UnknownNameError("recipe", target, [*vgg.CONFIGURATIONS, *RECIPES])
    wanted: str | None = target if target in RECIPES else f"{target}-jitter"
    found: list[Recipe] = []
    while wanted:
        found.insert(0, recipe(wanted))
        wanted = found[0].start
    return found


def chosen(
    targets: Sequence[str], stages: Sequence[str], options: Mapping[str, str]
) -> list[Recipe]:
    """The recipes of the stages alone, or of the chains to all targets, each once, overridden."""
    if stages:
        return [overridden(recipe(name), options, one_stage=True) for name in stages]
    recipes = [one for target in targets or DEFAULT_TARGETS for one in chain(target)]
    return [overridden(one, options, one_stage=False) for one in dict.fromkeys(recipes)]


def overridden(recipe: Recipe, options: Mapping[str, str], *, one_stage: bool) -> Recipe:
    """The recipe with fields replaced by what a user wrote for them.

    A new input_size scales S with it, so that a crop shows the same share of the picture, unless S
    is given too. Raises UnknownNameError at a field that does not exist or cannot be changed,
    OptionError at a value that is not allowed, and at one that holds for one stage only if there
    are several.
    """
    types_of = typing.get_type_hints(type(recipe))
    known = [field.name for field in fields(recipe) if field.name not in FIXED_FIELDS]
    changes: dict[str, Any] = {}
    for name, text in options.items():
        if name not in known:
            raise UnknownNameError("field of a recipe", name, known)
        if name in STAGE_FIELDS and not one_stage:
            raise OptionError(
                f"{name} belongs to one stage: name that one alone, such as with --stage."
            )
        changes[name] = _converted(name, text, types_of[name])
    if changes.get("start") is not None:
        _check_start(recipe, changes["start"])
    if "input_size" in changes and "scales" not in changes:
        factor = changes["input_size"] / recipe.input_size
        changes["scales"] = tuple(round(scale * factor) for scale in recipe.scales)
    return replace(recipe, **changes)


def _check_start(recipe_: Recipe, start: str) -> None:
    if recipe(start).net not in (recipe_.net, SHALLOW) or start == recipe_.name:
        raise OptionError(
            f"start must be another stage of {recipe_.net}, one of {SHALLOW}, or none; got"
            f" {start!r}."
        )


def _converted(name: str, text: str, kind: Any) -> Any:
    """The text as a value of the field's type."""
    try:
        if kind == Scales:
            first, _, last = text.partition("-")
            return int(first), int(last or first)
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind in (int, float):
            return kind(text)
    except (ValueError, KeyError) as error:
        raise OptionError(f"{name} must be {EXPECTED[kind]}; got {text!r}.") from error
    if kind == str | None:
        return None if text == "none" else text
    return text


SHALLOW = "vgg11"  # whose layers deeper nets start from
EXPECTED = {
    Scales: "S or SMIN-SMAX in pixels, such as 256 or 256-512",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
