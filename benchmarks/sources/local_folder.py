"""A dataset in a folder of the user's, which is read where it lies."""

from dataclasses import dataclass
from os.path import expanduser
from pathlib import Path
from typing import Any

from vggfeat.errors import DatasetError
from vggfeat.storage.folders import Folders


@dataclass(frozen=True)
class LocalFolder:
    """A folder that lies on disk; `~` stands for the home folder."""

    path: str | Path

    @property
    def name(self) -> str:
        """The folder's path, by which the source is known."""
        return str(self._folder)

    def locate(self, folders: Folders) -> Path | None:
        """The folder, if it is there."""
        return self._folder if self._folder.is_dir() else None

    def missing(self, folders: Folders) -> list[Any]:
        """Nothing: a folder of the user's cannot be fetched."""
        return []

    def altered(self, folders: Folders) -> list[Path]:
        """Nothing: there are no archives."""
        return []

    def open(self, folders: Folders, **_: Any) -> Path:
        """The folder. Raises DatasetError if it is not there."""
        if not self._folder.is_dir():
            raise DatasetError(f"{self._folder}: no such folder, where a dataset should be.")
        return self._folder

    @property
    def _folder(self) -> Path:
        return Path(expanduser(self.path))
