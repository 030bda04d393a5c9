"""Pictures that come part by part, of files that are written when they are asked for first."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from helpers.pictures import write_picture
from vggfeat.layouts.picture_parts import Part, PictureParts

SHAPES = ((48, 36), (36, 50))  # so that batches of equal shape have something to do


class ListedParts(PictureParts):
    """Lists of picture files as parts; broken are names and reasons of each part."""

    def __init__(
        self,
        parts: Sequence[Mapping[str, Path]],
        broken: Sequence[Mapping[str, str]] = (),
        *,
        name: str = "listed",
        digest: str = "d",
    ):
        self.parts, self.broken, self.name, self.digest = parts, broken, name, digest
        self.num_parts = len(parts)

    @contextmanager
    def opened(self, part: int) -> Iterator[Part]:
        yield Part(self.parts[part], self.broken[part] if self.broken else {})


def written_parts(folder: Path, counts: Sequence[int]) -> ListedParts:
    """Parts of so many pictures each, written below a folder; ids are "part/number.png"."""
    parts = [
        {
            f"{part}/{number}.png": write_picture(
                folder / f"{part}" / f"{number}.png",
                SHAPES[number % 3 % 2],
                seed=97 * part + number,
            )
            for number in range(count)
        }
        for part, count in enumerate(counts)
    ]
    return ListedParts(parts)
