"""The pictures that nets are tested on."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vggfeat.backbones.network import Network
from vggfeat.benchmarks.ilsvrc.class_order import in_order_of_nets
from vggfeat.layouts.imagenet import Pictures, open_validation

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """Labelled pictures that nets are tested on, at most `limit` a class."""

    __test__ = False  # nothing for pytest to collect

    pictures: Pictures
    limit: int | None
    # Where the nets have more classes than the pictures: those of the pictures, in the nets' order,
    present: tuple[str, ...] = ()
    matching: Mapping[str, Any] = field(default_factory=dict)  # and how they were matched

    @cached_property
    def files(self) -> dict[str, Path]:
        """Path below the root -> file, in the order of the labels."""
        return {path: self.pictures.root / path for path, _ in self._labelled}

    @cached_property
    def labels(self) -> dict[str, int]:
        """Path below the root -> number of the class."""
        return dict(self._labelled)

    @property
    def limited(self) -> bool:
        """Whether the limit leaves pictures out."""
        return len(self._labelled) < len(self.pictures.validation)

    @property
    def name(self) -> str:
        """The name of the folder of pictures."""
        return self.pictures.root.resolve().name

    @cached_property
    def dataset(self) -> str:
        """The name of the set in feature files; another list of pictures has another name.

        Sizes of files are not in it: the feature file knows them, and a picture that is put right
        is the only one to be extracted again.
        """
        paths = "\n".join(path for path, _ in self.pictures.validation)
        return f"{self.name}-{hashlib.sha256(paths.encode()).hexdigest()[:12]}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tested pictures: paths, classes, sizes of the files."""
        return replace(self.pictures, validation=self._labelled).digest

    @cached_property
    def _labelled(self) -> list[tuple[str, int]]:
        counts: dict[int, int] = {}
        kept = []
        for path, number in self.pictures.validation:
            counts[number] = counts.get(number, 0) + 1
            if self.limit is None or counts[number] <= self.limit:
                kept.append((path, number))
        return kept


def open_test_set(data: Path, networks: Sequence[Network], limit: int | None) -> TestSet:
    """The pictures to test these nets on. Raises DatasetError."""
    cards = [network.card for network in networks if network.card]
    trained_on = {digest for card in cards for digest in card.trained_on}
    pictures = in_order_of_nets(open_validation(data, trained_on), networks)
    for note in pictures.notes:
        log.info("%s: %s", data, note)
    return TestSet(pictures=pictures, limit=limit)
