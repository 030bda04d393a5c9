"""What a record says of a net and the features that it gave, and of the seconds that they took."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from vggfeat.features.extract import Extracted
from vggfeat.features.requests import FeatureRequest


def net_facts(request: FeatureRequest, extracted: Extracted, digest: str) -> dict[str, Any]:
    """What a record says of a net; digest is of the descriptors used, in the examples' order."""
    network = request.network
    return {
        "name": network.name,
        "weights": network.weights,
        "weights_sha256": network.weights_sha256,
        **network.assumed_fact,
        "original": network.original,  # how published rows name these weights, if they do
        "features": {
            "file": extracted.path.name,
            "sha256": digest,
            "dim": network.backbone.dim,
            **vars(request.conditions),
        },
    }


def stage_seconds(extracted: Sequence[Extracted]) -> Counter:
    """Seconds of the extraction by stage, over all nets."""
    seconds = Counter(extract=sum(file.seconds for file in extracted))
    for file in extracted:
        seconds.update(file.stage_seconds)
    return seconds
