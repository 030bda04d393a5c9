"""Predictions of `vggfeat plan` beside measurements: seconds and bytes of extractions.

In each round a job's rates are measured and it is predicted; right after that it is run. On a
machine that others use, seconds of the wall differ from minute to minute, so that seconds of the
processor's work, on one core, stand beside them. Several processes are started as --gpus starts
them; the seconds until they compute are those of the same command when nothing is left to do.
"""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.speed.measuring import Row, Setup, SpeedResult, Spread, one_core
from vggfeat.costs.calibration import calibrate
from vggfeat.costs.model import Machines, estimate
from vggfeat.costs.photographs import varied_sizes, write_photographs
from vggfeat.costs.planning import sampled, share_of_threads
from vggfeat.costs.work import work_of
from vggfeat.features.options import Extraction
from vggfeat.prefetch import available_cores
from vggfeat.storage.folders import folders

log = logging.getLogger(__name__)

CALTECH = "101_ObjectCategories"
TIMM = "timm/tf_efficientnet_lite0:mean=127.5/127.5/127.5,std=127.5/127.5/127.5@random:0"
CPU, WALL = "s of one core", "s"
_EXTRACT = """
import json, sys, time
from vggfeat.backbones.load import load_network
from vggfeat.features.extract import extract
from vggfeat.features.options import Extraction
job = json.load(sys.stdin)
options = Extraction(scales=job["scales"], mirror=job["mirror"], device="cpu")
began = time.process_time()
extract("plan", job["pictures"], load_network(job["net"]), options, to=job["to"])
print(time.process_time() - began)
"""


@dataclass(frozen=True)
class Case:
    """An extraction; in several processes it is timed by the wall, alone by a core's work."""

    net: str
    scales: tuple[int, ...]
    num_pictures: int
    mirror: bool = True
    num_processes: int = 0  # 0: one, on one core

    @property
    def name(self) -> str:
        """The case in words."""
        net = self.net.partition("@")[0].partition(":")[0]
        scales = ",".join(map(str, self.scales))
        mirrored = "" if self.mirror else ", no mirror"
        several = f", {self.num_processes} processes" if self.num_processes > 1 else ""
        return f"{net}, {scales}{mirrored}{several}, {self.num_pictures}"


CASES = (
    Case("squeezenet1_0@random:0", (256,), 400),
    Case("squeezenet1_0@random:0", (256,), 400, mirror=False),
    Case("squeezenet1_0@random:0", (256, 384, 512), 100),
    Case(TIMM, (256,), 400),
    Case(TIMM, (256, 384, 512), 100),
    Case("vgg11@random:0", (256,), 60),
    Case("vgg11@random:0", (256, 384, 512), 20),
    Case("squeezenet1_0@random:0", (256,), 1000, num_processes=1),
    Case("squeezenet1_0@random:0", (256,), 1000, num_processes=2),
)


def measure(setup: Setup, *, cases: tuple[Case, ...] = CASES) -> SpeedResult:
    """Predicted and measured seconds and bytes of each case, and their ratio round by round."""
    most = max(case.num_pictures for case in cases)
    pictures, are_real = _pictures(setup.folder, most)
    results: dict[Case, list[tuple[float, float, float]]] = {case: [] for case in cases}
    for number in range(setup.repeats):
        for case in cases:
            log.info("round %d of %d: %s", number + 1, setup.repeats, case.name)
            step = most // case.num_pictures
            some = dict(islice(pictures.items(), 0, step * case.num_pictures, step))
            results[case].append(_round(case, some, setup.folder / f"round-{number}"))
    return SpeedResult(
        settings={
            "pictures": CALTECH if are_real else "generated",
            "cases": [case.name for case in cases],
            "cores": available_cores(),
        },
        rows=[row for case, rounds in results.items() for row in _rows(case, rounds)],
        notes=[
            "The quantity of a ratio is predicted over measured: 1 is right, 2 is twice as long."
        ],
    )


def _pictures(folder: Path, count: int) -> tuple[Mapping[str, Path], bool]:
    """Pictures of Caltech-101 where it is at hand, evenly chosen, else generated ones."""
    found = sorted((folders().data / CALTECH).glob("*/*.jpg"))
    if len(found) < count:
        sizes = varied_sizes(count, seed=0)
        return write_photographs(folder / "pictures", count, sizes=sizes), False
    step = len(found) / count
    return {str(n): found[int(n * step)] for n in range(count)}, True


def _round(case: Case, pictures: Mapping[str, Path], folder: Path) -> tuple[float, float, float]:
    """Predicted seconds, measured ones, and predicted bytes over those of the file."""
    options = Extraction(scales=case.scales, mirror=case.mirror, device="cpu")
    network = load_network(case.net)
    alone = case.num_processes == 0
    clock: Callable[[], float] = time.process_time if alone else time.perf_counter
    number = max(1, case.num_processes)
    folder.mkdir(exist_ok=True)
    sizes, lengths = sampled(pictures, most=len(pictures))
    with one_core() if alone else nullcontext():
        with share_of_threads(number):
            rates = calibrate(
                network, options, sizes, pictures=pictures, folder=folder, clock=clock
            )
        work = work_of(network, options, sizes, float(np.mean(lengths)))
        machines = Machines(
            num_devices=number, cores=rates.cores, is_cpu=True,
            forward_s=rates.forward_s(work), start_s=rates.start_s,
        )  # fmt: skip
        planned = estimate(
            len(pictures), work, machines, rates.loading, rates.disk, is_sharded=False
        )
        if alone:
            path = folder / f"{network.slug}-{len(case.scales)}-{case.mirror}.h5"
            measured = _alone(case, pictures, path)
        else:
            measured, path = _in_processes(case, pictures, folder)
    return planned.seconds, measured, planned.file_bytes / path.stat().st_size


def _alone(case: Case, pictures: Mapping[str, Path], path: Path) -> float:
    """Seconds that a process of its own works, which has no kernels yet for any shape."""
    job = {
        "net": case.net, "scales": case.scales, "mirror": case.mirror, "to": str(path),
        "pictures": {picture_id: str(file) for picture_id, file in pictures.items()},
    }  # fmt: skip
    process = subprocess.run(
        [sys.executable, "-c", _EXTRACT],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return float(process.stdout)


def _in_processes(case: Case, pictures: Mapping[str, Path], folder: Path) -> tuple[float, Path]:
    """Seconds of `vggfeat extract`, without those that it takes when all is there."""
    links = folder / f"links-{case.num_processes}"
    links.mkdir()
    for picture_id, path in pictures.items():
        (links / f"{picture_id}.jpg").symlink_to(path)
    to = folder / f"{case.num_processes}.h5"
    command = [
        sys.executable, "-m", "vggfeat", "extract", "--images", str(links), "--to", str(to),
        "--net", case.net, "--scales", ",".join(map(str, case.scales)), "--device", "cpu",
        "--mirror" if case.mirror else "--no-mirror", "--quiet",
    ]  # fmt: skip
    if case.num_processes > 1:
        command += ["--gpus", str(case.num_processes)]
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
        seconds.append(time.perf_counter() - began)
    return seconds[0] - seconds[1], to


def _rows(case: Case, rounds: list[tuple[float, float, float]]) -> list[Row]:
    predicted, measured, sizes = np.array(rounds).T
    unit = WALL if case.num_processes else CPU
    return [
        Row(contender=case.name, quantity=quantity, device="cpu", value=Spread.of(values))
        for quantity, values in (
            (f"{unit}, predicted", predicted),
            (f"{unit}, measured", measured),
            ("seconds, predicted / measured", predicted / measured),
            ("bytes, predicted / measured", sizes),
        )
    ]
