"""A dataset of the Hugging Face hub by its name, at one commit, as Arrow files of its cache.

The library `datasets` (4 or later) reads files of pictures and tables and never runs what a
repository holds. Which commit was fetched is noted in a file of the cache folder, so that the same
name means the same pictures until another revision is asked for.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vggfeat.benchmarks.sources.by_library import LibrarySource
from vggfeat.errors import DatasetError, DownloadError, VggfeatError, reason_of
from vggfeat.progress import Progress, no_progress
from vggfeat.storage.files import new_file
from vggfeat.storage.folders import Folders

log = logging.getLogger(__name__)

INSTALL = "pip install 'vggfeat[hf]'"
FIRST_VERSION = 4  # of `datasets`: earlier ones ran scripts of repositories
# Its readers of pictures; the others have no picture column, or unpickle.
READERS = ("parquet", "imagefolder", "webdataset", "arrow")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
COMMIT = re.compile("[0-9a-f]{40}")
INFO = "dataset_info.json"
REASONS = {  # in place of the libraries' own words, which name requests
    "GatedRepoError": "whoever wants it has to ask: on its page at the hub, then `hf auth login`.",
    "RepositoryNotFoundError": "the hub has no dataset of this name, OWNER/NAME, or it is private"
    " (`hf auth login`).",
    "RevisionNotFoundError": "it has no such revision.",
    "ConnectError": "the hub cannot be reached.",
}


@dataclass(frozen=True)
class HubDataset(LibrarySource):
    """A repository of the hub: which configuration and revision, and of which of its folders.

    A DataSource, whose folder is named after the commit. Raises DatasetError without the library,
    and at what cannot name a repository.
    """

    repository: str
    configuration: str = ""
    revision: str = ""
    data_dir: str = ""

    def __post_init__(self):
        check_library()
        if not REPOSITORY.fullmatch(self.repository):
            raise DatasetError(f"{self.name}: {self.repository!r} is no OWNER/NAME of the hub.")

    @property
    def name(self) -> str:
        """How errors call it, and what no other source is called."""
        keys = {"name": self.configuration, "revision": self.revision, "data_dir": self.data_dir}
        given = ",".join(f"{key}={value}" for key, value in keys.items() if value)
        return f"hf:{self.repository}" + (f":{given}" if given else "")

    def locate(self, folders: Folders) -> Path | None:
        """The folder of the commit that was fetched by this name."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(self._note(folders).read_text(encoding="utf-8"))
            root = Path(noted["folder"])
            if noted["source"] == self.name and (root / INFO).is_file():
                return root
        return None

    def open(
        self, folders: Folders, *, offline: bool = False, progress: Progress = no_progress
    ) -> Path:
        """The folder of the commit, fetched where it must be. Raises DatasetError, DownloadError.

        A branch or a tag that is named is looked up each time, unless offline.
        """
        root = self.locate(folders)
        if root and (offline or not self.revision or COMMIT.fullmatch(self.revision)):
            return root
        if offline:
            raise DownloadError(
                f"{self.name}: is not in the cache, and nothing may be fetched (--offline or"
                " --dry-run)."
            )
        with _in_one_line(self.name):
            root = self._fetched()
        note = self._note(folders)
        note.parent.mkdir(parents=True, exist_ok=True)
        noted = {"source": self.name, "folder": str(root)}
        with new_file(note) as file:
            file.write(json.dumps(noted).encode())
        return root

    def _fetched(self) -> Path:
        """Fetch the revision and prepare its Arrow files."""
        from datasets import load_dataset_builder
        from huggingface_hub import HfApi

        info = HfApi().dataset_info(self.repository, revision=self.revision or None)
        # The library would take a name such as ../x for a folder here.
        if not (REPOSITORY.fullmatch(info.id) and COMMIT.fullmatch(info.sha or "")):
            raise DownloadError(f"{self.name}: the hub's answer names no repository and commit.")
        log.info("%s: commit %s", self.name, info.sha)
        # A folder here that is called so is not meant.
        path = f"hf://datasets/{info.id}" if os.path.exists(info.id) else info.id
        given = {"data_dir": self.data_dir} if self.data_dir else {}
        with _quiet_library():
            builder = load_dataset_builder(
                path, self.configuration or None, revision=info.sha, **given
            )
            reader = type(builder).__module__.rpartition(".")[2]
            if reader not in READERS:
                raise DatasetError(
                    f"{self.name}: its files are read as {reader}, and pictures lie in"
                    f" {', '.join(READERS)}."
                )
            builder.download_and_prepare()
        root = Path(builder.cache_dir)
        if root.name != info.sha:
            raise DatasetError(
                f"{self.name}: the library gave {root.name}, and the hub has {info.sha}. Try again."
            )
        return root

    def _note(self, folders: Folders) -> Path:
        named = re.sub(r"[^\w.=-]+", "-", self.name.removeprefix("hf:"))
        return folders.cache / "hub" / f"{named[:150]}.json"


def check_library() -> None:
    """Raise DatasetError where the library is lacking, or too old to be safe."""
    try:
        found = version("datasets")
    except PackageNotFoundError as error:
        raise DatasetError(
            f"datasets of the hub need the library `datasets`: {INSTALL}."
        ) from error
    if int(found.split(".")[0]) < FIRST_VERSION:
        raise DatasetError(
            f"datasets {found} may run code of a repository; {FIRST_VERSION}.0 or later is needed:"
            f" {INSTALL}."
        )


@contextlib.contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    """Whatever the libraries raise becomes an error of one line that names the dataset."""
    try:
        yield
    except (VggfeatError, MemoryError):
        raise
    except ImportError as error:
        raise DatasetError(f"{name}: {error}. {INSTALL} brings what is needed.") from error
    except Exception as error:
        reason = REASONS.get(type(error).__name__) or (
            f"{type(error).__name__}: {reason_of(error).rstrip('.')}."
        )
        raise DownloadError(f"{name}: could not be fetched: {reason}") from error


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """The library's bars are shown where our own information is, and its warnings are not."""
    import datasets
    from datasets.utils import logging as its_logging

    shows_bars = log.isEnabledFor(logging.INFO)
    had_bars, level = datasets.are_progress_bars_disabled(), its_logging.get_verbosity()
    its_logging.set_verbosity_error()
    if not shows_bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        its_logging.set_verbosity(level)
        if not had_bars:
            datasets.enable_progress_bars()


def is_in_cache(file: Path) -> bool:
    """Whether a file lies where the libraries keep what they have fetched, and unpacked."""
    from datasets import config
    from huggingface_hub import constants

    places = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, constants.HF_HUB_CACHE)
    path = Path(os.path.abspath(file))  # links of the cache lead to elsewhere in it
    return any(path.is_relative_to(os.path.abspath(place)) for place in places)


def split_files(root: Path) -> dict[str, list[Path]]:
    """The Arrow files of each split in a prepared folder. Raises DatasetError."""
    try:
        info: dict[str, Any] = json.loads((root / INFO).read_text(encoding="utf-8"))
        found = {}
        for split in info["splits"]:
            name = re.escape(f"{info['dataset_name']}-{split}")
            whole = re.compile(rf"{name}(-\d+-of-\d+)?\.arrow")
            found[split] = sorted(p for p in root.iterdir() if whole.fullmatch(p.name))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{root}: is no dataset as the library prepares it: {error}.") from error
    return found
