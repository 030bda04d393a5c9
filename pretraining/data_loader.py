"""Lists of pictures -> batches of crops, prefetched by threads.

The pictures of one update over all devices are a batch. Each process prepares its share of it, in
micro-batches that go through the net one at a time, of a size that the device holds.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from vggfeat.boxes import NO_BOXES, check, in_crop, visible
from vggfeat.errors import PictureError
from vggfeat.images import decode
from vggfeat.layouts.imagenet import Labelled, Pictures
from vggfeat.prefetch import prefetch
from vggfeat.pretraining import augmentation
from vggfeat.pretraining.colours import Colours
from vggfeat.pretraining.objective import NO_LABEL
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.rng import order
from vggfeat.processes.world import World

log = logging.getLogger(__name__)

# A crop must show so much of a box, or be covered by it so far, to be trained on; OverFeat asks for
# "50% overlap" without saying of what.
MIN_VISIBLE = 0.5


@dataclass(frozen=True)
class MicroBatch:
    """The n pictures of a batch that go through the net at once."""

    pixels: np.ndarray  # [n, side, side, 3] uint8
    shifts: np.ndarray  # [n, 3] float32, added to every pixel
    labels: np.ndarray  # [n] int64, NO_LABEL where there is nothing to learn from
    boxes: np.ndarray  # [n, B, 4] in pixels of the crop, NaN where a picture has fewer
    rows: slice  # of the batch
    batch_size: int  # pictures of the batch, over all processes
    failure: PictureError | None = None  # a picture that cannot be read and stops the run


@dataclass
class Loader:
    """Batches of a recipe's crops for one process of the world.

    A picture that cannot be read is left out of its micro-batch. With on_error "stop" the
    micro-batch holds the failure, which all processes learn of together; with "skip" the picture's
    path is kept.
    """

    pictures: Pictures
    recipe: Recipe
    colours: Colours
    world: World
    micro_batch_size: int  # pictures
    on_error: str = "stop"
    unreadable: set[str] = field(default_factory=set)  # paths

    @property
    def num_batches(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-len(self.pictures.train) // self.recipe.batch_size)

    def training(self, epoch: int, first_batch: int) -> Iterator[list[MicroBatch]]:
        """This process's share of each batch from first_batch on, each picture once an epoch."""
        ids = order(self.recipe.seed, epoch, len(self.pictures.train))
        size = self.recipe.batch_size
        shares = [
            divide(ids[n * size : (n + 1) * size], self.world, self.micro_batch_size)
            for n in range(first_batch, self.num_batches)
        ]
        micro_batches = prefetch(
            lambda rows_of_batch: self.training_crops(epoch, *rows_of_batch),
            [rows_of_batch for share in shares for rows_of_batch in share],
        )
        for share in shares:
            yield list(islice(micro_batches, len(share)))

    def validation(self) -> Iterator[MicroBatch]:
        """This process's share of the validation pictures, as centre crops."""
        mine = self.pictures.validation[self.world.rank :: self.world.size]
        size = self.micro_batch_size
        starts = range(0, len(mine), size)
        yield from prefetch(lambda n: self._centre_crops(mine[n : n + size]), starts)

    def training_crops(
        self, epoch: int, ids: np.ndarray, rows: slice, batch_size: int
    ) -> MicroBatch:
        """Random crops of pictures by their numbers, -1 for none; `rows` are theirs of the batch.

        Of several boxes a picture has the one of which its crop shows most.
        """
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
                pixels[row], in_pixels = self._crop(path, drawn.scale, drawn.corner, drawn.mirror)
            except PictureError as error:
                failure = failure or self._skip(path, error)
                continue
            shifts[row] = self.colours.shift(drawn.multipliers)
            if len(in_pixels):
                shares = visible(in_pixels, side)
                boxes[row] = in_pixels[shares.argmax()]
                if shares.max() < MIN_VISIBLE:
                    continue
            labels[row] = label
        return MicroBatch(pixels, shifts, labels, boxes, rows, batch_size, failure)

    def _centre_crops(self, pictures: Sequence[Labelled]) -> MicroBatch:
        side = self.recipe.input_size
        pixels = np.zeros((len(pictures), side, side, 3), dtype=np.uint8)
        labels = np.full(len(pictures), NO_LABEL)
        most = max((len(self.pictures.boxes.get(path, ())) for path, _ in pictures), default=0)
        boxes = np.full((len(pictures), most, 4), np.nan)
        failure = None
        for row, (path, label) in enumerate(pictures):
            try:
                pixels[row], in_pixels = self._crop(path, self.recipe.test_scale, None)
                boxes[row, : len(in_pixels)] = in_pixels
                labels[row] = label
            except PictureError as error:
                failure = failure or self._skip(path, error)
        shifts = np.zeros((len(pictures), 3), dtype=np.float32)
        rows = slice(0, len(pictures))
        return MicroBatch(pixels, shifts, labels, boxes, rows, len(pictures), failure)

    def _crop(
        self, path: str, scale: int, corner: tuple[float, float] | None, mirror: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """A picture's crop [side, side, 3], and its boxes [B, 4] in pixels of the crop."""
        file, side = self.pictures.root / path, self.recipe.input_size
        picture = decode(file)
        place = augmentation.place(picture.size, scale, corner, side)
        pixels = augmentation.crop(picture, scale, place, side)
        boxes = self.pictures.boxes.get(path, NO_BOXES)
        check(boxes, picture.size, file)
        moved = in_crop(boxes, picture.size, scale, place, side, mirror=mirror)
        return pixels[:, ::-1] if mirror else pixels, moved

    def _skip(self, path: str, error: PictureError) -> PictureError | None:
        """Note a picture as unreadable, or return the error that stops the run."""
        if self.on_error == "stop":
            return PictureError(
                f"{error} --check-data names all such pictures, --on-error skip goes on without"
                " them."
            )
        if path not in self.unreadable:
            log.warning("skipped: %s", error)
            self.unreadable.add(path)
        return None


def divide(
    ids: np.ndarray, world: World, micro_batch_size: int
) -> list[tuple[np.ndarray, slice, int]]:
    """A process's micro-batches of a batch of picture numbers: numbers, rows, the batch's size.

    The processes' shares differ by one picture at most. One without a picture, as there may be in
    an epoch's last batch, gets the number -1 for no picture, as all processes must take part.
    """
    shares = np.array_split(np.arange(len(ids)), world.size)
    mine = shares[world.rank]
    if not len(mine):
        return [(np.array([-1]), slice(0, 1), len(ids))]
    starts = range(0, len(mine), micro_batch_size)
    cuts = [mine[start : start + micro_batch_size] for start in starts]
    return [(ids[cut], slice(int(cut[0]), int(cut[-1]) + 1), len(ids)) for cut in cuts]
