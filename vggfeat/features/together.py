"""Requests for vectors that several processes answer together, one after the other: `Together`.

The leading process says which of its requests lack something, and what; the others find the same
pictures and nets among theirs.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from vggfeat.backbones.network import Network
from vggfeat.errors import StoreError
from vggfeat.features import part_files, store
from vggfeat.features.conditions import conditions
from vggfeat.features.extract import Extracted
from vggfeat.features.incomplete import Incomplete, incomplete
from vggfeat.features.parallel import Shared, SharedExtraction
from vggfeat.features.part_plan import planned
from vggfeat.features.request import FeatureRequest, at_scales
from vggfeat.images import Picture
from vggfeat.processes.meeting import StoreLost
from vggfeat.processes.workers import WorkerFailed, Workers
from vggfeat.progress import Progress

log = logging.getLogger(__name__)


class Together:
    """One round of requests; all processes must come to the same rounds in the same order."""

    def __init__(self, workers: Workers, progress: Progress):
        self.workers, self.progress = workers, progress
        self._name = workers.numbered("features")
        self._jobs = (f"{self._name}/{number}" for number in count())
        self._job = next(self._jobs)

    def lead(
        self,
        requests: Sequence[FeatureRequest],
        scales_of: Callable[[FeatureRequest], tuple[int, ...]],
        arguments: Callable[[FeatureRequest, tuple[int, ...]], dict[str, Any]],
    ) -> dict[tuple, tuple[Mapping[str, Picture], Shared]]:
        """Have all processes extract what the requests lack at scales_of each; what that was.

        arguments are of `extract`. The result is by `FeatureRequest.key`, with the pictures, so
        that no others get their id. What cannot be done is left to whoever extracts next.
        """
        shared_of: dict[tuple, tuple[Mapping[str, Picture], Shared]] = {}
        scales_done: dict[tuple, tuple[int, ...]] = {}
        for request in requests:
            if set(scales_done.get(request.key, ())).issuperset(request.options.scales):
                continue
            try:
                scales, shared = at_scales(
                    request, scales_of(request), lambda *asked: self._share(arguments, *asked)
                )
            except (WorkerFailed, StoreLost):
                raise
            except Exception as error:
                log.debug("not extracted together: %s", error)
                continue
            scales_done[request.key] = scales
            shared_of[request.key] = request.pictures, shared
        self.workers.announce(self._job, None)
        return shared_of

    def _share(
        self,
        arguments: Callable[[FeatureRequest, tuple[int, ...]], dict[str, Any]],
        request: FeatureRequest,
        scales: tuple[int, ...],
    ) -> Shared:
        """Lead all processes in extracting what a request lacks at these scales, if anything."""
        _, lack = incomplete(**arguments(request, scales))
        if lack is None:
            return Shared()
        plan = planned(lack, self.workers.size)
        if not plan.parts:
            return Shared(skipped=plan.skipped)
        # Before the others hear of it, who would wait if this went wrong.
        for path in lack.files:
            part_files.folder_of(path).mkdir(parents=True, exist_ok=True)
        files = {path.name: of_source(wanted) for path, (_, wanted) in lack.files.items()}
        asked = {
            "request": digest_of(request),
            "scales": scales,
            "files": files,
            "batch_pixels": plan.batch_pixels,
            "num_parts": len(plan.parts),
        }
        job, self._job = self._job, next(self._jobs)
        self.workers.announce(job, asked)
        return SharedExtraction(
            self.workers, job, lack, batch_pixels=plan.batch_pixels, num_parts=len(plan.parts),
            progress=self.progress,
        ).lead(plan)  # fmt: skip

    def follow(
        self,
        requests: Sequence[FeatureRequest],
        networks: Mapping[str, Network],
        path_of: Callable[[str], Path],
    ) -> None:
        """Extract what the leading process asks for, until it says that this was all.

        networks are by `of_source` of their requests; path_of finds a feature file by its name.
        Raises StoreError where the leading process has other pictures or nets.
        """
        known = {digest_of(request): request for request in requests}
        while (asked := self.workers.wait_for(self._job)) is not None:
            request = known.get(asked["request"])
            if request is None or not networks.keys() >= set(asked["files"].values()):
                raise StoreError(
                    "the leading process extracts pictures or nets that are others here. All"
                    " machines need the same data, weights and command."
                )
            lack = _as_asked(request, asked, networks, path_of)
            SharedExtraction(
                self.workers, self._job, lack, batch_pixels=asked["batch_pixels"],
                num_parts=asked["num_parts"],
            ).follow()  # fmt: skip
            self._job = next(self._jobs)


def _as_asked(
    request: FeatureRequest,
    asked: Mapping[str, Any],
    networks: Mapping[str, Network],
    path_of: Callable[[str], Path],
) -> Incomplete:
    """What the leading process found missing, as far as the others need it."""
    options = replace(request.options, scales=tuple(asked["scales"]))
    files = {}
    for name, source in asked["files"].items():
        network = networks[source]
        wanted = conditions(request.dataset, network, options, request.head)
        files[path_of(name)] = network, wanted
    return Incomplete(
        network=request.network,
        pictures=request.pictures,
        options=options,
        head=request.head,
        folder=None,
        file_bytes={},  # of each part's pictures when it is done
        changeable=request.pictures if request.may_change else {},
        files=files,
    )


def with_shared(extracted: Extracted, shared: Shared) -> Extracted:
    """The result of an extraction that merged what several processes had extracted."""
    if not shared.num_new:
        return extracted
    of_each = extracted.num_new / shared.num_new  # more where an earlier run left parts
    scales = {scale: seconds * of_each for scale, seconds in shared.scale_seconds.items()}
    return replace(
        extracted,
        seconds=extracted.seconds + shared.seconds,
        scale_seconds=scales,
        stage_seconds=dict(Counter(extracted.stage_seconds) + Counter(shared.stage_seconds)),
    )


def of_source(wanted: store.Conditions) -> str:
    """Equal for conditions that differ in scales only."""
    return replace(wanted, scales=()).digest()


def digest_of(request: FeatureRequest) -> str:
    """Equal for requests of the same pictures in the same order under conditions of one source."""
    ids = hashlib.sha256(json.dumps(list(request.pictures)).encode()).hexdigest()
    return f"{of_source(request.conditions)}-{ids[:16]}"
