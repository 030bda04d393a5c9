"""A net as it is best run: where it lies in memory, and in the form that is fastest on a CPU.

The fast form (backbones/fused.py) rounds a little differently. Before it is used it is compared
with the net on a random picture, and where they differ by more than the bounds below the net itself
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
ASPECT = 1.25  # width over height of the random picture, where the net takes any size
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
        excess = _excess(module, faster, _random_picture(network), precision)
    except Exception as error:  # of torch's private operators, or of a net that fails anyway
        log.info("%s: run layer by layer: %s", network.label, error)
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


def _random_picture(network: Network) -> Tensor:
    """A normalised picture of a size that the net takes, channels last: [1, 3, h, w]."""
    height = network.backbone.input_size
    width = round(ASPECT * height) if network.backbone.any_size else height
    picture = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(SEED))
    return picture.contiguous(memory_format=torch.channels_last)


def _excess(module: nn.Module, faster: nn.Module, images: Tensor, precision: str) -> float:
    """How far the faster form is from the module, over how far it may be: at most 1 is sound."""
    with autocast_for("cpu", "fp32"):
        right = _maps(module(images))
        if precision == "fp32":
            return (_distances(_maps(faster(images)), right) / FP32_BOUND).max().item()
    with autocast_for("cpu", precision):
        plain, other = _maps(module(images)), _maps(faster(images))
    allowed = BF16_BOUND * _distances(plain, right) + FP32_BOUND
    return (_distances(other, right) / allowed).max().item()


def _maps(given: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [values.float() for values in ([given] if isinstance(given, Tensor) else given)]


def _distances(maps: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """Of each map as a part of its length; not a number where that is zero or not finite.

    A map of zeros that stays so beside others, which a random picture can bring about, counts as 0.
    """
    pairs = zip(maps, right, strict=True)
    differences = torch.stack([(values - right_ones).norm() for values, right_ones in pairs])
    lengths = torch.stack([right_ones.norm() for right_ones in right])
    stays_zero = (differences == 0) & (lengths == 0) & lengths.any()
    return torch.where(stays_zero, 0, differences / lengths)
