"""Rates of this machine, measured in some 20 seconds: the net, decoding, and the disk.

The net is timed by forward_calibration.py; decoding on some of the user's pictures, or on generated
photographs, by the extraction's own loader; the disk by a file of 64 MB or more, and by rows of a
feature file.
"""

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vggfeat.backbones.network import Network
from vggfeat.busy_cores import busy_cores
from vggfeat.costs.forward_calibration import Clock, forward_rates
from vggfeat.costs.photographs import write_photographs
from vggfeat.costs.rates import DiskRate, LoadingRate, Rates
from vggfeat.costs.work import BYTES_OF, PictureWork
from vggfeat.features import store
from vggfeat.features.batches import plan_batches
from vggfeat.features.conditions import conditions
from vggfeat.features.device import device_for
from vggfeat.features.options import Extraction
from vggfeat.features.picture_loader import PictureLoader
from vggfeat.features.stage_times import StageTimes
from vggfeat.features.views import is_square
from vggfeat.images import Picture, rescaled_size
from vggfeat.plurals import counted
from vggfeat.prefetch import available_cores
from vggfeat.provenance import hardware, library_versions
from vggfeat.storage.folders import existing

LOADING_S, DISK_S = 4.0, 2.0  # of the 20; the net takes most of them
NUM_PICTURES = 64  # that are decoded, again and again
MOST_DRAWN = 2**22  # pixels of a generated one, of which there are many; rates are per megapixel
CHUNK, MOST_CHUNKS = 2**23, 64  # bytes of the file by which the disk is measured
ROWS_TOGETHER, STORED_BYTES = 8, 2**26


def machine_text(device: str) -> str:
    """This machine as plans name it: "AMD EPYC, 2 cores"."""
    facts = hardware(device)
    processor = f"{facts['cpu']}, {counted(available_cores(), 'core')}"
    return f"{facts['gpu']}, {processor}" if "gpu" in facts else processor


def calibrate(
    network: Network,
    options: Extraction,
    sizes: Sequence[tuple[int, int]],
    *,
    pictures: Mapping[str, Picture] | None = None,
    folder: Path,
    clock: Clock = time.monotonic,
) -> Rates:
    """The rates of this machine for a net, at the scales of the options.

    sizes are (width, height) of pictures of the job, or one that all have; pictures are some that
    shall be decoded, generated photographs where there are none. The disk is that of `folder`.
    """
    device = options.resolved_device
    with TemporaryDirectory(prefix="vggfeat-plan-", dir=existing(folder)) as scratch:
        what = "the first pictures of the job" if pictures else "generated photographs"
        if not pictures:
            pictures = write_photographs(
                Path(scratch) / "photographs",
                NUM_PICTURES // 2,
                sizes=tuple(map(_drawn, sizes)),
            )
        busy = busy_cores()
        forward, start_s = forward_rates(network, options, sizes, clock=clock)
        return Rates(
            machine=machine_text(device),
            cores=available_cores(),
            device=device,
            precision=options.resolved_precision,
            net=network.name,
            mirror=options.mirror,
            forward=forward,
            start_s=start_s,
            loading=loading_rate(network, options, pictures, clock=clock),
            pictures=what,
            disk=disk_rate(network, options, Path(scratch), clock=clock),
            source="here just now",
            busy_cores=busy,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _drawn(size: tuple[int, int]) -> tuple[int, int]:
    """The (width, height) in which a photograph is generated: not larger than MOST_DRAWN pixels."""
    by = max(1.0, math.sqrt(size[0] * size[1] / MOST_DRAWN))
    return max(1, round(size[0] / by)), max(1, round(size[1] / by))


def loading_rate(
    network: Network,
    options: Extraction,
    pictures: Mapping[str, Picture],
    *,
    clock: Clock = time.monotonic,
    seconds: float | None = None,
) -> LoadingRate:
    """What a core takes to decode and to rescale, by the loader of an extraction on all cores."""
    pictures = dict(islice(pictures.items(), NUM_PICTURES))
    square, scales, cores = is_square(network), options.scales, available_cores()
    times, wall = StageTimes(), 0.0
    seconds = LOADING_S if seconds is None else seconds
    source_mp = rescaled_mp = 0.0
    num_rounds = 0
    while num_rounds == 0 or wall < seconds:
        loader = PictureLoader(pictures, options, times, device_for("cpu"), square=square)
        sizes = loader.sizes()
        began = clock()
        for _ in loader.loaded(plan_batches(sizes, scales, 1, square=square)):
            pass
        elapsed = clock() - began
        num_rounds += 1
        if num_rounds == 1 and elapsed < seconds:  # the first warms up
            times = StageTimes()
            continue
        wall += elapsed
        source_mp += sum(w * h for w, h in sizes.values()) / 1e6
        rescaled_mp += (
            sum(
                w * h
                for size in sizes.values()
                for scale in scales
                for w, h in [rescaled_size(size, scale, square=square)]
            )
            / 1e6
        )
    summed = times.seconds["decode"] + times.seconds["prepare"]
    share = times.seconds["decode"] / summed if summed else 1.0
    return LoadingRate(
        decode_mp_s=share * wall * cores / max(source_mp, 1e-9),
        prepare_mp_s=(1 - share) * wall * cores / max(rescaled_mp, 1e-9),
    )


def disk_rate(
    network: Network, options: Extraction, folder: Path, *, clock: Clock = time.monotonic
) -> DiskRate:
    """Bytes a second of the disk of a folder, and what storing a row of a feature file takes."""
    path = folder / "scratch"
    block = np.random.default_rng(0).bytes(CHUNK)
    began, count = clock(), 0
    with open(path, "wb") as file:
        while count < 8 or (count < MOST_CHUNKS and clock() - began < DISK_S / 3):
            file.write(block)
            count += 1
        file.flush()
        os.fsync(file.fileno())
        write_s = clock() - began
        if hasattr(os, "posix_fadvise"):  # else it is memory that is read
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = clock()
    with open(path, "rb", buffering=0) as file:
        while file.read(CHUNK):
            pass
    read_s = clock() - began
    path.unlink()
    work = PictureWork(
        0, 0, (), len(options.scales) * network.backbone.dim * BYTES_OF[options.dtype]
    )
    return DiskRate(
        read_bytes_s=count * CHUNK / max(read_s, 1e-9),
        write_bytes_s=count * CHUNK / max(write_s, 1e-9),
        row_s=_row_seconds(network, options, folder, work.row_bytes, clock),
        row_bytes=work.row_bytes,
    )


def _row_seconds(
    network: Network, options: Extraction, folder: Path, row_bytes: int, clock: Clock
) -> float:
    """Seconds of the storing thread for a row of a feature file."""
    shape = (ROWS_TOGETHER, len(options.scales), network.backbone.dim)
    num_rows = ROWS_TOGETHER * min(512, max(8, STORED_BYTES // row_bytes // ROWS_TOGETHER))
    ids = [str(number) for number in range(num_rows)]
    random = np.random.default_rng(0).standard_normal(shape).astype(options.dtype)
    sizes, lengths = [(1, 1)] * ROWS_TOGETHER, [1] * ROWS_TOGETHER
    with store.FeatureWriter(
        folder / "rows.h5",
        replace(conditions("plan", network, options), weights="any"),
        dim=network.backbone.dim,
        file_bytes=dict.fromkeys(ids, 1),
        weights_name="any",
        versions=library_versions(),
    ) as writer:
        began = clock()
        for start in range(0, len(ids), ROWS_TOGETHER):
            writer.write(ids[start : start + ROWS_TOGETHER], random, sizes, lengths)
        writer.commit()
        return (clock() - began) / len(ids)
