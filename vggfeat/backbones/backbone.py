"""The one face of every net, before it is built: `Backbone`.

Shapes: N images, H W sides of a picture, D channels of a layer, h w sides of its map, K outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import NetworkError, OptionError
from vggfeat.input_statistics import InputStatistics


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A net at one of its layers: what has to be known of it before it is built."""

    spec: NetSpec  # without weights, and without the options that are the net's defaults
    layer_name: str  # whose activations are the descriptor, as `to_maps` takes it
    dim: int  # D
    input_size: int  # side of the crops it was trained on, pixels
    min_size: int  # smallest side of a picture, pixels
    any_size: bool  # whether it is fully convolutional: otherwise it takes crops only
    view: str  # one of spec.VIEWS
    statistics: InputStatistics  # where neither the weights nor the user say
    shows_statistics: bool = False  # whether the net's own computation shows them
    # What a file of weights holds, or None for random weights -> the net as it was trained.
    build: Callable[[Mapping[str, Tensor] | None], nn.Module]
    # A built net, names of layers -> images [N, 3, H, W] to a map [N, D, h, w] of each layer.
    to_maps: Callable[[nn.Module, Sequence[str]], nn.Module]
    # A built net -> images [N, 3, H, W] to a map [N, K, h, w] of scores; [N, K, 1, 1] of some.
    to_outputs: Callable[[nn.Module], nn.Module]
    needs: Callable[[str], bool] = lambda key: True  # the keys that decide this layer
    # What a file of weights holds -> why it can give no more than some layers; empty if it can.
    missing_part: Callable[[Mapping[str, Tensor]], str] = lambda tensors: ""
    # The tensors of an old file under the keys that the net has now; None: they never changed.
    renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None
    last_layer: str = ""  # whose weights' first axis counts the outputs
    num_outputs: int = 1000  # K, where no weights say; ILSVRC's classes
    # Layer -> what it gives for one picture of input_size, [1, D, h, w] and the like, in order.
    layer_shapes: Callable[[], Mapping[str, tuple[int, ...]]] = dict

    @property
    def name(self) -> str:
        """The net as `--net` names it, without weights."""
        return str(self.spec)

    @property
    def trunk(self) -> NetSpec:
        """The net without its layer: nets of one trunk and weights share a forward pass."""
        # Before the ReLU is another layer of a paper's net, and another net of the others.
        relu = None if self.spec.is_of_paper else self.spec.relu
        return replace(self.spec, layer=None, relu=relu)

    @property
    def layer(self) -> str:
        """What feature files call the layer; what is seen of a picture is part of it."""
        if self.view == "dense":
            return self.layer_name
        if self.view == "resized":
            return f"{self.layer_name}, resized to a square"
        crops = "centre crop" if self.view == "centre" else "centre and corner crops"
        return f"{self.layer_name}, {crops} of {self.input_size}"


class ScoresAsMap(nn.Module):
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


class FirstMap(nn.Module):
    """The first map of a module that gives a list of maps."""

    def __init__(self, maps: nn.Module):
        super().__init__()
        self.maps = maps

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)[0]


def check_input_size(side: int) -> None:
    """Raise OptionError unless pictures can have that side."""
    if side < 1:
        raise OptionError(f"input_size must be at least 1; got {side}.")
