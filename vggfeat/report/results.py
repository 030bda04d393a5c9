"""What a report is made of: records with their scores, and records of training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggfeat.records.record import Record
from vggfeat.records.scores import Scores, read_scores, scores_path


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """A record, where it lies, and what it is called among those of its benchmark."""

    label: str  # the net, with the settings in which others of the same net differ
    record: Record
    path: Path

    def scores(self) -> Scores | None:
        """The score of each test example; None where no file of scores lies beside the record.

        Raises RecordError if the file is damaged or another record's.
        """
        path = scores_path(self.path)
        return read_scores(path, self.record.scores_sha256) if path.is_file() else None


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that a report shows, in the order of its tables."""

    transfer: tuple[Result, ...] = ()  # of `bench`
    ilsvrc: tuple[Result, ...] = ()  # of `evaluate` and `localise evaluate`
    training: tuple[dict[str, Any], ...] = ()  # of `pretrain`
