"""The position of a run: epochs, batches and updates that are done, and their results."""

from dataclasses import dataclass, field
from typing import Any

from vggfeat.pretraining.schedule import Schedule


@dataclass(kw_only=True)
class Position:
    """`batch` batches of epoch `epoch` are done, `step` updates in all; part of a checkpoint."""

    schedule: Schedule
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0  # of training so far
    learns: bool = False  # whether the loss has once left ln(classes) behind
    # Sums over the epoch so far.
    seen: float = 0.0  # pictures
    loss: float = 0.0
    correct: float = 0.0
    # Of the epochs so far.
    curve: list[dict[str, Any]] = field(default_factory=list)  # one line each, as in the log
    unreadable: list[str] = field(default_factory=list)  # pictures left out

    @property
    def mean_loss(self) -> float:
        """The mean over the pictures of the epoch so far."""
        return self.loss / max(self.seen, 1.0)

    def add(self, seen: float, loss: float, correct: float) -> None:
        """Count another update, with its sums over pictures."""
        self.batch += 1
        self.step += 1
        self.seen += seen
        self.loss += loss
        self.correct += correct

    def end_epoch(self, schedule: Schedule, line: dict[str, Any]) -> None:
        """Count an epoch whose batches and validation are done; `line` is that of the log."""
        self.curve.append(line)
        self.schedule = schedule
        self.epoch += 1
        self.batch = 0
        self.seen = self.loss = self.correct = 0.0
