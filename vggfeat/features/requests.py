"""Vectors that tasks need, gathered first and extracted once: `FeatureRequest`, `FeatureSets`.

Measurements of one job often need the same vectors, at other scales or for another fusion of nets.
All requests are gathered before the first is answered. At the first use of a feature file it is
completed at every scale that was gathered for it, together with the files of nets that share its
forward pass; later uses read what is there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vggfeat import images
from vggfeat.backbones.network import Network, sharing_forward
from vggfeat.errors import PictureError
from vggfeat.features import store
from vggfeat.features.conditions import conditions
from vggfeat.features.extract import Extracted, extract
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import Head
from vggfeat.features.options import Extraction
from vggfeat.features.views import is_square
from vggfeat.images import Picture
from vggfeat.progress import Progress, no_progress


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
    def source(self) -> tuple:
        """Equal for requests whose vectors lie in one feature file, whatever their scales."""
        return tuple(v for name, v in vars(self.conditions).items() if name != "scales")


class FeatureSets:
    """The feature files of a job in one folder; each picture goes through a net once a scale."""

    def __init__(self, folder: Path, progress: Progress = no_progress):
        self.folder, self.progress = folder, progress
        self._gathered: dict[tuple, dict[tuple, FeatureRequest]] = {}
        # The pictures, so that no other mapping gets their id; the scales; the result.
        self._extracted: dict[tuple, tuple[Mapping[str, Picture], Sequence[int], Extracted]] = {}

    def gather(self, requests: Iterable[FeatureRequest]) -> None:
        """Note requests that will come, before anything is extracted."""
        for request in requests:
            self._gathered.setdefault(request.source, {})[request.options.scales] = request

    def extract(self, request: FeatureRequest) -> Extracted:
        """Complete the request's feature file. Raises what `extract.extract` raises.

        Only the first of equal requests gets the seconds that the extraction took.
        """
        self.gather([request])
        key = _key(request)
        _, scales, earlier = self._extracted.get(key, (None, (), None))
        if not set(scales).issuperset(request.options.scales):
            scales = self._scales(request)
        elif _is_too_large(request, earlier.skipped, scales):
            scales = request.options.scales
        else:
            return replace(earlier, num_new=0, seconds=0.0, scale_seconds={}, stage_seconds={})
        try:
            extracted = self._extract(request, scales)
            is_hindered = _is_too_large(request, extracted.skipped, scales)
        except PictureError:
            is_hindered = _is_too_large(request, request.pictures, scales)
            if not is_hindered:
                raise
        if is_hindered:  # by a scale that only others need
            scales = request.options.scales
            extracted = self._extract(request, scales)
        self._extracted[key] = request.pictures, scales, extracted
        return extracted

    def seconds_per_picture(self, request: FeatureRequest) -> float | None:
        """Seconds of forward passes a picture, at the request's scales together.

        None unless pictures were extracted for it, or for an equal request, by this object.
        """
        *_, extracted = self._extracted.get(_key(request), (None,))
        if not extracted or not extracted.num_new:
            return None
        scales = request.options.scales
        if not all(extracted.scale_seconds.get(scale) for scale in scales):
            return None
        return sum(extracted.scale_seconds[scale] for scale in scales) / extracted.num_new

    def _extract(self, request: FeatureRequest, scales: tuple[int, ...]) -> Extracted:
        return extract(
            request.dataset,
            request.pictures,
            request.network,
            replace(request.options, scales=scales),
            folder=self.folder,
            progress=self.progress,
            head=request.head,
            shared_with=self._shared_with(request),
            may_change=request.may_change,
        )

    def _scales(self, request: FeatureRequest) -> tuple[int, ...]:
        """All scales gathered for the file, in the order of a request that has them all."""
        gathered = self._gathered[request.source]
        union = set().union(*gathered)
        complete = (scales for scales in gathered if set(scales) == union)
        return next(complete, tuple(sorted(union)))

    def _shared_with(self, request: FeatureRequest) -> list[Network]:
        """The other nets of the same pictures that share the request's forward pass."""
        if request.head is not Descriptor:
            return []
        alike = replace(request.options, scales=(1,))
        candidates = [
            gathered.network
            for requests in self._gathered.values()
            for gathered in requests.values()
            if gathered.head is Descriptor
            and gathered.dataset == request.dataset
            and replace(gathered.options, scales=(1,)) == alike
        ]
        return sharing_forward(request.network, candidates)


def _key(request: FeatureRequest) -> tuple:
    """Equal for requests that one extraction answers."""
    return request.source, id(request.pictures)


def _is_too_large(request: FeatureRequest, ids: Iterable[str], scales: Sequence[int]) -> bool:
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
