"""Some pictures of whatever the user names, and how many there are in all: `some_pictures`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.images import Picture
from vggfeat.layouts.open_parts import names_tars, open_parts
from vggfeat.layouts.unlabelled import read_pictures
from vggfeat.storage.urls import is_url, shown


@dataclass(frozen=True)
class SomePictures:
    """Id -> picture of some, or of all; the number of all, and how that is known if it is not."""

    pictures: Mapping[str, Picture]
    number: int
    assumption: str = ""


def some_pictures(source: str) -> SomePictures:
    """All pictures of a folder or a list; of tars those of the first, each counting as large as it.

    The last tar, which is often smaller, is looked into, too. Raises DatasetError.
    """
    if not names_tars(source):
        pictures = read_pictures(Path(source)).files
        return SomePictures(pictures, len(pictures))
    if is_url(source):
        raise DatasetError(
            f"{shown(source)}: is elsewhere, and a plan fetches nothing. Name a tar of it that was"
            " copied here, and --pictures."
        )
    parts = open_parts(source, copies=Path())
    with parts.opened(0) as part:
        first = part.pictures
    with parts.opened(parts.num_parts - 1) as part:
        number = len(first) * (parts.num_parts - 1) + len(part.pictures)
    if not first:
        raise DatasetError(f"{source}: no picture in its first tar, which a plan looks into.")
    assumption = f"about {number:,} pictures, as the first of its {parts.num_parts:,} tars has"
    assumption += f" {len(first):,}"
    return SomePictures(first, number, assumption if parts.num_parts > 2 else "")
