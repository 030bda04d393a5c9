"""Pictures of an extraction: read and rescaled by threads, those that cannot be read skipped.

Shapes: B pictures of a batch, S scales, h w sides of a picture.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np
from torch import Tensor

from vggfeat import images
from vggfeat.errors import PictureError
from vggfeat.features.device import Device
from vggfeat.features.options import Extraction
from vggfeat.features.stage_times import StageTimes
from vggfeat.prefetch import prefetch

log = logging.getLogger(__name__)

NUM_PREFETCHED = 2 + (os.cpu_count() or 1)  # batches that are prepared, or wait for the net
NUM_SIZES_PREFETCHED = 256  # pictures whose headers are read
# Threads that read them, however few the cores: they wait for the disk, or a file server.
NUM_SIZES_THREADS = 16
Loaded = tuple[list[str], list[Tensor]]  # ids of a batch, its S tensors [B, h, w, 3]


class PictureLoader:
    """Reads pictures (id -> file or crop) at the scales of an extraction.

    Those that cannot be read are in skipped (id -> reason); unless options.on_error is "skip" the
    first of them raises PictureError. sha256 and file_bytes are of the files that were decoded.
    """

    def __init__(
        self,
        pictures: Mapping[str, images.Picture],
        options: Extraction,
        times: StageTimes,
        device: Device,
        *,
        square: bool,
    ):
        self.pictures, self.options, self.times, self.square = pictures, options, times, square
        self.device = device
        self.skipped: dict[str, str] = {}
        self.skipped_level = logging.WARNING  # of the messages about them
        self.sha256: dict[str, bytes] = {}
        self.file_bytes: dict[str, int] = {}

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height of every picture that can be read, in the order of the pictures."""

        def size(picture: images.Picture) -> tuple[int, int] | PictureError:
            try:
                size = images.picture_size(picture, exif=self.options.exif)
                for scale in self.options.scales:
                    images.check_fits(picture, size, scale, square=self.square)
                return size
            except PictureError as error:
                return error

        sizes = {}
        results = prefetch(
            size,
            self.pictures.values(),
            num_threads=NUM_SIZES_THREADS,
            depth=NUM_SIZES_PREFETCHED,
        )
        with closing(results):
            for i, result in zip(self.pictures, results, strict=True):
                if isinstance(result, PictureError):
                    self._skip(i, result)
                else:
                    sizes[i] = result
        return sizes

    def loaded(self, batches: Sequence[list[str]]) -> Iterator[Loaded]:
        """The batches in their order, prefetched; of one with an unreadable picture the others."""

        def load(ids: list[str]) -> list[Tensor] | PictureError:
            try:
                return self._staged(ids)
            except PictureError as error:
                return error

        with closing(prefetch(load, batches, depth=NUM_PREFETCHED)) as results:
            for ids, result in zip(batches, results, strict=True):
                if isinstance(result, PictureError):
                    self._stop_if_asked(result)
                    yield from self._readable(ids)
                else:
                    yield ids, result

    def _readable(self, ids: Sequence[str]) -> Iterator[Loaded]:
        """Those of the pictures that can be read, one by one."""
        for i in ids:
            try:
                yield [i], self._staged([i])
            except PictureError as error:
                self._skip(i, error)

    def _staged(self, ids: Sequence[str]) -> list[Tensor]:
        """Pictures of equal shape at every scale, ready to be uploaded: S tensors [B, h, w, 3]."""
        arrays = self._scaled_arrays(ids) if self.options.scaled_jpeg else self._arrays(ids)
        with self.times.timed("prepare"):
            return [self.device.staged(array) for array in arrays]

    def _arrays(self, ids: Sequence[str]) -> list[np.ndarray]:
        """Pictures of equal shape at every scale: S arrays [B, h, w, 3]."""
        with self.times.timed("decode"):
            decoded = [
                images.decode(self.pictures[i], exif=self.options.exif, content=self._content(i))
                for i in ids
            ]
        with self.times.timed("prepare"):
            return images.at_scales(decoded, self.options.scales, square=self.square)

    def _scaled_arrays(self, ids: Sequence[str]) -> list[np.ndarray]:
        """The same of pictures decoded for each scale by itself.

        So what is stored for a scale does not depend on which others were asked for with it.
        """
        arrays: list[list[np.ndarray]] = [[] for _ in self.options.scales]
        for i in ids:
            picture, exif, content = self.pictures[i], self.options.exif, self._content(i)
            size = images.picture_size(picture, exif=exif, content=content)
            by, decoded = 0, None
            for scale, of_scale in zip(self.options.scales, arrays, strict=True):
                is_no_jpeg = by > 1 and decoded.size == size  # then the whole serves all scales
                if not is_no_jpeg and by != (by := images.reduction(size, scale)):
                    with self.times.timed("decode"):
                        decoded = images.decode(picture, exif=exif, content=content, scale=scale)
                with self.times.timed("prepare"):
                    rescaled = images.rescale(decoded, scale, square=self.square, of=size)
                    of_scale.append(np.asarray(rescaled))
        return [np.stack(of_scale) for of_scale in arrays]

    def _content(self, picture_id: str) -> bytes:
        """The bytes of a picture's file, of which it notes the digest."""
        content = images.picture_content(self.pictures[picture_id])
        self.file_bytes[picture_id] = len(content)
        self.sha256[picture_id] = hashlib.sha256(content).digest()
        return content

    def _skip(self, picture_id: str, error: PictureError) -> None:
        """Leave out a picture that cannot be read, or raise PictureError if none may be."""
        self._stop_if_asked(error)
        log.log(self.skipped_level, "skipped: %s", error)
        self.skipped[picture_id] = str(error)

    def _stop_if_asked(self, error: PictureError) -> None:
        if self.options.on_error == "stop":
            raise PictureError(
                f"{error} Use --on-error skip to go on without it (in Python on_error='skip')."
            ) from error
