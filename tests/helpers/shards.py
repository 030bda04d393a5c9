"""Folders of shards, written without a net."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vggfeat.features import store
from vggfeat.features.shards.folder import Manifest, ShardFolder
from vggfeat.features.shards.index_build import build_index, table_of
from vggfeat.features.shards.shard import ShardMaker
from vggfeat.processes.claims import Claim
from vggfeat.progress import no_progress

CONDITIONS = store.Conditions(
    dataset="listed",
    network="vgg11",
    weights="random:0",
    layer="fc7",
    scales=(32, 48),
    mirror=True,
    mean=(1.0, 2.0, 3.0),
    std=(1.0, 1.0, 1.0),
    decoder="Pillow",
    exif=False,
    resize_filter="bilinear",
    precision="fp32",
    dtype="float32",
)
DIM = 4


def ids_of(part: int, count: int) -> list[str]:
    """The ids of a part."""
    return [f"{part}/{number}" for number in range(count)]


def vectors_of(part: int, count: int) -> np.ndarray:
    """The vectors [count, 2, DIM] of a part."""
    return np.random.default_rng(part).random((count, 2, DIM), np.float32)


def write_shards(
    path: Path, counts: Sequence[int], *, compression: str | None = None, same_ids: bool = False
) -> Path:
    """A folder of shards of so many rows each, with its index."""
    folder = ShardFolder(path)
    manifest = folder.begin(
        Manifest(
            conditions=CONDITIONS,
            weights_name="random:0",
            dim=DIM,
            source="d",
            num_parts=len(counts),
            compression=compression,
            created="2026-01-01T00:00:00+00:00",
        )
    )
    for part, count in enumerate(counts):
        ids = ids_of(0 if same_ids else part, count)
        maker = ShardMaker(folder, manifest, Claim(part))
        with maker.writer(dict.fromkeys(ids, 9)) as writer:
            if ids:
                writer.write(ids, vectors_of(part, count), [(8, 6)] * count, [9] * count)
        maker.finish({})
    build_index(folder, manifest, table_of(folder, len(counts)), no_progress)
    return path
