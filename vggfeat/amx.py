"""Compute in fp32 those convolutions that processors with AMX compute wrongly in bf16.

With a kernel and a stride of more than one column and an output of one column, oneDNN returns noise
or uninitialised memory; in three dimensions for more shapes, and in gradients as well (seen with
torch 2.14.1; related: pytorch#169688 and oneDNN#5494). A dispatch mode intercepts convolutions
below autocast and autograd, with their arguments in one form, whether a module, an exported program
or the backward pass calls them. It costs some 7 us an operation, 2% of ResNet-50's time.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

from vggfeat.devices import cpu_has_amx

aten = torch.ops.aten
# Their first arguments are the same; exported programs call the second.
FORWARD = {aten.convolution.default, aten._convolution.default}
BACKWARD = {aten.convolution_backward.default}
# In inference mode a dispatch mode sees these before they are decomposed into one of the above.
COMPOSED = {
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv3d.default,
    aten.conv3d.padding,
    aten._convolution_mode.default,
    aten._convolution.deprecated,
}
ALL = FORWARD | BACKWARD | COMPOSED


def right_convolutions(device: str, *, bf16: bool) -> AbstractContextManager:
    """A `with` block in which convolutions in bf16 are correct, forward and backward.

    bf16=False says that there are none. The block does nothing on processors that compute them
    correctly, and inside another such block.
    """
    needed = device == "cpu" and bf16 and cpu_has_amx()
    if not needed or isinstance(_get_current_dispatch_mode(), _WrongConvolutionsInFp32):
        return nullcontext()
    return _WrongConvolutionsInFp32()


class _WrongConvolutionsInFp32(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        if func not in ALL:
            return func(*args, **kwargs)
        if func in COMPOSED:
            with self:
                return func.decompose(*args, **kwargs)
        if not _is_wrong(func, args):
            return func(*args, **kwargs)
        result = func(*(arg.float() if isinstance(arg, Tensor) else arg for arg in args), **kwargs)
        if isinstance(result, Tensor):
            return result.bfloat16()
        return tuple(gradient if gradient is None else gradient.bfloat16() for gradient in result)


def is_wrong_convolution(
    images: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> bool:
    """Whether AMX may compute a convolution of bf16 wrongly; a few correct cases are included."""
    if weight.ndim == 5:
        return True
    kernel = weight.shape[-1]
    if weight.ndim != 4 or kernel == 1 or stride[-1] == 1:
        return False
    last_start = images.shape[-1] + 2 * padding[-1] - dilation[-1] * (kernel - 1) - 1
    return last_start // stride[-1] == 0


def _is_wrong(func: torch._ops.OpOverload, args: tuple[Any, ...]) -> bool:
    """Whether AMX may compute it wrongly; a few correct cases, which are cheap, are included."""
    if func in BACKWARD:
        output, images, weight, _, stride, padding, dilation, transposed = args[:8]
    else:
        images, weight, _, stride, padding, dilation, transposed = args[:7]
        output = None
    if weight.dtype != torch.bfloat16 or transposed:
        return False
    if output is not None and weight.ndim == 4:
        return weight.shape[-1] != 1 and stride[-1] != 1 and output.shape[-1] == 1
    return is_wrong_convolution(images, weight, stride, padding, dilation)
