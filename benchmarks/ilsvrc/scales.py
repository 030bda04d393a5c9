"""Training scale S and test scales Q (paper, sect. 3.2, 4.1 and 4.2).

    single      Q = S, or the middle of its range
    multi       S - 32, S, S + 32, or both ends and the middle of its range
    256,384     these
    256+352,384 these for the first net of a fusion, those for the second

The paper's 32 pixels belong to its crops of 224; nets for smaller crops have them in proportion.
"""

from collections.abc import Sequence
from typing import Any

from vggfeat.backbones.network import Network
from vggfeat.errors import OptionError
from vggfeat.vgg import PAPER_INPUT_SIZE

PAPER_SCALE, PAPER_STEP = 256, 32  # pixels, for crops of 224
ORIGINAL_SCALES = (256, 512)  # S of the two nets that were released
Scales = tuple[int, ...]


def training_scale(network: Network) -> tuple[int, int] | None:
    """The range of S that a net was trained at, as its card states; None if it states none."""
    if network.original:
        return ORIGINAL_SCALES
    scales = network.card.recipe.get("scales") if network.card else None
    if isinstance(scales, list) and len(scales) == 2 and all(type(s) is int for s in scales):
        return scales[0], scales[1]
    return None


def as_text(scale: tuple[int, int] | None) -> str | None:
    """S as tables show it: 256, or 256-512."""
    if scale is None:
        return None
    return str(scale[0]) if scale[0] == scale[1] else f"{scale[0]}-{scale[1]}"


def scales_of(text: str, networks: Sequence[Network]) -> list[Scales]:
    """The scales that each of the nets is tested at. Raises OptionError."""
    if text == "single":
        return [(sum(_scale_of(network)) // 2,) for network in networks]
    if text == "multi":
        return [_several(network) for network in networks]
    lists = [_numbers(numbers, text) for numbers in text.split("+")]
    if len(lists) == 1:
        lists *= len(networks)
    if len(lists) != len(networks):
        raise OptionError(
            f"scales {text!r} are for {len(lists)} nets, and {len(networks)} are used together."
            " Give one list for all, or one for each, joined by +."
        )
    return lists


def used_together(
    text: str, networks: Sequence[Network]
) -> tuple[tuple[Network, ...], tuple[Scales, ...]]:
    """The nets of a fusion and the scales of each, in an order that does not depend on how they are
    named. Raises OptionError, also if a net is there twice at the same scales."""
    pairs = list(zip(networks, scales_of(text, networks), strict=True))
    pairs.sort(key=lambda pair: (pair[0].name, pair[1], pair[0].weights_identity))
    keys = [(network.name, network.weights_identity, scales) for network, scales in pairs]
    for key, next_key in zip(keys, keys[1:], strict=False):
        if key == next_key:
            raise OptionError(
                f"{key[0]} at scales {', '.join(map(str, key[2]))} is used with itself. Name other"
                " weights, or other scales for each: 256+384."
            )
    return tuple(network for network, _ in pairs), tuple(scales for _, scales in pairs)


def facts(network: Network, scales: Scales) -> dict[str, Any]:
    """The facts that a record holds of a net and the scales that it was tested at."""
    return {
        "name": network.name,
        "weights": network.weights,
        "weights_sha256": network.weights_sha256,
        **network.assumed_fact,
        "train_scale": as_text(training_scale(network)),
        "scales": list(scales),
    }


def _numbers(numbers: str, text: str) -> Scales:
    try:
        return tuple(sorted(int(number) for number in numbers.split(",")))
    except ValueError as error:
        raise OptionError(
            f"scales must be single, multi, or whole numbers such as 256,384,512; got {text!r}."
        ) from error


def _several(network: Network) -> Scales:
    first, last = _scale_of(network)
    if first != last:
        return first, (first + last) // 2, last
    step = round(PAPER_STEP * network.backbone.input_size / PAPER_INPUT_SIZE)
    smallest = max(first - step, network.backbone.input_size)  # a crop must fit in
    return tuple(dict.fromkeys((smallest, first, first + step)))


def _scale_of(network: Network) -> tuple[int, int]:
    """S; where the card does not state it, the one that the paper's first nets were trained at."""
    if stated := training_scale(network):
        return stated
    scale = round(PAPER_SCALE * network.backbone.input_size / PAPER_INPUT_SIZE)
    return scale, scale
