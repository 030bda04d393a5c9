"""A dataset class of torchvision by its name: its arguments, its sets, and the folder it reads.

The sets follow from the class's signature: `train=True` and `train=False`, or the values of `split`
that it takes. torchvision fetches what is missing into a new folder, which appears whole.
"""

import contextlib
import inspect
import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vggfeat.benchmarks.sources.by_library import LibrarySource
from vggfeat.errors import DatasetError, DownloadError, UnknownNameError, reason_of
from vggfeat.progress import Progress, in_megabytes, no_progress
from vggfeat.storage.files import new_folder
from vggfeat.storage.folders import Folders

SETS = ("train", "val", "test")
# What classes call these sets where they take `split=`, in the order in which they are tried.
SPLITS = {
    "train": ("train", "trainval", "train-standard"),
    "val": ("valid", "val"),
    "test": ("test",),
}
OURS = ("self", "root", "download", "transform", "target_transform", "transforms", "loader")
IMAGE_FOLDERS = ("ImageFolder", "DatasetFolder")
UNLABELLED = (  # no class for each picture; others that are added are found out when they are read
    "CarlaStereo CREStereo CelebA Cityscapes CocoCaptions CocoDetection ETH3DStereo FakeData"
    " FallingThingsStereo Flickr30k Flickr8k FlyingChairs FlyingThings3D HD1K HMDB51 InStereo2k"
    " Kinetics Kitti Kitti2012Stereo Kitti2015Stereo KittiFlow LFWPairs"
    " Middlebury2014Stereo MovingMNIST PhotoTour SBDataset SBU SceneFlowStereo Sintel SintelStereo"
    " UCF101 VOCDetection VOCSegmentation VisionDataset WIDERFace"
).split()
UNSAFE = ("LSUN", "LSUNClass")  # which unpickle a file that nobody has compared


@dataclass(frozen=True)
class TorchvisionClass(LibrarySource):
    """A class of `torchvision.datasets` with its arguments, as (name, text) pairs.

    A DataSource. `folder` is what a folder of the dataset is called. Raises DatasetError where the
    class is none of labelled pictures or has no such argument, UnknownNameError where there is no
    such class.
    """

    class_name: str
    folder: str
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """How errors call it, and what no other source is called."""
        given = ",".join(f"{key}={value}" for key, value in self.arguments)
        return f"torchvision:{self.class_name}" + (f":{given}" if given else "")

    @cached_property
    def sets(self) -> dict[str, dict[str, Any]]:
        """The sets, each with the arguments that it is made by; "all" where there is only one."""
        return _sets_of(self)

    def opened(self, root: Path, set_name: str, *, download: bool = False) -> Any:
        """torchvision's dataset of a set, its files below root. Raises whatever the class does."""
        with contextlib.redirect_stdout(io.StringIO()):  # stdout is for results
            return _made(_class(self.class_name), root, self.sets[set_name], download=download)

    def locate(self, folders: Folders) -> Path | None:
        """The folder in which all sets are, as torchvision lays them out."""
        return _located(self, folders.data)[0]

    def open(
        self, folders: Folders, *, offline: bool = False, progress: Progress = no_progress
    ) -> Path:
        """The folder that torchvision's class takes as its root, fetched by it where it must be.

        Raises DatasetError or DownloadError.
        """
        root, reason = _located(self, folders.data)
        if root:
            return root
        lacking = (
            f"{self.name}: {folders.data} does not hold it as torchvision lays it out ({reason})"
        )
        if "download" not in _parameters(_class(self.class_name)):
            raise DatasetError(
                f"{lacking}, and torchvision cannot fetch it. Put it there by hand, or name the"
                " folder that it lies in with --data-dir."
            )
        if offline:
            raise DownloadError(f"{lacking}, and nothing may be fetched (--offline or --dry-run).")
        return self._fetched(folders.data / self.folder, reason, progress)

    def _fetched(self, target: Path, reason: str, progress: Progress) -> Path:
        if target.exists():
            raise DatasetError(
                f"{target}: torchvision's {self.class_name} cannot read it ({reason}). Move it away"
                " to have it fetched again."
            )
        try:
            with new_folder(target) as root, _safely_unpacked(), _reported(self.name, progress):
                for set_name in self.sets:
                    self.opened(root, set_name, download=True)
        except (OSError, RuntimeError, ValueError, EOFError, tarfile.TarError) as error:
            raise DownloadError(
                f"{self.name}: torchvision could not fetch it: {type(error).__name__}:"
                f" {reason_of(error)}. Try again, or put it into {target} as torchvision lays it"
                " out."
            ) from error
        return target


_found: dict[tuple[TorchvisionClass, Path], Path] = {}  # opening all sets may take seconds


def _located(dataset: TorchvisionClass, data: Path) -> tuple[Path | None, str]:
    """The folder of the dataset in or below the data folder; or why there is none."""
    if (root := _found.get((dataset, data))) and root.is_dir():
        return root, ""
    reason = "no such folder"
    places = (data / dataset.folder, data / dataset.class_name, data / dataset.class_name.lower())
    for root in filter(Path.is_dir, (*places, data)):
        before = set(root.iterdir())
        try:
            for set_name in dataset.sets:
                dataset.opened(root, set_name)
        except DatasetError:
            raise
        except Exception as error:  # damaged files make its readers raise almost anything
            reason = reason_of(error).rstrip(".")
            for left in set(root.iterdir()) - before:  # some make a folder before they look
                with contextlib.suppress(OSError):
                    left.rmdir()
        else:
            _found[dataset, data] = root
            return root, ""
    return None, reason


def _class(name: str) -> type:
    """torchvision's class of this name. Raises DatasetError or UnknownNameError."""
    from torchvision import datasets  # 2 s to import

    if name in IMAGE_FOLDERS:
        raise DatasetError(f"torchvision:{name}: name the folder itself, vggfeat bench FOLDER.")
    if name in UNLABELLED:
        raise DatasetError(
            f"torchvision:{name}: has no class for each picture, so there is nothing to probe."
        )
    if name in UNSAFE:
        raise DatasetError(
            f"torchvision:{name}: its class unpickles a file that nobody has verified. Write the"
            " pictures into a folder for each class, and name that."
        )
    known = [k for k in datasets.__all__ if k not in (*UNLABELLED, *UNSAFE) and k[0].isupper()]
    if name not in known:
        raise UnknownNameError("dataset of torchvision", name, set(known) - set(IMAGE_FOLDERS))
    return getattr(datasets, name)


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    """What a class takes by name, of its own and, where it passes others on, of those above it."""
    found: dict[str, inspect.Parameter] = {}
    for above in kind.__mro__:
        if "__init__" not in vars(above):
            continue
        parameters = inspect.signature(vars(above)["__init__"]).parameters.values()
        for parameter in parameters:
            found.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {name: parameter for name, parameter in found.items() if parameter.kind not in kinds}


def _made(kind: type, root: Path, arguments: Mapping[str, Any], *, download: bool = False) -> Any:
    # Some classes fetch unless download is False.
    may_fetch = {"download": download} if "download" in _parameters(kind) else {}
    return kind(root, **may_fetch, **arguments)


def _sets_of(dataset: TorchvisionClass) -> dict[str, dict[str, Any]]:
    kind = _class(dataset.class_name)
    parameters = {n: p for n, p in _parameters(kind).items() if n not in OURS}
    given = dict(dataset.arguments)
    lacking = [n for n, p in parameters.items() if p.default is p.empty and n not in given]
    if lacking:
        allowed = _refusal(kind, given | dict.fromkeys(lacking, ""))
        raise DatasetError(f"{dataset.name}: needs :{lacking[0]}=VALUE behind the name. {allowed}")
    takes_train = "train" in parameters
    chosen = {} if takes_train else {part: given.pop(part) for part in SETS if part in given}
    if chosen and "split" not in parameters:
        raise DatasetError(f"{dataset.name}: the class has no sets to choose by {min(chosen)}=.")
    arguments = {key: _value(dataset, key, text, parameters) for key, text in given.items()}
    if takes_train and "train" not in arguments:
        _check(dataset, kind, {**arguments, "train": True})
        return {
            "train": {**arguments, "train": True},
            "test": {**arguments, "train": False},
        }
    if takes_train or "split" not in parameters or "split" in arguments:
        _check(dataset, kind, arguments)
        return {"all": arguments}
    values = {part: (chosen[part],) for part in chosen} if chosen else SPLITS
    sets, refused = {}, ""
    for part, names in values.items():
        for name in names:
            refused_here = _refusal(kind, {**arguments, "split": name})
            if not refused_here:
                sets[part] = {**arguments, "split": name}
                break
            refused = refused or refused_here
        if chosen and part not in sets:
            raise DatasetError(f"{dataset.name}: {refused}")
    if not sets:
        raise DatasetError(f"{dataset.name}: {refused}")
    return sets


def _check(dataset: TorchvisionClass, kind: type, arguments: Mapping[str, Any]) -> None:
    if refused := _refusal(kind, arguments):
        raise DatasetError(f"{dataset.name}: {refused}")


def _refusal(kind: type, arguments: Mapping[str, Any]) -> str:
    """Why a class does not take these arguments; empty where it only lacks its files."""
    with tempfile.TemporaryDirectory() as empty, contextlib.redirect_stdout(io.StringIO()):
        try:
            _made(kind, Path(empty), arguments)
        except (ValueError, TypeError) as error:
            return f"Torchvision refuses it: {reason_of(error).removeprefix(f'{kind.__name__}.')}"
        except Exception:  # files are lacking, as they must
            return ""
    return ""


def _value(
    dataset: TorchvisionClass, key: str, text: str, parameters: Mapping[str, inspect.Parameter]
) -> Any:
    """An argument as the class's default says that it is meant. Raises DatasetError."""
    if key not in parameters:
        sets = SETS if "split" in parameters and "train" not in parameters else ()
        allowed = ", ".join([*parameters, *sets]) or "none"
        raise DatasetError(f"{dataset.name}: no argument {key!r}; allowed: {allowed}.")
    default = parameters[key].default
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise DatasetError(f"{dataset.name}: {key} must be true or false; got {text!r}.")
        return text.lower() == "true"
    if isinstance(default, int) and not text.isdecimal():
        raise DatasetError(f"{dataset.name}: {key} must be a whole number; got {text!r}.")
    return int(text) if text.isdecimal() and not isinstance(default, str) else text


@contextlib.contextmanager
def _safely_unpacked() -> Iterator[None]:
    """Tars unpack nothing outside of their folder, which torchvision itself does not see to.

    Zips are held below it by Python. Raises DownloadError on Python before 3.11.4.
    """
    if not hasattr(tarfile, "data_filter"):
        raise DownloadError("Python before 3.11.4 unpacks tars unsafely. Update it.")
    before = vars(tarfile.TarFile).get("extraction_filter")
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before


@contextlib.contextmanager
def _reported(name: str, progress: Progress) -> Iterator[None]:
    """torchvision's downloads report to `progress` instead of drawing a bar of their own."""
    from torchvision.datasets import utils

    class Bar:
        def __init__(self, total: int | None = None, **_: Any):
            self.done, self.total = 0, total or 0

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def update(self, num_bytes: int) -> None:
            self.done += num_bytes
            in_megabytes(progress)(f"fetching {name}", self.done, self.total)

    bar, utils.tqdm = utils.tqdm, Bar
    try:
        yield
    finally:
        utils.tqdm = bar
