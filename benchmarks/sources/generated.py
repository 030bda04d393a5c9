"""Datasets that a function writes, so that every machine has them: no download is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vggfeat.storage.files import new_folder
from vggfeat.storage.folders import Folders


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Pictures that `write` puts into a folder of the cache the first time they are used.

    `version` is that of what is written: another one is written anew, beside the old.
    """

    name: str
    version: int
    write: Callable[[Path], None]

    def locate(self, folders: Folders) -> Path:
        """Where the pictures are, or will be."""
        return folders.unpacked / f"{self.name}-{self.version}"

    def missing(self, folders: Folders) -> list:
        """Nothing has to be fetched."""
        return []

    def altered(self, folders: Folders) -> list[Path]:
        """Nothing: there are no archives."""
        return []

    def open(self, folders: Folders, **_) -> Path:
        """The dataset's folder, which appears whole."""
        root = self.locate(folders)
        if not root.is_dir():
            with new_folder(root) as temporary:
                self.write(temporary)
        return root
