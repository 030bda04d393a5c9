"""`--check-data`: reads every picture and names those that cannot be trained on."""

from collections.abc import Callable, Iterator

from vggfeat.boxes import NO_BOXES, check
from vggfeat.errors import PictureError
from vggfeat.images import check_fits, decode
from vggfeat.layouts.imagenet import Labelled, Pictures
from vggfeat.prefetch import prefetch


def unreadable_pictures(
    pictures: Pictures, scale: int, progress: Callable[[str, int, int], None]
) -> Iterator[str]:
    """Read all pictures; yield the problem of each that cannot be used at this training scale."""
    labelled = [*pictures.train, *pictures.validation]

    def problem_of(picture: Labelled) -> str | None:
        name, _ = picture
        path = pictures.root / name
        try:
            size = decode(path).size
            check_fits(path, size, scale)
            check(pictures.boxes.get(name, NO_BOXES), size, path)
        except PictureError as error:
            return str(error)
        return None

    for done, problem in enumerate(prefetch(problem_of, labelled), start=1):
        progress("checking pictures", done, len(labelled))
        if problem:
            yield problem
