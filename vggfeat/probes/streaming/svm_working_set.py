"""SVMs whose examples with slack are few: solved on these in memory, with a pass for each change.

At large C a class leaves slack to few examples, and the others do not count: P(w) is what it would
be without them. A pass at the weights w keeps the examples that have slack, or nearly, in one of
the problems; without the others the problems are solved in memory. Examples that have slack at the
new w are added by the next pass, until there are none. As no example is dropped, this ends; it is
the outer approximation of cutting-plane methods (Joachims 2006, Training linear SVMs in linear
time), of examples instead of sums of them.

The examples that a pass keeps are all that have slack at its w. So objective and gap there are
those of all examples, and in float64.

Shapes: n examples, u of them kept, P problems, D dimensions with the 1 for the intercept.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.newton.batched import dot
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.svm_memory import ROWS_IN_FLOAT64
from vggfeat.probes.streaming.svm_pass import NEAR


@dataclass
class Kept:
    """Examples X [u, d] in memory, and their signs [u, P]: 0 in problems that they do not count in.

    objective and gap [P] are those of all examples at the weights of the pass.
    """

    X: np.ndarray
    signs: np.ndarray
    objective: Tensor
    gap: Tensor


class WorkingSets:
    """The examples that count for problems with signs [n, P], found by passes over vectors.

    costs [2, P] are c of negative and of positive examples. There is room for so many examples.
    """

    def __init__(
        self, vectors: VectorBlocks, signs: np.ndarray, costs: Tensor, *, rows: int, room: int
    ):
        self.vectors, self.signs, self.costs, self.rows = vectors, signs, costs, rows
        self.count_in = np.zeros(signs.shape, bool)
        self.X = np.empty((room, vectors.shape[1]), np.float32)

    def at(
        self, w: Tensor, scores: np.ndarray | None = None, columns: np.ndarray | None = None
    ) -> Kept | None:
        """Add the examples that count at weights w [P, D]; None where there is no room for them.

        These columns [P] of scores receive those at w.
        """
        kept, num_kept = np.zeros(len(self.signs), bool), 0
        w32 = w.float()
        for block, rows in self.vectors.blocks(self.rows):
            z = torch.addmm(w32[:, -1], torch.from_numpy(rows).to(w32), w32[:, :-1].T).cpu()
            if scores is not None:
                scores[block, columns] = z.numpy()
            y = torch.from_numpy(self.signs[block])
            near = (z.mul_(y) < 1 + NEAR) & (y != 0)
            count_in = self.count_in[block]
            count_in |= near.numpy()
            kept[block] = chosen = count_in.any(axis=1)
            stop = num_kept + int(chosen.sum())
            if stop > len(self.X):
                return None
            np.compress(chosen, rows, axis=0, out=self.X[num_kept:stop])
            num_kept = stop
        signs = self.signs[kept] * self.count_in[kept]
        return Kept(self.X[:num_kept], signs, *self._measure(w, signs))

    def _measure(self, w: Tensor, signs: np.ndarray) -> tuple[Tensor, Tensor]:
        """Objective and gap [P] at w [P, D], of the examples that are kept."""
        loss, combination = torch.zeros_like(self.costs[0]), torch.zeros_like(w)
        negative, positive = self.costs
        for first in range(0, len(signs), ROWS_IN_FLOAT64):
            part = slice(first, first + ROWS_IN_FLOAT64)
            x = torch.from_numpy(self.X[: len(signs)][part]).to(w)
            y = torch.from_numpy(signs[part]).to(w)
            slack = (1 - y * torch.addmm(w[:, -1], x, w[:, :-1].T)).clamp_(min=0).mul_(y.abs())
            c = torch.where(y > 0, positive, negative) * slack
            loss += (c * slack).sum(dim=0)
            b = c.mul_(y).mul_(2)
            combination[:, :-1] += b.T @ x
            combination[:, -1] += b.sum(dim=0)
        gradient = w - combination
        return dot(w, w) / 2 + loss, dot(gradient, gradient) / 2
