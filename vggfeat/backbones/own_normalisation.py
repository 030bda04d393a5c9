"""Whether a net normalises its input itself, and which pixels it then takes.

Three pictures of one colour, 0, 1/2 and 1, show it: what the net's first layer with weights is
given of them is (x - mean) / std in each channel. The scale of mean and std says whether x is a
pixel of 0 to 255 or of 0 to 1.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vggfeat.errors import NetworkError
from vggfeat.input_statistics import TORCHVISION_STATISTICS, InputStatistics

AS_THEY_ARE = InputStatistics(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
OF_0_TO_1 = InputStatistics(mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
COLOURS = (0.0, 0.5, 1.0)
TOLERANCE = 0.02  # nets in half precision or of whole numbers round
# torch's operators in which positions or channels meet; before one of them a net normalises.
MIXING = re.compile(
    "conv|^linear|mm|matmul|^dot|einsum|pool|layer_norm|group_norm|instance_norm|attention"
)

GivenToFirstLayer = Callable[[Tensor], Tensor | None]


def own_statistics(given: GivenToFirstLayer, side: int, *, net: str) -> InputStatistics | None:
    """What pictures have to be normalised with for a net that normalises them itself.

    given(images [3, 3, side, side]) is what its first layer with weights is given, None where that
    cannot be seen. None: it does not normalise, as far as can be seen. Raises NetworkError where
    it does, and not as pixels of 0 to 255 or of 0 to 1 are normalised.
    """
    line = _line(given, side)
    if line is None:
        return None
    factor, offset = line
    if (factor.abs() < 1e-6).any():
        return None
    mean, std = -offset / factor, 1 / factor.abs()
    if _lie(mean, -0.3, 0.3) and _lie(std, 0.5, 2):
        return None  # nothing is done to its input, or next to nothing
    if _is_torchvisions_again(factor, offset):
        return TORCHVISION_STATISTICS
    if _lie(mean, 0, 255) and (_lie(std, 20, 300) or (_lie(mean, 20, 255) and _lie(std, 0.5, 2))):
        return AS_THEY_ARE
    if _lie(mean, 0, 0.7) and (_lie(std, 0, 0.02) or (_lie(mean, 0.3, 0.7) and _lie(std, 0, 1.1))):
        return OF_0_TO_1
    raise NetworkError(
        f"{net}: normalises its input itself, with mean {_numbers(mean)} and std {_numbers(std)},"
        " which are neither of pixels of 0 to 255 nor of 0 to 1. State what it takes as options:"
        " mean=0/0/0,std=1/1/1 for pixels of 0 to 255, std=255/255/255 for 0 to 1."
    )


def given_to_first_layer(net: nn.Module, images: Tensor) -> Tensor | None:
    """What the first layer of a torch module that mixes positions or channels is given.

    None if there is none, or the net fails before it.
    """
    recorder = _Recorder(images)
    try:
        with torch.no_grad(), recorder:
            net(images)
    except Exception:  # also of the recorder's own, which TorchScript gives another type
        pass
    return recorder.found


class _Recorder(TorchDispatchMode):
    """Follows the images through torch's operators, and stops at the first that mixes."""

    def __init__(self, images: Tensor):
        super().__init__()
        self.found: Tensor | None = None
        self._following = {id(images): images}  # kept, so that no other tensor gets its id

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        followed = [t for t in _tensors((args, tuple(kwargs.values()))) if id(t) in self._following]
        name = func.overloadpacket.__name__
        if followed and MIXING.search(name):
            self.found = followed[0].detach().clone()
            raise _FirstLayerReached
        result = func(*args, **kwargs)
        if followed:
            self._following |= {id(tensor): tensor for tensor in _tensors((result,))}
        return result


class _FirstLayerReached(Exception):
    """The rest of the forward pass is not needed."""


def _tensors(values: tuple | list) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += _tensors(value)
    return found


def _line(given: GivenToFirstLayer, side: int) -> tuple[Tensor, Tensor] | None:
    """Factor and offset of each number that the first layer is given; None if it is no line.

    One for each channel of a map, or for each number of vectors and tokens.
    """
    images = torch.tensor(COLOURS).view(3, 1, 1, 1).expand(3, 3, side, side).contiguous()
    values = given(images)
    if values is None or values.ndim < 2 or len(values) % len(COLOURS):
        return None
    if not values.is_floating_point() or not values.isfinite().all():
        return None
    if values.ndim == 4:  # in the middle, where no padding is seen
        values = values[:, :, values.shape[2] // 2, values.shape[3] // 2]
    low, half, high = values.reshape(len(COLOURS), -1).double()  # a row may be a token
    if ((low + high) / 2 - half).abs().max() > TOLERANCE * (high - low).abs().max():
        return None
    return high - low, low


def _is_torchvisions_again(factor: Tensor, offset: Tensor) -> bool:
    """Whether it makes (x - 1/2) / (1/2) of pixels of 0 to 1 that torchvision has normalised."""
    if len(factor) != 3:
        return False
    of_torchvision = torch.tensor([*vars(TORCHVISION_STATISTICS).values()]).double()
    mean, std = of_torchvision / 255
    expected = torch.stack([std / 0.5, (mean - 0.5) / 0.5])
    return torch.allclose(torch.stack([factor, offset]), expected, atol=1e-3)


def _lie(values: Tensor, low: float, high: float) -> bool:
    return bool(((low - 1e-3 <= values) & (values <= high + 1e-3)).all())


def _numbers(values: Tensor) -> str:
    return "/".join(f"{value:.3g}" for value in values.tolist())
