"""Records of saved predictions: no nets and no pictures are needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vggfeat.benchmarks import runner
from vggfeat.benchmarks.ilsvrc.class_errors import classification_record, scores_of
from vggfeat.benchmarks.ilsvrc.predictions import Predictions, fuse
from vggfeat.benchmarks.runner import Failure, Measurement
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.progress import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.records.scores import Scores
from vggfeat.report.published import CLASSIFICATION as BENCHMARK
from vggfeat.storage.files import sha256_of


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedPredictions(Measurement):
    """The predictions of one or several files."""

    files: Sequence[Path]
    predictions: Predictions
    out: Path
    command: str
    may_skip = True  # whether pictures were skipped was decided when the files were written

    @property
    def label(self) -> str:
        return ", ".join(map(str, self.files))

    @property
    def known_notes(self) -> Sequence[str]:
        return self.predictions.about.notes

    @cached_property
    def key(self) -> str:
        """The key of the record: a digest of the files' contents."""
        digests = [sha256_of(path) for path in self.files]
        return records.key_of({"benchmark": BENCHMARK, "files": digests})

    @cached_property
    def path(self) -> Path:
        nets = "+".join(net["name"] for net in self.predictions.about.nets)
        return records.path_of(self.out, BENCHMARK, nets, self.key)

    def requests(self) -> list[FeatureRequest]:
        return []

    def measure(self, features: FeatureSets, progress: Progress) -> tuple[Record, Scores]:
        record = classification_record(
            self.predictions, key=self.key, device="cpu", command=self.command
        )
        return record, scores_of(self.predictions)


def evaluate_files(paths: Sequence[Path], out: Path, command: str) -> Iterator[Record | Failure]:
    """The record of each file of predictions, and of the mean of all.

    Raises DatasetError at files that do not belong together, before anything is written.
    """
    whole = fuse(paths)
    groups = [[path] for path in paths] + ([paths] if len(paths) > 1 else [])
    measurements = [
        SavedPredictions(
            files=group,
            predictions=whole if len(group) == len(paths) else fuse(group),
            out=out,
            command=command,
        )
        for group in groups
    ]
    records.prepare(out, BENCHMARK)
    features = FeatureSets(out)  # of which none is needed
    yield from runner.run(measurements, features, features.progress)
