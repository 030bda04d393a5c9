"""A benchmark: labelled pictures, splits and a protocol, and nothing that computes.

Shapes: N examples, K classes, D dimensions of the vector that stands for an example.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.backbones.load import NetName, load_network
from vggfeat.backbones.network import Network
from vggfeat.benchmarks.leaks import Leak, contents_of, find_leaks
from vggfeat.benchmarks.options import Settings
from vggfeat.benchmarks.scales import Scales, scales_for
from vggfeat.benchmarks.splits import Split
from vggfeat.benchmarks.submission import Submission
from vggfeat.benchmarks.task import Task
from vggfeat.errors import DatasetError, OptionError
from vggfeat.features.requests import FeatureSets
from vggfeat.images import Crop, Picture, Whole
from vggfeat.progress import Progress, no_progress
from vggfeat.records.record import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """`scales`, `aggregate` and `mirror` are the published defaults.

    Raises DatasetError where labels do not fit examples and classes, or nothing is in a split.

    An example is what is classified: a picture, or a person in a picture. Most benchmarks have an
    example for each picture; others say in `examples` which pictures stand for an example, and
    their vectors are stacked.
    """

    name: str
    title: str
    version: int  # of the protocol; another version's numbers are not comparable
    classes: tuple[str, ...]
    pictures: Mapping[str, Picture]  # id -> file or crop
    labels: np.ndarray  # [N, K] in {1, 0, -1}, in the order of the examples
    splits: tuple[Split, ...]
    sets: Mapping[str, np.ndarray]  # rows of the dataset's own sets, such as train and val
    scales: Scales
    aggregate: str  # one of features.options.AGGREGATES
    task: Task
    mirror: bool = True
    examples: Mapping[str, tuple[str, ...]] | None = None  # id -> ids of its pictures
    dataset: str | None = None  # names the feature files; the benchmark's name if not given
    submission: Submission | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)  # what published.csv states too
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()  # on what lies on disk, in words; no part of any record
    limited: bool = False
    base: "Benchmark | None" = None  # with all training pictures; its features serve this one

    def __post_init__(self):
        expected = len(self.ids), len(self.classes)
        if self.labels.shape != expected:
            raise DatasetError(f"labels must be of shape {expected}; got {self.labels.shape}.")
        if not self.splits or not all(len(s.train) and len(s.test) for s in self.splits):
            raise DatasetError("there is no split, or nothing to train on or to test in one.")
        if self.used_rows[0] < 0 or self.used_rows[-1] >= len(self.ids):
            raise DatasetError(f"splits name examples beyond the {len(self.ids)} that there are.")

    @property
    def feature_set(self) -> str:
        """The dataset by which feature files know the pictures."""
        return self.dataset or self.name

    @property
    def is_own(self) -> bool:
        """Whether the pictures are a user's, known to nobody else and with nothing published."""
        return bool(self.protocol.get("own"))

    @cached_property
    def pictures_of(self) -> dict[str, tuple[str, ...]]:
        """Example id -> ids of its pictures, as many for each example."""
        return dict(self.examples or {i: (i,) for i in self.pictures})

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The examples, N of them."""
        return tuple(self.pictures_of)

    @cached_property
    def used_rows(self) -> np.ndarray:
        """The examples that some split uses, in order."""
        return rows_of(self.splits)

    @cached_property
    def used(self) -> dict[str, Picture]:
        """The pictures of those examples."""
        return self.pictures_at(self.used_rows)

    @property
    def whole(self) -> "Benchmark":
        """The benchmark with all training pictures."""
        return self.base or self

    @cached_property
    def extracted(self) -> dict[str, Picture]:
        """The pictures whose vectors are extracted: the used ones, all of the base's if it has one.

        So however many draws of few pictures there are, each picture is extracted once.
        """
        return self.whole.used

    @cached_property
    def needed(self) -> dict[str, Picture]:
        """The pictures that measuring takes, those for the evaluation server among them."""
        if self.base:
            return self.extracted
        splits = [*self.splits]
        if self.submission and not self.limited:
            splits.append(self.submission.split)
        return self.pictures_at(rows_of(splits))

    @cached_property
    def splits_sha256(self) -> str:
        """A digest of which example is in which part of which split."""
        listed = [
            [[self.ids[row] for row in part] for part in (s.train, s.validation, s.test)]
            for s in self.splits
        ]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def settings(self, networks: Sequence[Network] = (), **values: Any) -> Settings:
        """The published settings, but for these values of options; None leaves one as published.

        networks are those that are used together, for scales that depend on their input. Raises
        OptionError, or TypeError at a name that is no option.
        """
        chosen = {name: value for name, value in values.items() if value is not None}
        published = {"mirror": self.mirror, "aggregate": self.aggregate}
        if "scales" not in chosen:
            published["scales"] = scales_for(self.scales, networks)
        return Settings.of(published | chosen)

    def run(
        self,
        networks: NetName | Sequence[NetName],
        settings: Settings | None = None,
        *,
        folder: Path | str | None = None,
        features_dir: Path | str | None = None,
        command: str = "",
        progress: Progress = no_progress,
    ) -> Record:
        """Extract what is missing, choose C, fit and score every split; several nets are fused.

        networks are loaded ones or what `load_network` takes; settings the published ones by
        default; folder holds the feature files (`features_dir`, its old name, still works). The
        record is not written. Raises what extraction raises, and DatasetError if skipped pictures
        leave a class empty.
        """
        if (folder is None) == (features_dir is None):
            raise OptionError("run takes folder=, the folder of feature files.")
        from vggfeat.benchmarks.transfer import TransferMeasurement  # which builds on benchmarks

        several = [networks] if isinstance(networks, NetName) else networks
        loaded = [load_network(net) for net in several]
        measurement = TransferMeasurement(
            benchmark=self,
            networks=loaded,
            settings=settings or self.settings(loaded),
            command=command,
        )
        features = FeatureSets(Path(folder or features_dir), progress)
        record, _ = measurement.measure(features, progress)
        return record

    @cached_property
    def leaks(self) -> list[Leak]:
        """Test pictures whose file equals a training picture's."""
        return find_leaks(self.files, self.splits, self.whole.contents)

    @cached_property
    def contents(self) -> dict[str, object]:
        """Of each example a value that is equal for equal files; draws of few share them."""
        return contents_of(self.files)

    @property
    def files(self) -> dict[str, Whole]:
        """The file of each example, or the first of its files; a row is a file of its own."""
        return {i: self._file_of(i) for i in self.ids}

    def _file_of(self, example: str) -> Whole:
        picture = self.pictures[self.pictures_of[example][0]]
        return picture.path if isinstance(picture, Crop) else picture

    def pictures_at(self, rows: np.ndarray) -> dict[str, Picture]:
        """The pictures of the examples in these rows."""
        ids = dict.fromkeys(i for row in rows for i in self.pictures_of[self.ids[row]])
        return {i: self.pictures[i] for i in ids}


def rows_of(splits: Sequence[Split]) -> np.ndarray:
    """The rows that any part of these splits has, in order."""
    parts = [part for s in splits for part in (s.train, s.validation, s.test)]
    return np.unique(np.concatenate(parts))
