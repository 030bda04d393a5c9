"""The learning rate: divided by 10 when accuracy on the validation pictures stalls (sect. 3.1)."""

from dataclasses import dataclass, replace

FACTOR = 0.1


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate after so many epochs, and when it falls next.

    A stall is `patience` epochs in a row without a better accuracy than the best so far. The stall
    after the last drop ends the training.
    """

    rate: float
    drops_left: int
    patience: int
    best: float = -1.0  # accuracy
    epochs_since_best: int = 0
    over: bool = False

    def after(self, accuracy: float) -> "Schedule":
        """The schedule after another epoch."""
        if accuracy > self.best:
            return replace(self, best=accuracy, epochs_since_best=0)
        waited = self.epochs_since_best + 1
        if waited < self.patience:
            return replace(self, epochs_since_best=waited)
        if not self.drops_left:
            return replace(self, epochs_since_best=waited, over=True)
        return replace(
            self, rate=self.rate * FACTOR, drops_left=self.drops_left - 1, epochs_since_best=0
        )
