"""What a probe is: a name, a hyper-parameter with its grid, and fits to labelled vectors.

Shapes: n examples, d dimensions, K classes, P problems of two classes (classes times folds).

Labels are signs [n, K] for every probe: 1 where an example belongs to a class, -1 where it does
not, 0 where the example is left out of that class's training. Of single labels each row has one 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vggfeat.probes.grid_search import PATIENCE, SATURATED
from vggfeat.processes.workers import ALONE, Workers


@dataclass(frozen=True, kw_only=True)
class Probe(ABC):
    """A kind of classifier and its settings.

    name is what the command line and the records call it, title what tables state as the
    classifier, hyperparameter the name of what is chosen on validation examples, grid its values:
    none for a probe that has nothing to choose. patience says when the search of the grid ends, see
    `choose`; None tries all of it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    hyperparameter: ClassVar[str] = ""
    grid: ClassVar[tuple[float, ...]] = ()
    patience: ClassVar[int | None] = PATIENCE
    device: str = "cpu"
    # Where vectors stream from disk: bytes that the process may take, and who shares the classes.
    memory: int | None = None
    workers: Workers = ALONE

    @abstractmethod
    def method(self) -> dict[str, Any]:
        """What decides the numbers beside the grid and its search, as plain JSON."""

    @abstractmethod
    def fits(self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False) -> "Fits":
        """Fits to these examples: X [n, d] of finite floats, signs [n, K].

        exclusive says that each example has exactly one of the classes, by which a probe may learn
        them together; otherwise the classes are problems of their own.
        """

    def settings(self) -> dict[str, Any]:
        """Everything that decides the numbers: part of a record and of its key."""
        return {"probe": self.name, **self.method(), **self._search()}

    def _search(self) -> dict[str, Any]:
        """How the hyper-parameter is chosen."""
        prefix = self.hyperparameter.lower()
        search: dict[str, Any] = {f"{prefix}_grid": list(self.grid)} if self.grid else {}
        if self.grid and self.patience:
            search |= {f"{prefix}_patience": self.patience, f"{prefix}_saturated": SATURATED}
        return search


class Fits(ABC):
    """Fits of one probe to the same examples, which may share what does not depend on the value."""

    signs: np.ndarray  # [n, K]

    @abstractmethod
    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        """Decision values [n, P] of all examples by classifiers trained with other signs [n, P].

        value is that of the hyper-parameter. Columns without positives or negatives may hold
        anything, and so may examples that are trained on, where the probe has no patience. These
        classifiers only serve to choose the value.
        """

    def start_from(self, classes: np.ndarray) -> None:  # noqa: B027
        """Let `fit` start these classes [K] (a mask) from the last decisions' first K problems.

        For probes that are fitted iteratively; others have nothing to do.
        """

    @abstractmethod
    def fit(self, value: float | Sequence[float] | None = None) -> "Classifier":
        """The classifier of all examples; value is one for all classes, or one for each [K].

        None is that of a probe without a hyper-parameter.

        Every class must have positives and negatives.
        """


class Classifier(ABC):
    """A fitted probe.

    kind and `arrays` are all that its decisions need: saved_form.py makes it again of them.
    converged [K] and the duality gap relative to the objective [K] are of iterative fits.
    """

    kind: ClassVar[str]
    converged: np.ndarray | None = None
    gap: np.ndarray | None = None

    @abstractmethod
    def decisions(self, X: np.ndarray) -> np.ndarray:
        """Decision values [m, K] of X [m, d]: the higher, the more likely the class."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of numbers; `from_arrays` makes a classifier of them that decides alike."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Classifier":
        """The classifier that `arrays` came from. Raises ValueError if these cannot be its."""
