"""Nets that this project does not define, with random weights, and what is expected of them.

What is expected is put together here from the nets' own modules, without hooks.
"""

from pathlib import Path

import torch
from torch import Tensor, nn


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def shaken(net: nn.Module, seed: int = 0) -> nn.Module:
    """The net in eval mode; its norms' means and variances are not the useless 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return net.eval()


def saved(net: nn.Module, path: Path) -> Path:
    torch.save(net.state_dict(), path)
    return path
