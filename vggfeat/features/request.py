"""A net's vectors of pictures at some scales, as a task asks for them: `FeatureRequest`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vggfeat import images
from vggfeat.backbones.network import Network
from vggfeat.errors import PictureError
from vggfeat.features import store
from vggfeat.features.conditions import conditions
from vggfeat.features.extract import Extracted
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import Head
from vggfeat.features.options import Extraction
from vggfeat.features.parallel import Shared
from vggfeat.features.views import is_square
from vggfeat.images import Picture

Done = TypeVar("Done", Extracted, Shared)


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureRequest:
    """The vectors that a net's head gives for pictures at some scales."""

    dataset: str  # names the feature file
    pictures: Mapping[str, Picture]  # id -> file or crop
    network: Network
    options: Extraction
    head: Callable[[Network], Head] = Descriptor
    may_change: bool = False  # whether the files are a user's, who may have written to them since

    @property
    def conditions(self) -> store.Conditions:
        """Everything that decides what the vectors are."""
        return conditions(self.dataset, self.network, self.options, self.head)

    @property
    def key(self) -> tuple:
        """Equal for requests that one extraction answers, while their pictures are there."""
        return self.source, id(self.pictures)

    @property
    def source(self) -> tuple:
        """Equal for requests whose vectors lie in one feature file, whatever their scales."""
        return tuple(v for name, v in vars(self.conditions).items() if name != "scales")


def at_scales(
    request: FeatureRequest,
    scales: tuple[int, ...],
    extract_at: Callable[[FeatureRequest, tuple[int, ...]], Done],
) -> tuple[tuple[int, ...], Done]:
    """What extract_at gives at these scales, or at the request's own if others' hinder it."""
    try:
        done = extract_at(request, scales)
        is_hindered = is_too_large(request, done.skipped, scales)
    except PictureError:
        is_hindered = is_too_large(request, request.pictures, scales)
        if not is_hindered:
            raise
    if is_hindered:  # by a scale that only others need
        scales = request.options.scales
        done = extract_at(request, scales)
    return scales, done


def is_too_large(request: FeatureRequest, ids: Iterable[str], scales: Sequence[int]) -> bool:
    """Whether one of these pictures fits at the request's scales, and not at all of `scales`."""
    if set(scales) == set(request.options.scales):
        return False
    return any(
        _fits(request, request.pictures[i], request.options.scales)
        and not _fits(request, request.pictures[i], scales)
        for i in ids
    )


def _fits(request: FeatureRequest, picture: Picture, scales: Sequence[int]) -> bool:
    """Whether the header of a picture can be read and the picture rescaled to these scales."""
    try:
        size = images.picture_size(picture, exif=request.options.exif)
        for scale in scales:
            images.check_fits(picture, size, scale, square=is_square(request.network))
    except PictureError:
        return False
    return True
