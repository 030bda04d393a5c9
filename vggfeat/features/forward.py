"""Forward passes: pictures as a net's input, and their precision.

Shapes: B pictures of a batch, h w their sides.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor

from vggfeat.amx import right_convolutions
from vggfeat.devices import kind
from vggfeat.features.device import device_for
from vggfeat.input_statistics import InputStatistics


def to_input(pictures: np.ndarray | Tensor, statistics: InputStatistics, device: str) -> Tensor:
    """Pictures [B, h, w, 3] uint8 as a net takes them: [B, 3, h, w] float32 on the device.

    They are an array, or a tensor that is on the device already.
    """
    if isinstance(pictures, np.ndarray):
        pictures = device_for(device).upload(torch.from_numpy(pictures))
    # Rows of B x h x w x 3 seen as [B, 3, h, w] are channels-last, the layout kernels like best.
    batch = pictures.permute(0, 3, 1, 2).float()
    mean, std = _on_device(statistics, device)
    return batch.sub_(mean).div_(std)


@cache  # to bring them to a GPU would wait for all that it still has to do
def _on_device(statistics: InputStatistics, device: str) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(v, device=device) for v in (statistics.mean, statistics.std))
    return mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)


@contextmanager
def autocast_for(device: str, precision: str) -> Iterator[None]:
    """A `with` block for passes through a net at this precision.

    bf16 is autocast's, so that each kind of layer is computed as it can be. Weights are cast in the
    first pass and kept until the outermost of nested blocks ends; the net's own stay float32.
    """
    with (
        # Autocast keeps what it casts where gradients are off, but not in inference mode.
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(kind(device), torch.bfloat16, enabled=precision == "bf16"),
        right_convolutions(device, bf16=precision == "bf16"),
        # Otherwise "fp32" would mean TF32 on a GPU, and other digits than on a CPU.
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
    ):
        yield
