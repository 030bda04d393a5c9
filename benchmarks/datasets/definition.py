"""What the definition of a dataset states: source, layout and protocol, known counts, quoted rows.

Each dataset is one such value in a file of its own. It loads no picture and reads no folder until
its benchmark is built.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.scales import OfInput, Scales
from vggfeat.errors import DatasetError
from vggfeat.layouts.options import DataOptions
from vggfeat.progress import Progress
from vggfeat.report.published import PublishedRow
from vggfeat.storage.folders import Folders
from vggfeat.storage.sources import Source

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # becomes part of the names of files

# Groups of datasets, in the order in which they are listed.
IN_PAPER, TRANSFER, IMAGENET, MADE = (
    "the paper's", "transfer", "ImageNet", "made here",
)  # fmt: skip
GROUPS = (IN_PAPER, TRANSFER, IMAGENET, MADE)

SOURCE_ATTRIBUTES = ("name", "locate", "missing", "altered", "open")


class DataSource(Protocol):
    """Where the pictures of a dataset come from. No two sources have the same name.

    `locate` returns a folder, archives, or None where nothing is there. `missing` lists what has
    to be fetched first and `altered` the archives with another content than distributed. `open`
    returns the folder that holds the dataset and raises DatasetError or DownloadError.
    """

    @property
    def name(self) -> str:
        """The source's own name."""

    def locate(self, folders: Folders) -> Path | list[Path] | None:
        """The dataset's folder, its archives, or None where nothing is there."""

    def missing(self, folders: Folders) -> list:
        """What has to be fetched first."""

    def altered(self, folders: Folders) -> list[Path]:
        """The archives with another content than distributed."""

    def open(self, folders: Folders, *, offline: bool, progress: Progress) -> Path:
        """The folder that holds the dataset. Raises DatasetError or DownloadError."""


@runtime_checkable
class Fetchable(DataSource, Protocol):
    """A source of files that lie on servers, or that its owners give to whom they choose.

    `by_hand` says how to get what cannot be fetched, `is_served` whether all of it can, and
    `is_here` whether nothing has to be fetched or asked for.
    """

    by_hand: str

    @property
    def is_served(self) -> bool:
        """Whether all of it can be fetched."""

    @property
    def files(self) -> tuple[tuple[Source, ...], ...]:
        """All that can be fetched, each as its addresses."""

    def is_here(self, folders: Folders) -> bool:
        """Whether all of it is there."""

    def fetch(self, folders: Folders, *, offline: bool, progress: Progress) -> None:
        """Download what is missing into the data folder. Raises DatasetError or DownloadError."""


@dataclass(frozen=True, kw_only=True)
class KnownCounts:
    """Examples in one of the dataset's own sets: pictures, or people where people are classified.

    `classes` holds the positives of each class, or `per_class` those of every class where all have
    as many; `source` says who states the numbers.
    """

    set: str
    total: int
    classes: Mapping[str, int] = field(default_factory=dict)
    per_class: int | None = None
    source: str

    def of_classes(self, names: Iterable[str]) -> Mapping[str, int]:
        """The known counts of a dataset's classes; none where nobody states them."""
        return self.classes if self.per_class is None else dict.fromkeys(names, self.per_class)


@dataclass(frozen=True, kw_only=True)
class DatasetDefinition:
    """A dataset and how it is measured, before anything of it is read.

    `build` reads the dataset's folder, in whichever layout it has, and makes the benchmark by
    `protocol`, which is of the type that `build` expects. `scales` (shortest sides in pixels, or
    OfInput) and `aggregate` are the defaults of its measurements. `features_of` names another
    dataset, to use its feature files; picture ids must mean the same there, for which a user's
    dataset must have the same source.
    `published` holds numbers to compare with, for datasets that have none in published.csv.
    `licence` is the licence or the terms of the pictures, as their authors state them, in a few
    words, and `disk_bytes` what they take when unpacked; both are empty where nobody has read them.
    Raises DatasetError at a name that cannot be part of a file's name, at a field of another kind
    than is declared here, and at published rows of another benchmark.
    """

    name: str
    title: str
    source: DataSource
    build: Callable[["DatasetDefinition", Path, DataOptions], Benchmark]
    protocol: Any
    scales: Scales
    aggregate: str = "average"  # one of features.options.AGGREGATES
    features_of: str | None = None
    about: str = ""
    num_pictures: int = 0  # with num_crops: what a plan counts on before anything is fetched
    num_crops: int = 0
    known_counts: tuple[KnownCounts, ...] = ()
    published: tuple[PublishedRow, ...] = ()
    in_paper: bool = False  # whether `bench --all` measures it
    group: str = TRANSFER  # one of GROUPS
    licence: str = ""
    disk_bytes: int | None = None

    @property
    def is_served(self) -> bool:
        """Whether all of it can be fetched."""
        return isinstance(self.source, Fetchable) and self.source.is_served

    @property
    def download_bytes(self) -> int | None:
        """What is fetched of it; None if not all of it is, or not all sizes are known."""
        files = self.source.files if self.is_served else ()
        sizes = [mirrors[0].size for mirrors in files]
        return sum(sizes) if sizes and all(sizes) else None

    @property
    def feature_set(self) -> str:
        """The dataset by whose name the feature files are known."""
        return self.features_of or self.name

    def __post_init__(self):
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise DatasetError(
                f"{self.name!r} cannot name a dataset: allowed are letters, digits, - and _, at"
                " most 64."
            )
        for field_name, is_right, expected in self._kinds():
            if not is_right:
                raise DatasetError(f"{self.name}: {field_name} must be {expected}.")
        if strangers := {row.benchmark for row in self.published} - {self.name}:
            raise DatasetError(
                f"{self.name}: published rows are of benchmark {', '.join(sorted(strangers))};"
                f" those of a dataset have its name, {self.name}."
            )

    def _kinds(self) -> Iterator[tuple[str, bool, str]]:
        """Field, whether its value is of the right kind, and what it must be."""
        is_source = all(hasattr(self.source, name) for name in SOURCE_ATTRIBUTES)
        yield "source", is_source, "a DataSource, such as LocalFolder"
        yield "build", callable(self.build), "a function, such as class_folder_benchmark"
        yield "title", isinstance(self.title, str), "text"
        yield "licence", isinstance(self.licence, str), "text"
        yield "group", self.group in GROUPS, f"one of {', '.join(GROUPS)}"
        are_sides = isinstance(self.scales, OfInput) or (
            isinstance(self.scales, tuple | list) and all(type(side) is int for side in self.scales)
        )
        yield "scales", are_sides, "whole numbers, such as (256, 384), or OfInput()"
        for name, kind in (("known_counts", KnownCounts), ("published", PublishedRow)):
            are_of_kind = all(isinstance(item, kind) for item in getattr(self, name))
            yield name, are_of_kind, f"a tuple of {kind.__name__}"
