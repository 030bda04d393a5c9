"""Datasets that a library fetches by itself: what is missing is the whole, of unknown size."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from vggfeat.storage.folders import Folders


@dataclass(frozen=True)
class ByLibrary:
    """Stands for the Sources that a library has for a dataset of this name."""

    name: str
    size: None = None


class LibrarySource(ABC):
    """The part of a DataSource that is the same for every library."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How errors call it, and what no other source is called."""

    @abstractmethod
    def locate(self, folders: Folders) -> Path | None:
        """The folder in which the dataset is."""

    def missing(self, folders: Folders) -> list[tuple[ByLibrary]]:
        """The dataset as a whole where it is not there."""
        return [] if self.locate(folders) else [(ByLibrary(self.name),)]

    def altered(self, folders: Folders) -> list[Path]:
        """Nothing: the libraries compare what they fetch with the digests that they know."""
        return []
