"""The chain behind a record: weights, pictures and splits, descriptors, and a sample of them anew.

The key of a record is a digest of all that decides its numbers. So the measurements that its
command asks for are planned again from what is here now: one with the record's key proves that
splits, labels, sizes of pictures, weights and settings are those of the record.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vggfeat import images
from vggfeat.benchmarks.precomputed import PrecomputedMeasurement
from vggfeat.benchmarks.probing import ProbeMeasurement
from vggfeat.benchmarks.runner import Measurement
from vggfeat.benchmarks.transfer import TransferMeasurement
from vggfeat.benchmarks.verify import Finding
from vggfeat.features import store
from vggfeat.features.extract import Extracted, extract
from vggfeat.features.requests import FeatureRequest
from vggfeat.plurals import counted
from vggfeat.records.record import Record

NUM_SAMPLED = 5  # pictures of each feature file, evenly spread
# Of the largest value: a batch cut otherwise sums in another order, in bf16 with 8 bits.
TOLERANCE = {"fp32": 1e-3, "bf16": 3e-2}


def planned(measurements: Sequence[Measurement], record: Record) -> Measurement | None:
    """The measurement that has the record's key; None if there is none."""
    return next((m for m in measurements if m.key == record.key), None)


def unplanned(record: Record, measurements: Sequence[Measurement], path: Path) -> Finding:
    """What differs where no measurement has the record's key."""
    transfer = [m for m in measurements if isinstance(m, TransferMeasurement)]
    probed = [m for m in measurements if isinstance(m, ProbeMeasurement)]
    splits = {m.benchmark.splits_sha256 for m in probed}
    weights = {n.weights_identity for m in transfer for n in m.networks}
    reasons = []
    if probed and record.splits_sha256 not in splits:
        reasons.append("its splits are others")
    for net in record.nets:
        digest = net.get("weights_sha256")
        if transfer and digest and not any(digest in identity for identity in weights):
            reasons.append(f"the weights of {net['name']} are others")
    elsewhere = {m.sha256 for m in measurements if isinstance(m, PrecomputedMeasurement)}
    if elsewhere and record.nets[0]["features"]["sha256"] not in elsewhere:
        reasons.append("its features are others")
    reason = " and ".join(reasons) or "pictures, weights or settings are others"
    return Finding(path, "damaged", f"its command measures something else now: {reason}")


def feature_findings(record: Record, measurement: Measurement, folder: Path) -> Iterator[Finding]:
    """What is to be said of the feature files that a record was made from."""
    files = []
    for request in measurement.requests():
        pictures = {i: p for i, p in request.pictures.items() if i not in record.skipped}
        lengths = {i: images.picture_bytes(picture) for i, picture in pictures.items()}
        stem = f"{request.dataset}-{request.network.slug}"
        path, is_complete = store.find(folder, stem, request.conditions, lengths)
        if not is_complete:
            damaged = store.inspect(path).damaged if path.is_file() else []
            if damaged:
                rows = counted(len(damaged), "row is", "rows are")
                text = f"{rows} not as written, {damaged[0]!r} among them"
                yield Finding(path, "damaged", text)
            else:
                yield Finding(path, "not checked", "not there, or not complete")
            continue
        files.append(path)
        yield from _of_file(path, request, pictures)
    requests = measurement.requests()
    if isinstance(measurement, TransferMeasurement) and len(files) == len(requests):
        told = [net["features"]["sha256"] for net in record.nets]
        found = measurement.digests([Extracted(path) for path in files], record.skipped)
        for path, before, now in zip(files, told, found, strict=True):
            same = "the descriptors are those of the record"
            other = "its descriptors are not those that the record was made from"
            yield Finding(path, "sound", same) if now == before else Finding(path, "damaged", other)


def _of_file(
    path: Path, request: FeatureRequest, pictures: Mapping[str, images.Picture]
) -> Iterator[Finding]:
    """Pictures that changed since, and a sample of the rows computed again."""
    digests = store.picture_digests(path, list(pictures))
    changed = [i for i, digest in digests.items() if digest != images.digest(pictures[i])]
    if changed:
        others = counted(len(changed), "picture is another", "pictures are others")
        yield Finding(path, "damaged", f"{others} now, {changed[0]!r} among them")
    ids = [i for i in pictures if i not in changed]
    ids = [ids[n] for n in np.linspace(0, len(ids) - 1, min(NUM_SAMPLED, len(ids)), dtype=int)]
    if not ids:
        return
    with tempfile.TemporaryDirectory() as folder:
        again = extract(
            request.dataset,
            {i: pictures[i] for i in ids},
            request.network,
            replace(request.options, on_error="stop"),
            folder=Path(folder),
            head=request.head,
        )
        new = store.read(again.path, ids, request.options.scales)
    old = store.read(path, ids, request.options.scales)
    difference = np.abs(new - old).max() / max(np.abs(old).max(), 1e-30)
    rows = counted(len(ids), "row computed again differs", "rows computed again differ")
    what = f"{rows} by {difference:.1e} of the largest value"
    limit = TOLERANCE.get(request.conditions.precision, max(TOLERANCE.values()))
    yield Finding(path, "sound" if difference <= limit else "damaged", what)
