"""The folders of datasets, weights, feature files and unpacked archives, and their defaults."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

HOME_VARIABLE = "VGGFEAT_HOME"


@dataclass(frozen=True)
class Folders:
    """data holds or receives datasets and may be read-only; cache receives all other files."""

    data: Path
    cache: Path

    @property
    def weights(self) -> Path:
        """The folder of downloaded weights."""
        return self.cache / "weights"

    @property
    def features(self) -> Path:
        """The folder of feature files."""
        return self.cache / "features"

    @property
    def unpacked(self) -> Path:
        """The folder of what was unpacked from datasets' archives."""
        return self.cache / "unpacked"

    @property
    def copies(self) -> Path:
        """The folder of copies of remote files, which last as long as they are read."""
        return self.cache / "copies"

    @property
    def scratch(self) -> Path:
        """The folder of what is written while a probe is fitted, and removed after."""
        return self.cache / "scratch"


def folders(data_dir: Path | str | None = None, cache_dir: Path | str | None = None) -> Folders:
    """The folders of these arguments; the default is VGGFEAT_HOME, else the user's cache folder."""
    home = Path(os.environ.get(HOME_VARIABLE) or platformdirs.user_cache_dir("vggfeat"))
    return Folders(data=Path(data_dir or home / "data"), cache=Path(cache_dir or home))


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there: on the same disk."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def home_is_stated() -> bool:
    """Whether the environment names the folder that others lie in by default."""
    return bool(os.environ.get(HOME_VARIABLE))
