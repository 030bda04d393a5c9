"""The scales of a benchmark: shortest sides in pixels, or multiples of a net's input side."""

from collections.abc import Sequence
from dataclasses import dataclass

from vggfeat.backbones.network import Network
from vggfeat.errors import OptionError


@dataclass(frozen=True)
class OfInput:
    """Pictures that are smaller than a net's input, enlarged: the shortest side is `times` it.

    At their own size such pictures leave little of a net: of 32 pixels the nets of 11 to 19 layers
    make a map of one place, of which most is padding. Raises OptionError unless times is positive.
    """

    times: float = 1.0

    def __post_init__(self):
        if not self.times > 0:
            raise OptionError(f"times must be larger than 0; got {self.times}.")

    def __str__(self) -> str:
        return f"{self.times:g} x the net's input"


Scales = tuple[int, ...] | OfInput


def scales_for(scales: Scales, networks: Sequence[Network]) -> tuple[int, ...]:
    """The scales in pixels, for nets that are used together.

    Raises OptionError where they depend on the net, and there is none or inputs of several sizes.
    """
    if not isinstance(scales, OfInput):
        return scales
    sides = {network.name: network.backbone.input_size for network in networks}
    if len(set(sides.values())) != 1:
        named = ", ".join(f"{name} takes {side}" for name, side in sides.items())
        raise OptionError(
            f"the scale is {scales}, which needs nets of one input size; got {named or 'no net'}."
            " Give --scales in pixels (in Python scales=, or the nets to Benchmark.settings)."
        )
    (side,) = set(sides.values())
    return (round(scales.times * side),)
