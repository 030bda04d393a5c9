"""The files whose MD5 torchvision compares before it reads them, and which of them is another."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vggfeat.errors import DatasetError


def check_digests(dataset_class: Any, root: Path | str, arguments: Mapping[str, Any]) -> None:
    """Raise DatasetError at the first file of a class that is missing or not the distributed one.

    torchvision says of either that the dataset was "not found or corrupted".
    """
    for path, md5 in _listed(dataset_class, Path(root), arguments):
        # Roots in the cache are made of links.
        away = (path if path.parent == Path(root) else path.parent).resolve()
        advice = f"Move {away} away, and its archive if there is one, and fetch the dataset again."
        if not path.is_file():
            raise DatasetError(f"{path}: is missing. {advice}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != md5:
                raise DatasetError(
                    f"{path}: is not the file that is distributed, whose MD5 is {md5}: it was not"
                    f" read. {advice}"
                )


def _listed(
    dataset_class: Any, root: Path, arguments: Mapping[str, Any]
) -> Iterator[tuple[Path, str]]:
    """The files and their MD5, as CIFAR's, STL-10's, SVHN's and Flowers' classes list them."""
    folder = root / getattr(dataset_class, "base_folder", "")
    for name in ("train_list", "test_list"):
        for file, md5 in getattr(dataset_class, name, ()):
            yield folder / file, md5
    if meta := getattr(dataset_class, "meta", None):
        yield folder / meta["filename"], meta["md5"]
    if of_split := getattr(dataset_class, "split_list", {}).get(arguments.get("split")):
        _, file, md5 = of_split
        yield folder / file, md5
    for file, md5 in getattr(dataset_class, "_file_dict", {}).values():
        if file.endswith(".mat"):  # of the archive it asks when that is fetched
            yield root / "flowers-102" / file, md5
