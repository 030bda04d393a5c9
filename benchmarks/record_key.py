"""What the key of a transfer record holds: everything that decides its numbers.

A record is found again by its key, and whatever changes a number changes the key. Pictures count by
the sizes of their files; none is opened. But a user may have two folders of one name: where most
sizes are those of other pictures, too, as of uncompressed files, what is in the files counts.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.leaks import contents_of
from vggfeat.benchmarks.single_label import ACCURACY
from vggfeat.features.options import VectorOptions
from vggfeat.features.requests import FeatureRequest
from vggfeat.images import picture_bytes
from vggfeat.probes.probe import Probe
from vggfeat.records.record import key_of


def record_key(
    benchmark: Benchmark,
    requests: Sequence[FeatureRequest],
    vectors: VectorOptions,
    probe: Probe,
) -> str:
    """The key of a benchmark's record; requests are those of each net's descriptors."""
    labels = benchmark.labels[benchmark.used_rows]
    file_bytes = [picture_bytes(picture) for picture in benchmark.used.values()]
    return key_of(
        {
            "benchmark": benchmark.name,
            "version": benchmark.version,
            "splits": benchmark.splits_sha256,
            "labels": hashlib.sha256(np.ascontiguousarray(labels)).hexdigest(),
            "pictures": list(benchmark.used),
            "file_bytes": file_bytes,
            **_contents(benchmark, file_bytes),
            "nets": [_conditions(benchmark, request) for request in requests],
            **vectors.key_values(),
            "probe": benchmark.task.settings(probe),
            **_metric(benchmark, probe),
            "protocol": dict(benchmark.protocol),
            "notes": list(benchmark.notes),
            "limited": benchmark.limited,
        }
    )


def _metric(benchmark: Benchmark, probe: Probe) -> dict[str, str]:
    """The headline of a probe without a hyper-parameter; of others the rule of choice states it."""
    has_rule = probe.grid or benchmark.task.metric != ACCURACY
    return {} if has_rule else {"metric": ACCURACY}


def _contents(benchmark: Benchmark, file_bytes: Sequence[int]) -> dict[str, str]:
    """A digest of what is in a user's pictures, where their sizes do not say which they are."""
    if not benchmark.is_own or 2 * len(set(file_bytes)) > len(file_bytes):
        return {}
    contents = contents_of(benchmark.files)
    return {"contents": hashlib.sha256(repr(list(contents.values())).encode()).hexdigest()}


def _conditions(benchmark: Benchmark, request: FeatureRequest) -> dict[str, Any]:
    """What decides a net's vectors. It does not matter in which folder a user's pictures lie."""
    conditions = vars(request.conditions)
    return conditions | {"dataset": benchmark.name} if benchmark.is_own else conditions


def archive_key(key: str, benchmark: Benchmark) -> str:
    """The key of the evaluation server's archive that belongs to the record with this key."""
    submission = benchmark.submission
    return key_of(
        {
            "record": key,
            "pictures": {i: picture_bytes(picture) for i, picture in benchmark.needed.items()},
            "test": [benchmark.ids[row] for row in submission.split.test],
            "listed": hashlib.sha256(submission.listed.tobytes()).hexdigest(),
        }
    )
