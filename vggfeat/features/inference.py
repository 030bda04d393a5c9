"""A net as it is best run: where it lies in memory, and in the form that is fastest on a CPU.

The fast form (backbones/fused.py) rounds a little differently. Before it is used it is compared
with the net on random pictures, and where they differ by more than the bounds below the net itself
is run, as it is on a GPU.
"""

import logging
import os
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from vggfeat.backbones.fused import fused
from vggfeat.backbones.network import Network
from vggfeat.features.forward import autocast_for

log = logging.getLogger(__name__)

FP32_BOUND = 1e-4  # of the length of what the net gives; sound nets differ by 1e-6
BF16_BOUND = 2.0  # times what bf16 itself changes in what the net gives
ASPECT = 1.25  # width over height of the random pictures, where the net takes any size
SEED = 0
# oneDNN builds kernels for every shape of a layer's input, of some 100 KiB, and keeps 1024 unless
# that is set: those of a light net for ten shapes of pictures at three scales. With 4096 a process
# was no larger than with kernels built and given back again and again.
KEPT_KERNELS = 4096
CAPACITY = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY")
_sound: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()  # at which precisions
_layer_by_layer = ContextVar("layer_by_layer", default=False)


def keep_kernels(environment: MutableMapping[str, str]) -> None:
    """Let oneDNN keep more kernels, unless the user says how many; it reads this at first use."""
    if not any(name in environment for name in CAPACITY):
        environment[CAPACITY[0]] = str(KEPT_KERNELS)


keep_kernels(os.environ)


@contextmanager
def layer_by_layer() -> Iterator[None]:
    """A `with` block in which nets are run as they are, to compare the fast form with."""
    token = _layer_by_layer.set(True)
    try:
        yield
    finally:
        _layer_by_layer.reset(token)


def for_inference(module: nn.Module, network: Network, device: str, precision: str) -> nn.Module:
    """A module of the network's on the device, in the form that computes the same fastest there."""
    module = module.to(device, memory_format=torch.channels_last)
    if device != "cpu" or _layer_by_layer.get():
        return module
    try:
        faster = fused(module)
        if faster is module or precision in _sound.get(module, ()):
            return faster
        excess = _excess(module, faster, _random_pictures(network), precision)
    except Exception as error:  # of torch's private operators, or of a net that fails anyway
        log.debug("%s: run layer by layer: %s", network.label, error)
        return module
    if not excess <= 1:
        log.warning(
            "%s: run layer by layer, which is slower: fused layers gave other numbers, by %.1f"
            " times what is allowed.",
            network.label,
            excess,
        )
        return module
    _sound.setdefault(module, set()).add(precision)
    return faster


def _random_pictures(network: Network) -> list[Tensor]:
    """Normalised pictures of sizes that the net takes, channels last: [1, 3, h, w] each.

    Code may look at sizes, mostly at whether they are even: a second one has other sides, if it
    may.
    """
    height, any_size = network.backbone.input_size, network.backbone.any_size
    sizes = [(height, round(ASPECT * height) if any_size else height)]
    if any_size:
        smaller = max(network.backbone.min_size, height // 2)
        sides = smaller, round(ASPECT * smaller)
        sizes.append(tuple(b + (a + b + 1) % 2 for a, b in zip(sizes[0], sides, strict=True)))
    generator = torch.Generator().manual_seed(SEED)
    pictures = [torch.randn(1, 3, *size, generator=generator) for size in sizes]
    return [picture.contiguous(memory_format=torch.channels_last) for picture in pictures]


def _excess(
    module: nn.Module, faster: nn.Module, pictures: Sequence[Tensor], precision: str
) -> float:
    """How far the faster form is from the module, over how far it may be: at most 1 is sound.

    That of the layer that is furthest; layers differ in length by orders of magnitude.
    """
    with autocast_for("cpu", "fp32"):
        right = _of_layers(module, pictures)
        if precision == "fp32":
            return (_distances(_of_layers(faster, pictures), right) / FP32_BOUND).max().item()
    with autocast_for("cpu", precision):
        plain, other = _of_layers(module, pictures), _of_layers(faster, pictures)
    allowed = BF16_BOUND * _distances(plain, right) + FP32_BOUND
    return (_distances(other, right) / allowed).max().item()


def _of_layers(module: nn.Module, pictures: Sequence[Tensor]) -> list[Tensor]:
    """What the module gives of all pictures, a vector for each of its layers."""
    passes = [module(picture) for picture in pictures]
    passes = [[maps] if isinstance(maps, Tensor) else maps for maps in passes]
    return [
        torch.cat([map_.float().flatten() for map_ in maps]) for maps in zip(*passes, strict=True)
    ]


def _distances(layers: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """Of each layer as a part of its length; not a number where that is zero or not finite.

    Zeros that stay so beside others, which random pictures can bring about, count as 0.
    """
    pairs = zip(layers, right, strict=True)
    differences = torch.stack([(values - right_ones).norm() for values, right_ones in pairs])
    lengths = torch.stack([right_ones.norm() for right_ones in right])
    stays_zero = (differences == 0) & (lengths == 0) & lengths.any()
    return torch.where(stays_zero, 0, differences / lengths)
