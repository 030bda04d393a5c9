"""A split: which examples train, validate and test."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Split:
    """Row numbers. The hyper-parameter is chosen by training on `train` and scoring `validation`;
    the classifier that is tested is trained on both."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def both(self) -> np.ndarray:
        """Training and validation rows, in order."""
        return np.union1d(self.train, self.validation)

    @property
    def validates(self) -> np.ndarray:
        """The places in `both` of the validation rows."""
        return np.flatnonzero(np.isin(self.both, self.validation))

    def among(self, rows: np.ndarray) -> "Split":
        """The same split of a table that has only these rows, in this order."""
        place = {row: number for number, row in enumerate(rows.tolist())}
        return Split(
            **{
                name: np.array([place[row] for row in subset.tolist() if row in place], dtype=int)
                for name, subset in vars(self).items()
            }
        )
