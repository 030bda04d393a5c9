"""A lower bound of an SVM's least objective, from its dual problem.

Shapes: P problems, n examples.
"""

import torch
from torch import Tensor

from vggfeat.probes.newton.batched import dot
from vggfeat.probes.newton.design_matrix import DesignMatrix


class DualBound:
    """A lower bound of the dual objective at the feasible point nearest to a [P, n].

    The change from a to that point needs no product with G: by Cauchy and Schwarz the length of
    its weights is at most the sum of the examples' lengths, and it vanishes near the minimum.
    """

    def __init__(self):
        self.linear, self.product, self.length = 0, 0, 0

    def add(self, design: DesignMatrix, y: Tensor, c: Tensor, a: Tensor, f: Tensor) -> None:
        """Add the terms of these examples; y, c, a and f are [P, design.n]."""
        change = torch.where((y * a < 0) | (c == 0), -a, 0)
        feasible = a + change
        self.linear += dot(y, feasible) - dot(feasible, feasible / (4 * c).masked_fill(c == 0, 1))
        self.product += dot(change, f)
        self.length += change.abs() @ design.squared_norms.sqrt()

    def value(self, squared_weights: Tensor) -> Tensor:
        """The bound [P]; squared_weights [P] is w'w at a."""
        return self.linear - (squared_weights + 2 * self.product + self.length**2) / 2
