"""A recipe: the fields that decide how one net is trained at one training scale S."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from vggfeat import vgg
from vggfeat.errors import OptionError
from vggfeat.vgg import PAPER_INPUT_SIZE

if TYPE_CHECKING:
    from vggfeat.pretraining.objective import Objective

MAX_SCALE = 2048  # pixels
MAX_DROPS = 10
Scales = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How one net is trained at one S. Raises OptionError at values that make no sense.

    Defaults are those of the paper's sect. 3.1 for S=256. Order and names of the fields are those
    of the records and cards that hold a recipe.
    """

    name: str
    net: str  # of vgg.CONFIGURATIONS
    start: str | None = None  # the stage whose weights training starts from
    published: tuple[float, float] | None = None  # top-1 and top-5 error, %

    width: float = 1.0  # factor on all channel counts
    input_size: int = PAPER_INPUT_SIZE  # pixels, side of a training crop
    scales: Scales = (256, 256)  # S: shortest side, drawn from this range, both ends included
    init: Literal["normal", "glorot"] = "normal"  # of the layers that no start gives
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
        vgg.check_options(self.net, width=self.width, input_size=self.input_size)
        self._require(self.init in ("normal", "glorot"), "init", "'normal' or 'glorot'")
        smallest, largest = self.scales
        self._require(
            self.input_size <= smallest <= largest <= MAX_SCALE,
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

    def _require(self, is_allowed: bool, name: str, allowed: str) -> None:
        if not is_allowed:
            value = getattr(self, name)
            got = "-".join(map(str, value)) if isinstance(value, tuple) else repr(value)
            raise OptionError(f"{name} must be {allowed}; got {got}.")

    @property
    def test_scale(self) -> int:
        """Q of the centre crop: S, or the middle of its range (paper, sect. 4.1)."""
        return sum(self.scales) // 2

    @property
    def is_full_size(self) -> bool:
        """Whether the net has the paper's width and input size."""
        return self.width == 1.0 and self.input_size == PAPER_INPUT_SIZE

    @property
    def begins_with(self) -> str:
        """The weights that training begins with, in words."""
        random = "Glorot" if self.init == "glorot" else f"N(0, {self.init_std:g})"
        if self.start is None:
            return random
        # A shallower net gives only some of its layers.
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
        """Whether the last layer of the net it starts from has the outputs of its objective."""
        return True

    @property
    def trains_convolutions(self) -> bool:
        """Whether the convolutions are trained, or only the fully connected layers."""
        return True

    def objective(self, num_classes: int) -> "Objective":
        """What the net is trained for: its outputs, loss and metrics."""
        from vggfeat.pretraining.objective import Classification

        return Classification(num_classes)

    def decisive(self) -> dict[str, Any]:
        """The fields that decide what is learned up to an epoch."""
        indecisive = ("name", "published", "epochs", "stuck_after")
        return {name: value for name, value in asdict(self).items() if name not in indecisive}
