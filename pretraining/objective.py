"""Objectives of training: the class of a picture, or the box of its object.

Shapes: n pictures of a micro-batch, K classes, B boxes of a picture.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vggfeat.boxes import MIN_IOU
from vggfeat.pretraining.device_boxes import decode, encode, iou

NO_LABEL = -100  # of a row without a picture to learn from; torch's loss leaves it out
REGRESSORS = ("scr", "pcr")  # one box for all classes, or one for each (paper, appendix A.1)


class Objective(ABC):
    """Outputs, loss and metrics of a kind of training."""

    num_outputs: int
    metrics: tuple[str, ...]  # shares of pictures; the first decides about the learning rate
    plateau: float  # a loss at or above it has learned nothing

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        """The loss, summed over the pictures that have a label.

        outputs [n, ...] of the net, labels [n] of classes, boxes [n, B, 4] in pixels of the crop,
        NaN where a picture has fewer; a picture is trained on its first. All are on one device,
        which is not waited for.
        """

    @abstractmethod
    def hits(self, outputs: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        """Whether each picture is right, by each of the metrics: [n, M] bool."""


class Classification(Objective):
    """Multinomial logistic regression (paper, sect. 3.1)."""

    metrics = ("top1", "top5")

    def __init__(self, num_classes: int):
        self.num_outputs = num_classes
        self.plateau = math.log(num_classes)  # of equal scores

    def loss(self, outputs: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        return cross_entropy(outputs.float(), labels, reduction="sum", ignore_index=NO_LABEL)

    def hits(self, outputs: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        best = outputs.topk(min(5, outputs.shape[1]), dim=1).indices  # [n, 5]
        hits = best == labels[:, None]
        return torch.stack([hits[:, 0], hits.any(dim=1)], dim=1)


class BoxRegression(Objective):
    """Euclidean loss of the box of a picture's class (paper, appendix A.1)."""

    metrics = ("localised",)  # IoU above 0.5 with a box of the class, which is given
    plateau = math.inf

    def __init__(self, regressor: str, num_classes: int, side: int):
        self.num_boxes = num_classes if regressor == "pcr" else 1
        self.num_outputs = 4 * self.num_boxes
        self.side = side  # of a crop, pixels

    def loss(self, outputs: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        errors = self._of_class(outputs.float(), labels) - encode(boxes[:, 0], self.side).float()
        # Left out before they are squared: a NaN that is left out later has a gradient of NaN.
        kept = errors.where((labels != NO_LABEL)[:, None], 0)
        return (kept**2).sum() / 2

    def hits(self, outputs: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        values = self._of_class(outputs.detach().double(), labels)
        overlaps = iou(decode(values, self.side)[:, None], boxes)  # [n, B]
        return ((overlaps > MIN_IOU).any(dim=1) & (labels != NO_LABEL))[:, None]

    def _of_class(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The four outputs for each picture's class: [n, 4]."""
        rows = torch.arange(len(outputs), device=outputs.device)
        by_class = outputs.view(len(outputs), self.num_boxes, 4)
        return by_class[rows, labels.clamp(min=0) if self.num_boxes > 1 else 0]
