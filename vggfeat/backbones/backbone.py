"""The one face of every net, before it is built: `Backbone`.

Shapes: N images, H W sides of a picture, D channels of a layer, h w sides of its map, K outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from vggfeat.errors import NetworkError, OptionError, UnknownNameError
from vggfeat.images import InputStatistics

# What of a picture a net sees, once its shortest side is at a scale.
VIEWS = {
    "dense": "the whole picture",
    "centre": "the centre crop",
    "corners": "the crops at the corners and the centre, with mirrors ten crops",
    "resized": "the whole picture as a square, its aspect ratio not kept",
}


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A net at one of its layers: what has to be known of it before it is built."""

    name: str  # as `--net` names it, without weights
    trunk: str  # the same without the layer: nets of one trunk and weights share a pass
    tap: str  # the layer whose activations are the descriptor, as `to_maps` takes it
    dim: int  # D
    input_size: int  # side of the crops it was trained on, pixels
    min_size: int  # smallest side of a picture, pixels
    any_size: bool  # whether it is fully convolutional: otherwise it takes crops only
    view: str  # one of VIEWS
    statistics: InputStatistics  # where neither the weights nor the user say
    # What a file of weights holds, or None for random weights -> the net as it was trained.
    build: Callable[[Mapping[str, Tensor] | None], nn.Module]
    # A built net, taps -> images [N, 3, H, W] to a map [N, D, h, w] for each tap, in one pass.
    to_maps: Callable[[nn.Module, Sequence[str]], nn.Module]
    # A built net -> images [N, 3, H, W] to a map [N, K, h, w] of scores; [N, K, 1, 1] of some.
    to_outputs: Callable[[nn.Module], nn.Module]
    needs: Callable[[str], bool] = lambda key: True  # the keys that decide this layer
    # What a file of weights holds -> why it can give no more than some layers; empty if it can.
    gap: Callable[[Mapping[str, Tensor]], str] = lambda tensors: ""
    renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda tensors: tensors  # old keys
    last_layer: str = ""  # whose weights' first axis counts the outputs
    num_outputs: int = 1000  # K, where no weights say; ILSVRC's classes

    @property
    def layer(self) -> str:
        """What feature files call the layer; what is seen of a picture is part of it."""
        if self.view == "dense":
            return self.tap
        if self.view == "resized":
            return f"{self.tap}, resized to a square"
        crops = "centre crop" if self.view == "centre" else "centre and corner crops"
        return f"{self.tap}, {crops} of {self.input_size}"


class Scores(nn.Module):
    """A net with scores [N, K] as a map of one position: [N, K, 1, 1]; a map stays what it is."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        scores = self.net(images)
        if scores.ndim not in (2, 4):
            sides = "x".join(map(str, scores.shape[1:]))
            raise NetworkError(
                f"the net gives a tensor {sides} an image, which are no class scores."
            )
        return scores if scores.ndim == 4 else scores[:, :, None, None]


class Only(nn.Module):
    """The one map of a module that gives a list."""

    def __init__(self, maps: nn.Module):
        super().__init__()
        self.maps = maps

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)[0]


def chosen_view(name: str, view: str | None, *, any_size: bool) -> tuple[str, str | None]:
    """The view that was asked for, or the net's own: dense where it can be, else the centre crop.

    Beside it what the net's name states of it: nothing of its own view. Raises UnknownNameError, or
    NetworkError where the net takes crops only.
    """
    own = "dense" if any_size else "centre"
    if view in (None, own):
        return own, None
    if view not in VIEWS:
        raise UnknownNameError(f"view of {name}", view, VIEWS)
    if view == "dense" and not any_size:
        raise NetworkError(
            f"{name}: takes pictures of one size only, so there is no dense view of it. Choose"
            " view=centre, view=corners or view=resized."
        )
    return view, view


def check_input_size(side: int) -> None:
    """Raise OptionError unless pictures can have that side."""
    if side < 1:
        raise OptionError(f"input_size must be at least 1; got {side}.")


def stated(name: str, options: Mapping[str, object], *, joined: str = ":") -> str:
    """A net's name with its options, as `--net` takes it; None is what was not given."""
    texts = [f"{key}={_text(value)}" for key, value in options.items() if value is not None]
    return f"{name}{joined}{','.join(texts)}" if texts else name


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "/".join(f"{number:g}" for number in value)
    return str(value)
