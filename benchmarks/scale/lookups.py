"""How a folder of shards is indexed and looked into: seconds, and the memory that it takes."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import vggfeat
from vggfeat.benchmarks.scale.numbered_pictures import key_of
from vggfeat.benchmarks.scale.process_memory import memory_of
from vggfeat.errors import VggfeatError
from vggfeat.features.shards.folder import ShardFolder
from vggfeat.features.shards.index_build import build_index, table_of
from vggfeat.progress import no_progress

ONE_BY_ONE, AT_ONCE, BLOCK = 500, 10_000, 10_000  # ids, ids, rows


def measure(folder: Path, num_pictures: int) -> dict[str, Any]:
    """Build the index of the shards anew, and look into it, in a process of its own."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as pool:
        return pool.submit(_measure, folder, num_pictures).result()


def _measure(folder: Path, num_pictures: int) -> dict[str, Any]:
    shards = ShardFolder(folder)
    manifest, before = shards.manifest(), memory_of(os.getpid()).rss
    began = time.perf_counter()
    build_index(shards, manifest, table_of(shards, manifest.num_parts), no_progress)
    facts = {"index_built_s": time.perf_counter() - began}
    facts["index_bytes"] = shards.index_path.stat().st_size
    facts["index_built_mib"] = memory_of(os.getpid()).rss - before

    numbers = np.random.default_rng(0).choice(num_pictures, min(AT_ONCE, num_pictures), False)
    ids = [key_of(number) for number in numbers]
    began = time.perf_counter()
    with vggfeat.open_features(folder) as features:
        features.read_ids(ids[:1])
        facts["opened_s"] = time.perf_counter() - began
        seconds = []
        for i in ids[1 : 1 + ONE_BY_ONE]:
            began = time.perf_counter()
            features.read_ids([i])
            seconds.append(time.perf_counter() - began)
        facts["one_id_s"] = median(seconds)
        began = time.perf_counter()
        vectors = features.read_ids(ids)
        facts["ids_a_second"] = len(ids) / (time.perf_counter() - began)
        began = time.perf_counter()
        for place, block in features.blocks(BLOCK):
            here = (numbers >= place.start) & (numbers < place.stop)
            # Keys ascend with the rows, so that both ways must lead to the same vectors.
            if not np.array_equal(block[numbers[here] - place.start], vectors[here]):
                raise VggfeatError(f"{folder}: rows {place} are others by id than by range")
        facts["rows_a_second"] = len(features) / (time.perf_counter() - began)
    facts["looked_up_mib"] = memory_of(os.getpid()).rss - before
    return {name: float(f"{value:.4g}") for name, value in facts.items()}
