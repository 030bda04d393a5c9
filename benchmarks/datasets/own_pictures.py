"""A folder of pictures or a CSV list of the user's as a dataset, named by its path.

The dataset is called after the folder or the list. One that would be called like a benchmark has
own_ before its name: records and feature files must not be taken for those of the other.
"""

import os
from collections.abc import Collection
from pathlib import Path

from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.protocols.own_protocol import OwnPictures, OwnProtocol, own_benchmark
from vggfeat.benchmarks.sources.local_folder import LocalFolder
from vggfeat.errors import printable
from vggfeat.layouts.own_pictures import feature_set_of, slug

LIST_SUFFIX = ".csv"
SCALES = (256,)  # one pass a picture; nets of one input size take their usual crop of it


def why_none(text: str) -> str:
    """Why a text leads to no dataset of the user's; a name might have been one of a folder here."""
    if os.path.exists(os.path.expanduser(text)):
        return f"it is no folder and no {LIST_SUFFIX} file of pictures"
    is_path = os.sep in text or text[:1] in (".", "~") or _is_list(text)
    return "no such folder or file" if is_path else "no folder of that name is here"


def dataset_at(path: Path | str, taken: Collection[str] = ()) -> DatasetDefinition | None:
    """The dataset in a folder or a CSV file; None where there is neither.

    taken are names that it must not have.
    """
    path = Path(os.path.abspath(os.path.expanduser(path)))
    is_list = path.is_file() and _is_list(path.name)
    if not (is_list or path.is_dir()):
        return None
    title = path.stem if is_list else path.name
    root = path.parent if is_list else path
    return DatasetDefinition(
        name=name_for(title, taken),
        title=printable(title, one_line=True) or slug(title),
        source=LocalFolder(root),
        build=own_benchmark,
        protocol=OwnPictures(path if is_list else None),
        scales=SCALES,
        features_of=feature_set_of(root),
    )


def name_for(title: str, taken: Collection[str]) -> str:
    """The name of a benchmark of a user's, by its title; never one of those that are taken."""
    name = slug(title)
    return f"own_{name}" if name in taken else name


def is_own(definition: DatasetDefinition) -> bool:
    """Whether a dataset is the user's: a folder, a list, or one by its name elsewhere."""
    return isinstance(definition.protocol, OwnProtocol)


def _is_list(name: str) -> bool:
    return name.lower().endswith(LIST_SUFFIX)
