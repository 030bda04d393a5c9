"""Convolutions that processors with AMX compute wrongly in bf16, in fp32 instead.

There oneDNN gives noise, or memory that was never written, where a kernel of several columns moves
by several and the map has one column; in three dimensions in more shapes, and in gradients as well
(seen with torch 2.14.1; neighbours of it are pytorch#169688 and oneDNN#5494). A dispatch mode meets
convolutions below autocast and autograd, their arguments in one form, whoever asks for them: a
module, a program, the way back. It costs some 7 us an operation, 2% of ResNet-50's time.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

from vggfeat.devices import cpu_has_amx

aten = torch.ops.aten
# Their first arguments are the same; traced programs call the second.
FORWARD = {aten.convolution.default, aten._convolution.default}
BACKWARD = {aten.convolution_backward.default}
# In inference mode a mode meets these before they have become one of the above.
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
    """A `with` block in which convolutions in bf16 are right, forward and backward.

    bf16 says whether there may be any. Where nothing is wrong, or a block around does it already,
    this one does nothing.
    """
    needed = device == "cpu" and bf16 and cpu_has_amx()
    if not needed or isinstance(_get_current_dispatch_mode(), _WrongOnesInFp32):
        return nullcontext()
    return _WrongOnesInFp32()


class _WrongOnesInFp32(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        if func not in ALL:
            return func(*args, **kwargs)
        if func in COMPOSED:
            with self:
                return func.decompose(*args, **kwargs)
        if not _is_wrong(func, args):
            return func(*args, **kwargs)
        found = func(*(arg.float() if isinstance(arg, Tensor) else arg for arg in args), **kwargs)
        if isinstance(found, Tensor):
            return found.bfloat16()
        return tuple(gradient if gradient is None else gradient.bfloat16() for gradient in found)


def _is_wrong(func: torch._ops.OpOverload, args: tuple[Any, ...]) -> bool:
    """Whether AMX may compute it wrongly. One row it computes rightly, but that is little work."""
    if func in BACKWARD:
        output, images, weight, _, stride, padding, dilation, transposed = args[:8]
    else:
        images, weight, _, stride, padding, dilation, transposed = args[:7]
        output = None
    if weight.dtype != torch.bfloat16 or transposed:
        return False
    if weight.ndim == 5:
        return True
    kernel = weight.shape[-1]
    if weight.ndim != 4 or kernel == 1 or stride[-1] == 1:
        return False
    if output is not None:
        return output.shape[-1] == 1
    room = images.shape[-1] + 2 * padding[-1] - dilation[-1] * (kernel - 1) - 1
    return room // stride[-1] == 0
