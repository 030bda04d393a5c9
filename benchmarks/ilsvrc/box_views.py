"""What regressors tell of a batch of pictures: a box of each one's class (paper, appendix A.2).

    centre  a regressor sees the centre crop; the boxes of several scales and nets are averaged
    dense   it sees the whole picture and tells a box at each position; those of all positions,
            scales and nets are united and merged; each counts as much as the posterior of the
            class that a classifier has at its position, and the box with the most wins

Boxes are cut at the picture's edges. Shapes: B pictures of a batch, K classes, h w positions,
n = h w.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggfeat.backbones.network import Network
from vggfeat.benchmarks.ilsvrc.scales import Scales
from vggfeat.box_merging import merge
from vggfeat.boxes import decode, in_picture
from vggfeat.errors import NetworkError
from vggfeat.features.forward import autocast_for, to_input
from vggfeat.features.heads.posterior import centre
from vggfeat.features.options import Extraction
from vggfeat.vgg import STRIDE, DenseVGG

VIEWS = ("centre", "dense")
NOWHERE = np.full(4, np.nan)  # where every box was empty
Scored = tuple[np.ndarray, np.ndarray]  # boxes [n, 4] in pixels of a picture, their scores [n]


@dataclass(frozen=True, kw_only=True)
class BoxView:
    """Regressors, each at its scales, in one view."""

    name: str
    regressors: Sequence[Network]
    scales: Sequence[Scales]
    classifier: Sequence[Network]  # used together; scores dense boxes
    merge_threshold: float
    forward: Extraction  # device and precision

    def boxes(
        self,
        arrays: Mapping[int, np.ndarray],
        labels: Sequence[int],
        sizes: Sequence[tuple[int, int]],
    ) -> list[list[float]]:
        """The box of each picture, in its own pixels.

        arrays holds the batch [B, h, w, 3] at each scale. Only there are the pictures of equal
        shape: sizes are their own (width, height).
        """
        seen: list[list[Scored]] = [[] for _ in labels]
        for scale, array in arrays.items():
            scores = self._scores(array) if self.name == "dense" else None
            for network, scales in zip(self.regressors, self.scales, strict=True):
                if scale not in scales:
                    continue
                boxes, corners = self._told(network, array, labels)
                for row, label in enumerate(labels):
                    placed = in_picture(boxes[row], sizes[row], scale, corners)
                    own = scores[row, label] if scores is not None else np.ones(len(placed))
                    seen[row].append((placed, own))
        return [self._answer(one, size) for one, size in zip(seen, sizes, strict=True)]

    def _answer(self, seen: Sequence[Scored], size: tuple[int, int]) -> list[float]:
        boxes, scores = (np.concatenate(part) for part in zip(*seen, strict=True))
        if self.name == "dense":
            boxes, scores = merge(boxes, scores, self.merge_threshold)
            box = boxes[scores.argmax()] if len(boxes) else NOWHERE
        else:
            box = boxes.mean(axis=0)
        return box.clip(0, [*size, *size]).tolist()

    def _told(
        self, network: Network, array: np.ndarray, labels: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [B, n, 4] in pixels of their windows, and the windows' corners [n, 2]."""
        side = network.backbone.input_size
        height, width = array.shape[1:3]
        outputs = self._run(network, array, side if self.name == "centre" else None)
        h, w = outputs.shape[2:]
        by_class = outputs.view(len(outputs), -1, 4, h, w)
        numbers = labels if by_class.shape[1] > 1 else [0] * len(labels)
        values = by_class[range(len(labels)), numbers].flatten(2).transpose(1, 2)  # [B, n, 4]
        if self.name == "centre":
            corners = np.array([[(width - side) // 2, (height - side) // 2]])
        else:
            upper, left = np.mgrid[:h, :w] * STRIDE
            corners = np.stack([left.ravel(), upper.ravel()], axis=1)
        return decode(values.double().numpy(), side), corners

    def _scores(self, array: np.ndarray) -> np.ndarray:
        """The classifier's posteriors [B, K, n] at each position."""
        maps = [torch.softmax(self._run(net, array, None), dim=1) for net in self.classifier]
        return torch.stack(maps).mean(dim=0).flatten(2).numpy()

    def _run(self, network: Network, array: np.ndarray, side: int | None) -> Tensor:
        """The output map [B, ..., h, w] float32 of a batch, or of its centre crops."""
        device = self.forward.resolved_device
        module = network.output_map.to(device, memory_format=torch.channels_last)
        if not isinstance(module, DenseVGG):
            raise NetworkError(f"{network.name}: boxes are told and scored by the VGG nets only.")
        with autocast_for(device, self.forward.resolved_precision):
            batch = to_input(array, network.statistics, device)
            if side is not None:
                batch = centre(batch, side)
            return module(batch).float().cpu()
