"""Ridge regression to signs as a probe: one factorisation for all classes and values of alpha.

Each class minimises, over the examples that it is trained on,

    sum_i (y_i - w'x_i - b)^2 + alpha * |w|^2

with an intercept b that is left free, as scikit-learn's RidgeClassifier does. On the principal axes
of the examples this is a division. A fold that is held out, or a class that leaves out some of the
examples that others are trained on, needs no factorisation of its own: with the targets of these
set to what is predicted for them they change nothing, and what is predicted follows from them and
the others, as it does when a single example is left out (Cook & Weisberg 1982).

Shapes: n examples, d dimensions, r axes, K classes, P problems of two classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.grid_search import can_be_trained
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.principal_axes import PrincipalAxes
from vggfeat.probes.probe import Fits, Probe


class Ridge(Probe):
    """Ridge regression to 1 and -1, one class against the rest."""

    name = "ridge"
    title = "ridge regression"
    hyperparameter = "alpha"
    grid = (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0)
    patience = None

    def method(self) -> dict[str, Any]:
        return {
            "loss": "squared, to 1 and -1, one class against the rest",
            "penalty": "alpha times the squared weights; the intercept is free",
            "method": "eigendecomposition of the smaller Gram matrix, in float64",
        }

    def fits(self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False) -> "RidgeFits":
        return RidgeFits(X, signs, device=self.device)


class RidgeFits(Fits):
    """Fits of all values of alpha and classes by one factorisation for each set of examples."""

    def __init__(self, X: np.ndarray, signs: np.ndarray, *, device: str = "cpu"):
        self.X = torch.from_numpy(X.astype(np.float64)).to(device)
        self.signs = signs
        self.last: tuple[np.ndarray, Factorised] | None = None

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        """NaN, in examples that all columns are trained on, where all hold out the same others."""
        trained = can_be_trained(signs)
        columns, scores = signs[:, trained], np.full(signs.shape, np.nan)
        held_out = ~columns.any(axis=1)
        alphas = np.full(trained.sum(), value)
        if columns[~held_out].all():  # by the factorisation of all
            factorised = self._factorised(np.ones_like(held_out))
            out = torch.from_numpy(held_out).to(self.X.device)
            scores[np.ix_(held_out, trained)] = (
                factorised.predictions(self._tensor(columns), out, self._tensor(value))
                .cpu()
                .numpy()
            )
        else:
            coef, intercept = self._fit(columns, alphas)
            scores[:, trained] = (self.X @ coef.T + intercept).cpu().numpy()
        return scores

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        values = np.broadcast_to(value, self.signs.shape[1]).astype(float)
        coef, intercept = self._fit(self.signs, values)
        return LinearClassifier(coef=coef.cpu().numpy(), intercept=intercept.cpu().numpy())

    def _fit(self, signs: np.ndarray, alphas: np.ndarray) -> tuple[Tensor, Tensor]:
        """Weights [P, d] and intercepts [P]; signs [n, P], alphas [P]."""
        used = signs.any(axis=1)
        return self._factorised(used).fit(self._tensor(signs[used]), self._tensor(alphas))

    def _tensor(self, values: np.ndarray | float) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float64, device=self.X.device)

    def _factorised(self, used: np.ndarray) -> "Factorised":
        """The examples [n] that are used, factorised; those of the last time at once."""
        if self.last is None or not np.array_equal(used, self.last[0]):
            self.last = used, Factorised.of(self.X[torch.from_numpy(used)])
        return self.last[1]


@dataclass(frozen=True)
class Factorised:
    """Examples along their principal axes: coordinates [n, r], beside the axes."""

    principal: PrincipalAxes
    coordinates: Tensor

    @classmethod
    def of(cls, X: Tensor) -> "Factorised":
        principal = PrincipalAxes.of(X)
        return cls(principal, principal.coordinates(X))

    def fit(self, signs: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [P, d] and intercepts [P] of targets [n, P], where those of 0 are left out."""
        targets, left_out = signs.clone(), signs == 0
        kinds = torch.cat([left_out.to(alphas), alphas[None]])
        for kind in kinds[:, left_out.any(dim=0)].unique(dim=1).T:
            alike = (kinds == kind[:, None]).all(dim=0)
            out = kind[:-1].bool()
            targets[out[:, None] & alike] = self.predictions(
                targets[:, alike], out, kind[-1]
            ).ravel()
        on_axes = (self.coordinates.T @ targets) / (self.principal.eigenvalues[:, None] + alphas)
        return self.principal.in_dimensions(on_axes.T, targets.mean(dim=0))

    def predictions(self, targets: Tensor, out: Tensor, alpha: Tensor) -> Tensor:
        """What fits to the other targets [n, P] predict for those of 0 that are left out, [m, P].

        With H that maps targets to predictions, these y are those for which y = H_out,in y_in +
        H_out,out y. H_out,out is a product of [m, r + 1] and its like, so that of more left out
        than axes a system of r + 1 is solved (Woodbury's identity), whose size m does not matter.
        """
        axes = self.coordinates[out]
        shrunk = axes / (self.principal.eigenvalues + alpha)
        by_others = targets.mean(dim=0) + shrunk @ (self.coordinates.T @ targets)
        ones = torch.ones_like(axes[:, :1])
        left, right = torch.hstack([ones / len(targets), shrunk]), torch.hstack([ones, axes])
        if len(left) <= left.shape[1]:
            return torch.linalg.solve(_identity(left, 0) - left @ right.T, by_others)
        inner = torch.linalg.solve(_identity(left, 1) - right.T @ left, right.T @ by_others)
        return by_others + left @ inner


def _identity(matrix: Tensor, dim: int) -> Tensor:
    """The identity of the size of a dimension of a matrix."""
    return torch.eye(matrix.shape[dim], dtype=matrix.dtype, device=matrix.device)
