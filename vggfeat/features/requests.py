"""Vectors that tasks need, gathered first and extracted once: `FeatureSets`.

Measurements of one job often need the same vectors, at other scales or for another fusion of nets.
All requests are gathered before the first is answered. At the first use of a feature file it is
completed at every scale that was gathered for it, together with the files of nets that share its
forward pass; later uses read what is there. Where several processes share the work they extract
first what the leading one finds missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vggfeat.backbones.network import Network, sharing_forward
from vggfeat.features.extract import Extracted, extract
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.parallel import Shared
from vggfeat.features.request import FeatureRequest, at_scales, is_too_large
from vggfeat.features.together import Together, of_source, with_shared
from vggfeat.images import Picture
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress, no_progress


class FeatureSets:
    """The feature files of a job in one folder; each picture goes through a net once a scale."""

    def __init__(
        self,
        folder: Path | None,
        progress: Progress = no_progress,
        workers: Workers = ALONE,
        *,
        to: Path | None = None,  # the one file that all goes into, instead of a folder
    ):
        self.folder, self.to, self.progress, self.workers = folder, to, progress, workers
        self._gathered: dict[tuple, dict[tuple, FeatureRequest]] = {}
        # The pictures, so that no other mapping gets their id; the scales; the result.
        self._extracted: dict[tuple, tuple[Mapping[str, Picture], Sequence[int], Extracted]] = {}
        # What all processes have extracted together.
        self._shared: dict[tuple, tuple[Mapping[str, Picture], Shared]] = {}

    def gather(self, requests: Iterable[FeatureRequest]) -> None:
        """Note requests that will come, before anything is extracted."""
        for request in requests:
            self._gathered.setdefault(request.source, {})[request.options.scales] = request

    def extract(self, request: FeatureRequest) -> Extracted:
        """Complete the request's feature file. Raises what `extract.extract` raises.

        Only the first of equal requests gets the seconds that the extraction took.
        """
        self.gather([request])
        key = request.key
        _, scales, earlier = self._extracted.get(key, (None, (), None))
        if not set(scales).issuperset(request.options.scales):
            scales = self._scales(request)
        elif is_too_large(request, earlier.skipped, scales):
            scales = request.options.scales
        else:
            return replace(earlier, num_new=0, seconds=0.0, scale_seconds={}, stage_seconds={})
        scales, extracted = at_scales(request, scales, self._extract)
        if key in self._shared:
            extracted = with_shared(extracted, self._shared.pop(key)[-1])
        self._extracted[key] = request.pictures, scales, extracted
        return extracted

    def extract_together(self, requests: Sequence[FeatureRequest]) -> None:
        """Have all processes extract what these requests lack, in this order.

        The leading process decides what that is, of the requests that it has; the others need those
        and may have more. What cannot be done is left for `extract` to do or to fail at. Returns in
        each process when it has nothing more to do. Raises WorkerFailed if another process failed.
        """
        if self.workers.size == 1:
            return
        self.gather(requests)
        together = Together(self.workers, self.progress)
        if self.workers.leads:
            self._shared |= together.lead(requests, self._scales, self._arguments)
            return
        networks = {
            of_source(gathered.conditions): gathered.network
            for of_file in self._gathered.values()
            for gathered in of_file.values()
        }
        together.follow(requests, networks, lambda name: self.to or self.folder / name)

    def seconds_per_picture(self, request: FeatureRequest) -> float | None:
        """Seconds of forward passes a picture, at the request's scales together.

        None unless pictures were extracted for it, or for an equal request, by this object.
        """
        *_, extracted = self._extracted.get(request.key, (None,))
        if not extracted or not extracted.num_new:
            return None
        scales = request.options.scales
        if not all(extracted.scale_seconds.get(scale) for scale in scales):
            return None
        return sum(extracted.scale_seconds[scale] for scale in scales) / extracted.num_new

    def _extract(self, request: FeatureRequest, scales: tuple[int, ...]) -> Extracted:
        return extract(**self._arguments(request, scales), progress=self.progress)

    def _arguments(self, request: FeatureRequest, scales: tuple[int, ...]) -> dict[str, Any]:
        """What `extract` and `incomplete` take for a request at these scales."""
        return dict(
            dataset=request.dataset,
            pictures=request.pictures,
            network=request.network,
            options=replace(request.options, scales=scales),
            folder=self.folder,
            to=self.to,
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
