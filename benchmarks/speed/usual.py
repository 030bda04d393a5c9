"""The usual way to dense descriptors, the peer of extraction and preparation.

One picture at a time; for each scale it is opened, resized and made a tensor by torchvision's
transforms, then goes through torchvision's net, with its fully connected layers as convolutions,
as it is and mirrored; fp32, NCHW, all threads.
"""

from collections.abc import Mapping, Sequence
from math import isqrt
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from vggfeat.input_statistics import InputStatistics

NAME = "the usual way"


def prepared(path: Path, scale: int) -> Tensor:
    """A picture with its shortest side at the scale: [3, h, w] float32 from 0 to 1."""
    with Image.open(path) as picture:
        resized = transforms.functional.resize(picture.convert("RGB"), scale)
    return transforms.functional.to_tensor(resized)


class UsualWay:
    """Extract descriptors as the peer does.

    net has torchvision's layout: `features`, and `classifier` with fc6 and fc7 as 0 and 3.
    """

    def __init__(
        self, net: nn.Module, statistics: InputStatistics, scales: Sequence[int], device: str
    ):
        fc6, fc7 = net.classifier[0], net.classifier[3]
        convolutions = [layer for layer in net.features if isinstance(layer, nn.Conv2d)]
        side = isqrt(fc6.in_features // convolutions[-1].out_channels)
        layers = net.features, _convolution(fc6, side), nn.ReLU(), _convolution(fc7, 1), nn.ReLU()
        self.net = nn.Sequential(*layers).to(device).eval()
        mean, std = (
            [value / 255 for value in values] for values in (statistics.mean, statistics.std)
        )
        self.normalise = transforms.Normalize(mean, std)
        self.scales, self.device = scales, device

    @torch.inference_mode()
    def __call__(self, pictures: Mapping[str, Path]) -> np.ndarray:
        """Descriptors [N, S, D] of N pictures."""
        return np.stack(
            [
                np.stack([self._descriptor(path, scale) for scale in self.scales])
                for path in pictures.values()
            ]
        )

    def _descriptor(self, path: Path, scale: int) -> np.ndarray:  # [D]
        image = self.normalise(prepared(path, scale))[None].to(self.device)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # TF32 is not fp32
            views = [self.net(view).mean(dim=(2, 3))[0] for view in (image, image.flip(3))]
        return ((views[0] + views[1]) / 2).cpu().numpy()


def _convolution(linear: nn.Linear, side: int) -> nn.Conv2d:
    """A linear layer over [C, side, side] as a convolution with that kernel."""
    channels = linear.in_features // side**2
    convolution = nn.Conv2d(channels, linear.out_features, side)
    with torch.no_grad():
        convolution.weight.copy_(linear.weight.view_as(convolution.weight))
        convolution.bias.copy_(linear.bias)
    return convolution
