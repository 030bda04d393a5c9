"""Lists of pictures -> batches of crops, prefetched by threads.

The pictures of one update over all devices are a batch; each process prepares its own part of it,
in passes of a size that its device holds.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from vggfeat.boxes import check, in_crop, visible
from vggfeat.distributed import World
from vggfeat.errors import PictureError
from vggfeat.images import check_fits, decode, rescale
from vggfeat.layouts.imagenet import Labelled, Pictures
from vggfeat.prefetch import prefetch
from vggfeat.pretraining import augmentation
from vggfeat.pretraining.augmentation import Colours, colours_of
from vggfeat.pretraining.objective import NO_LABEL
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.rng import order

log = logging.getLogger(__name__)

# A crop must show so much of a box, or be covered by it so far, to be trained on; OverFeat asks for
# "50% overlap" without saying of what.
MIN_VISIBLE = 0.5
COLOUR_PICTURES = 10_000  # that mean and principal components are computed from, at most
NO_BOXES = np.empty((0, 4))
COLOUR_SIDE = 64  # pixels, shortest side of those pictures


@dataclass(frozen=True)
class Pass:
    """What goes through the net at once: n pictures."""

    pixels: np.ndarray  # [n, side, side, 3] uint8
    shifts: np.ndarray  # [n, 3] float32, added to every pixel
    labels: np.ndarray  # [n] int64, NO_LABEL where there is nothing to learn from
    boxes: np.ndarray  # [n, B, 4] in pixels of the crop, NaN where a picture has fewer
    rows: slice  # of the batch
    batch_size: int  # pictures of the batch, over all processes
    failure: PictureError | None = None  # why the run is to stop: a picture that cannot be read


@dataclass
class Loader:
    """Batches of a recipe's crops for one process of the world.

    A picture that cannot be read is left out of its pass. With on_error "stop" the pass holds the
    failure, which all processes learn of together; with "skip" the picture's path is kept.
    """

    pictures: Pictures
    recipe: Recipe
    colours: Colours
    world: World
    pass_size: int  # pictures
    on_error: str = "stop"
    unreadable: set[str] = field(default_factory=set)  # paths

    @property
    def num_batches(self) -> int:
        """Of an epoch; the last one may be smaller."""
        return -(-len(self.pictures.train) // self.recipe.batch_size)

    def training(self, epoch: int, first_batch: int) -> Iterator[list[Pass]]:
        """This process's passes of each batch from first_batch on, each picture once an epoch."""
        ids = order(self.recipe.seed, epoch, len(self.pictures.train))
        size = self.recipe.batch_size
        batches = [
            parts(ids[n * size : (n + 1) * size], self.world, self.pass_size)
            for n in range(first_batch, self.num_batches)
        ]
        prepared = prefetch(
            lambda part: self.training_pass(epoch, *part),
            [part for batch in batches for part in batch],
        )
        for batch in batches:
            yield list(islice(prepared, len(batch)))

    def validation(self) -> Iterator[Pass]:
        """This process's share of the validation pictures, as centre crops."""
        mine = self.pictures.validation[self.world.rank :: self.world.size]
        starts = range(0, len(mine), self.pass_size)
        yield from prefetch(lambda n: self._centre_pass(mine[n : n + self.pass_size]), starts)

    def training_pass(self, epoch: int, ids: np.ndarray, rows: slice, batch_size: int) -> Pass:
        recipe = self.recipe
        side = recipe.input_size
        pixels = np.zeros((len(ids), side, side, 3), dtype=np.uint8)
        shifts = np.zeros((len(ids), 3), dtype=np.float32)
        labels = np.full(len(ids), NO_LABEL)
        boxes = np.full((len(ids), 1, 4), np.nan)
        failure = None
        for row, number in enumerate(ids.tolist()):
            if number < 0:
                continue
            drawn = augmentation.draw(
                recipe.seed, epoch, number, recipe.scales,
                mirror=recipe.mirror, colour_std=recipe.colour_std,
            )  # fmt: skip
            path, label = self.pictures.train[number]
            try:
                pixels[row], found = self._crop(path, drawn.scale, drawn.corner, drawn.mirror)
            except PictureError as error:
                failure = failure or self._note(path, error)
                continue
            shifts[row] = self.colours.shift(drawn.multipliers)
            if len(found):
                shares = visible(found, side)
                boxes[row] = found[shares.argmax()]
                if shares.max() < MIN_VISIBLE:
                    continue
            labels[row] = label
        return Pass(pixels, shifts, labels, boxes, rows, batch_size, failure)

    def _centre_pass(self, pictures: Sequence[Labelled]) -> Pass:
        side = self.recipe.input_size
        pixels = np.zeros((len(pictures), side, side, 3), dtype=np.uint8)
        labels = np.full(len(pictures), NO_LABEL)
        most = max((len(self.pictures.boxes.get(path, ())) for path, _ in pictures), default=0)
        boxes = np.full((len(pictures), most, 4), np.nan)
        failure = None
        for row, (path, label) in enumerate(pictures):
            try:
                pixels[row], found = self._crop(path, self.recipe.test_scale, None)
                boxes[row, : len(found)] = found
                labels[row] = label
            except PictureError as error:
                failure = failure or self._note(path, error)
        shifts = np.zeros((len(pictures), 3), dtype=np.float32)
        rows = slice(0, len(pictures))
        return Pass(pixels, shifts, labels, boxes, rows, len(pictures), failure)

    def _crop(
        self, path: str, scale: int, corner: tuple[float, float] | None, mirror: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """A picture's crop [side, side, 3], and its boxes [B, 4] in pixels of the crop."""
        file, side = self.pictures.root / path, self.recipe.input_size
        picture = decode(file)
        place = augmentation.place(picture.size, scale, corner, side)
        pixels = augmentation.crop(picture, scale, place, side)
        found = self.pictures.boxes.get(path, NO_BOXES)
        check(found, picture.size, file)
        moved = in_crop(found, picture.size, scale, place, side, mirror=mirror)
        return pixels[:, ::-1] if mirror else pixels, moved

    def _note(self, path: str, error: PictureError) -> PictureError | None:
        """Skip the picture, or give back what stops the run."""
        if self.on_error == "stop":
            return PictureError(
                f"{error} --check-data names all such pictures, --on-error skip goes on without"
                " them."
            )
        if path not in self.unreadable:
            log.warning("skipped: %s", error)
            self.unreadable.add(path)
        return None


def parts(ids: np.ndarray, world: World, pass_size: int) -> list[tuple[np.ndarray, slice, int]]:
    """A process's passes of a batch: their pictures' numbers, their rows, and the batch's size.

    The processes' shares differ by one picture at most. One without a picture, as there may be in
    an epoch's last batch, gets a row that is none (-1), as all processes must take part.
    """
    shares = np.array_split(np.arange(len(ids)), world.size)
    mine = shares[world.rank]
    if not len(mine):
        return [(np.array([-1]), slice(0, 1), len(ids))]
    cuts = [mine[start : start + pass_size] for start in range(0, len(mine), pass_size)]
    return [(ids[cut], slice(int(cut[0]), int(cut[-1]) + 1), len(ids)) for cut in cuts]


def compute_colours(pictures: Pictures) -> Colours:
    """From the training pictures, or as many of them, evenly spread, as give a sound estimate.

    Pictures that cannot be read are left out.
    """
    step = -(-len(pictures.train) // COLOUR_PICTURES)

    def small(labelled: Labelled) -> np.ndarray | None:
        try:
            return np.asarray(rescale(decode(pictures.root / labelled[0]), COLOUR_SIDE))
        except PictureError:
            return None  # told when training comes to it

    found = (one for one in prefetch(small, pictures.train[::step]) if one is not None)
    return colours_of(found)


def unreadable_pictures(
    pictures: Pictures, scale: int, progress: Callable[[str, int, int], None]
) -> Iterator[str]:
    """What is wrong with each picture that cannot be used at this scale, after reading them all."""
    labelled = [*pictures.train, *pictures.validation]

    def problem_of(one: Labelled) -> str | None:
        path: Path = pictures.root / one[0]
        try:
            size = decode(path).size
            check_fits(path, size, scale)
            check(pictures.boxes.get(one[0], NO_BOXES), size, path)
        except PictureError as error:
            return str(error)
        return None

    for done, problem in enumerate(prefetch(problem_of, labelled), start=1):
        progress("checking pictures", done, len(labelled))
        if problem:
            yield problem
