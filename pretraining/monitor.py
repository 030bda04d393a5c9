"""Progress of a running stage: its lines in the log, and the status that a person sees."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggfeat.durations import in_words
from vggfeat.pretraining.data_loader import Loader
from vggfeat.pretraining.log import RunLog
from vggfeat.pretraining.position import Position
from vggfeat.pretraining.trainer import UpdateSums

LOG_EVERY = 20  # updates
# Names of 1 minus a metric, which is the share of pictures that are right.
ERRORS = {
    "top1": "top-1 error",
    "top5": "top-5 error",
    "localised": "localisation error, class given,",
}


@dataclass(frozen=True)
class Status:
    """The state of a running stage after an update; str() is one line."""

    stage: str
    epoch: int  # from 1
    epochs: int  # at most
    batch: int
    num_batches: int
    loss: float  # mean of the epoch so far
    rate: float
    error: tuple[str, float] | None  # of the last epoch: its name, and its share of pictures
    images_per_s: float
    seconds_left: float  # at most: a stall may end it sooner

    @property
    def facts(self) -> list[tuple[str, int]]:
        """Each part of the line, and its rank: the highest is what can be missed most easily."""
        error = []
        if self.error is not None:
            name, share = self.error
            error = [(f"{name} {share:.1%} after epoch {self.epoch - 1}", 2)]
        return [
            (f"epoch {self.epoch} of {self.epochs}", 0),
            (f"batch {self.batch} of {self.num_batches}", 4),
            (f"loss {self.loss:.3f}", 3),
            (f"rate {self.rate:g}", 6),
            *error,
            (f"{self.images_per_s:.0f} images/s", 5),
            (f"at most {in_words(self.seconds_left)} left", 1),
        ]

    def __str__(self) -> str:
        return f"{self.stage}: {', '.join(text for text, _ in self.facts)}"


class Monitor:
    """Measures the progress of a stage, logs and reports it; only the leading process does."""

    def __init__(
        self,
        loader: Loader,
        position: Position,
        folder: Path,
        *,
        tensorboard: bool,
        report: Callable[[Status], None],
        about: dict[str, Any],
    ):
        self.loader, self.recipe = loader, loader.recipe
        self.position, self.report = position, report
        self.decisive = self.recipe.objective(len(loader.pictures.classes)).metrics[0]
        self.seconds_before = position.seconds
        self.started = self.last = time.monotonic()
        self.since_log: list[UpdateSums] = []
        self.num_new = 0.0  # pictures since this process began
        self.log = None
        if loader.world.leads:
            self.log = RunLog(folder, position.step, position.epoch, tensorboard=tensorboard)
            self.log.write("start", at_step=position.step, **about)

    @property
    def seconds(self) -> float:
        """Seconds of training, also before an interruption."""
        return self.seconds_before + time.monotonic() - self.started

    @property
    def images_per_s(self) -> float:
        """Pictures trained on a second, since this process began."""
        return self.num_new / max(time.monotonic() - self.started, 1e-9)

    def after_update(self, sums: UpdateSums) -> float | None:
        """Report an update, and log every LOG_EVERY of them: their mean loss then, else None."""
        self.num_new += sums.seen
        self.since_log.append(sums)
        if self.log:
            self.report(self._status())
        if self.position.step % LOG_EVERY:
            return None
        seen = max(sum(u.seen for u in self.since_log), 1.0)
        mean_loss = sum(u.loss for u in self.since_log) / seen
        now = time.monotonic()
        if self.log:
            self.log.write(
                "train",
                step=self.position.step,
                epoch=self.position.epoch + 1,
                loss=mean_loss,
                **{self.decisive: sum(u.correct for u in self.since_log) / seen},
                rate=self.position.schedule.rate,
                images_per_s=seen / (now - self.last),
            )
        self.last, self.since_log = now, []
        return mean_loss

    def end_epoch(self, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Log an epoch whose batches are all done; the line that is logged."""
        position = self.position
        line = {
            "step": position.step,
            "epoch": position.epoch + 1,
            "loss": position.mean_loss,
            f"train_{self.decisive}": position.correct / max(position.seen, 1.0),
            **metrics,
            "rate": position.schedule.rate,
            "seconds": self.seconds,
            "unreadable": len(position.unreadable),
        }
        if self.log:
            self.log.write("epoch", **line)
        return line

    def close(self) -> None:
        """Close the log, if this process writes one."""
        if self.log:
            self.log.close()

    def _status(self) -> Status:
        position, recipe = self.position, self.recipe
        pictures_left = (recipe.epochs - position.epoch) * len(self.loader.pictures.train)
        pictures_left -= position.batch * recipe.batch_size
        return Status(
            stage=recipe.name,
            epoch=position.epoch + 1,
            epochs=recipe.epochs,
            batch=position.batch,
            num_batches=self.loader.num_batches,
            loss=position.mean_loss,
            rate=position.schedule.rate,
            error=(ERRORS[self.decisive], 1 - position.curve[-1][self.decisive])
            if position.curve
            else None,
            images_per_s=self.images_per_s,
            seconds_left=max(pictures_left, 0) / max(self.images_per_s, 1e-9),
        )
