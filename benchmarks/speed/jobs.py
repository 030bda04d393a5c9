"""Whole jobs: seconds from pictures to number, and from stored features to number.

Every contender is a process of its own, imports included. The folder, the net and the Python of an
environment that has visbench are named by variables of the environment; without them the pictures
are generated, the net has random weights, and visbench is left out:

    VGGFEAT_JOB_PICTURES=caltech-102 VGGFEAT_JOB_NET=timm/tf_efficientnet_lite0@FILE.safetensors \
        VGGFEAT_VISBENCH_PYTHON=venv/bin/python vggfeat bench-speed jobs
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from shutil import copytree
from typing import Any

from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import parse_fusion
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.samples import sample_ids
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Row,
    Setup,
    SpeedResult,
    Spread,
    Timings,
    time_interleaved,
)
from vggfeat.costs.photographs import write_photographs
from vggfeat.errors import VggfeatError
from vggfeat.layouts.options import DataOptions
from vggfeat.records.record import read_all
from vggfeat.storage.folders import Folders

PICTURES = "VGGFEAT_JOB_PICTURES"  # names a variable of the environment
NET = "mobilenet_v2@random:0"
NUM_CLASSES, PER_CLASS = 4, 24  # of generated pictures
SCALE = 256
FASTER = Goal(4, of="ratio")
MOST_ROUNDS = 2
OURS = "vggfeat"
CROPPED = "vggfeat, centre crop"
HERE = Path(__file__).parent
NOTES = [
    f"vggfeat: whole pictures at {SCALE}, no mirror images, bf16 where `auto` chooses it, SVM whose"
    " C is chosen on the validation pictures. Its centre crop is what the others see.",
    "the usual script (benchmarks/speed/usual_job.py): centre crop of 224 at 256, DataLoader with"
    " two workers, fp32, batches of 64, LinearSVC whose C is chosen on the validation pictures.",
    "visbench (benchmarks/speed/visbench_job.py): centre crop of 224 at 256, fp32, a linear layer"
    " trained for 200 epochs, nothing chosen.",
    "All take the same split of the same folder. Each time is of a whole process.",
]


@dataclass
class Job:
    """A folder of class folders and a net, and where each contender keeps its store."""

    pictures: Path
    net: str
    scratch: Path
    numbers: dict[str, float] = field(default_factory=dict)  # contender -> mean class recall
    runs: Iterator[int] = field(default_factory=count)
    plan: dict[str, Any] = field(default_factory=dict)  # what the scripts take

    def start(self, name: str, command: list[str]) -> None:
        """Run a contender's process until its end. Raises VggfeatError where it fails."""
        environment = {**os.environ, "VGGFEAT_HOME": str(self.scratch / "home")}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.scratch, env=environment
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise VggfeatError(
                f"{name}: ended with status {done.returncode}: {reason}. What it runs in is named"
                " by VGGFEAT_VISBENCH_PYTHON, what on by VGGFEAT_JOB_PICTURES and VGGFEAT_JOB_NET."
            )

    def ours(self, name: str, store: Path, view: str) -> None:
        """`vggfeat bench` with this feature store and no record."""
        net, at, weights = self.net.partition("@")
        if view:
            net += ("," if ":" in net else ":") + f"view={view}"
        out = self.scratch / f"records-{next(self.runs)}"
        arguments = ["bench", str(self.pictures), "--net", f"{net}{at}{weights}", "--splits", "1"]
        arguments += ["--scales", str(SCALE), "--no-mirror", "--quiet", "--offline"]
        arguments += ["--cache-dir", str(store), "--out", str(out)]
        self.start(name, [sys.executable, "-m", "vggfeat", *arguments])
        (record,) = read_all(out)
        self.numbers[name] = record.metrics["mean_class_recall"]["per_split"][0]

    def theirs(self, name: str, store: Path, python: str, script: str) -> None:
        """A script with this store."""
        store.mkdir(exist_ok=True)
        plan, answer = store / "job.json", store / f"answer-{next(self.runs)}.json"
        plan.write_text(json.dumps(self.plan | {"scratch": str(store)}))
        self.start(name, [python, "-P", str(HERE / script), str(plan), str(answer)])
        self.numbers[name] = json.loads(answer.read_text())["mean_class_recall"]

    def prepare(self) -> None:
        """Plan what the scripts take: the net, and the pictures of vggfeat's first split."""
        places = Folders(self.scratch, self.scratch)
        benchmark = load_benchmark(self.pictures, options=DataOptions(num_splits=1), places=places)
        (ids,) = sample_ids(benchmark)
        network = load_network(self.net)
        ((spec,),) = [parse_fusion(self.net)]
        path = network.weights_path
        self.plan = {
            "net": spec.name,
            "weights": str(path.resolve()) if path else None,
            "mean": network.statistics.mean,
            "std": network.statistics.std,
            "dim": network.backbone.dim,
        } | {
            part: [[str(benchmark.pictures[i]), i.split("/")[0]] for i in getattr(ids, part)]
            for part in ids._fields
        }


def measure(setup: Setup, *, net: str = "", per_class: int = PER_CLASS) -> SpeedResult:
    """Seconds of whole processes beside peers, and the mean class recall that each comes to."""
    pictures = _pictures(setup.folder / "pictures", per_class)
    chosen = net or os.environ.get("VGGFEAT_JOB_NET") or NET
    spelled, at, weights = chosen.partition("@")
    if Path(weights).is_file():
        chosen = f"{spelled}{at}{Path(weights).resolve()}"
    job = Job(pictures, chosen, setup.folder)
    job.prepare()
    runs = _runs(job)
    rounds = min(setup.repeats, MOST_ROUNDS)
    begun = count()

    def from_pictures(name: str, run: Callable[[str, Path], None]) -> Contender:
        store = setup.folder / f"store-{name.replace(' ', '_')}"
        return Contender(name, lambda: run(name, Path(f"{store}-{next(begun)}")), 1, "jobs/s")

    def from_stored(name: str, run: Callable[[str, Path], None]) -> Contender:
        kept = setup.folder / f"kept-{name.replace(' ', '_')}"
        return Contender(name, lambda: run(name, kept), 1, "jobs/s")

    whole = time_interleaved([from_pictures(*item) for item in runs.items()], rounds, warm_up=False)
    for name in runs:  # its last store
        last = max(setup.folder.glob(f"store-{name.replace(' ', '_')}-*"), key=os.path.getmtime)
        copytree(last, setup.folder / f"kept-{name.replace(' ', '_')}", symlinks=True)
    # visbench and vggfeat find their features again; the first round is theirs to look.
    stored = time_interleaved([from_stored(*item) for item in runs.items()], rounds)
    rows = [
        *_rows(whole, "from pictures to number, s"),
        *_rows(stored, "from stored features to number, s"),
        *(_number(name, job.numbers[name]) for name in runs),
    ]
    settings = {
        "pictures": Path(os.environ.get(PICTURES, "generated")).name,
        "net": f"{spelled}{at}{Path(weights).name}",
        "train": len(job.plan["train"]),
        "validation": len(job.plan["validation"]),
        "test": len(job.plan["test"]),
        "scale": SCALE,
        "rounds": rounds,
    }
    return SpeedResult(settings=settings, rows=rows, notes=NOTES)


def _pictures(generated: Path, per_class: int) -> Path:
    """The folder of class folders that the environment names, else a generated one."""
    if given := os.environ.get(PICTURES):
        return Path(given).resolve()
    written = write_photographs(generated, NUM_CLASSES * per_class)
    for number, path in enumerate(written.values()):
        folder = generated / f"class{number % NUM_CLASSES}"
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    return generated


def _runs(job: Job) -> dict[str, Callable[[str, Path], None]]:
    """The contenders, by name: each takes its name and the folder of its store."""
    runs = {
        OURS: lambda name, store: job.ours(name, store, ""),
        CROPPED: lambda name, store: job.ours(name, store, "centre"),
        "the usual script": lambda name, store: job.theirs(
            name, store, sys.executable, "usual_job.py"
        ),
    }
    if python := os.environ.get("VGGFEAT_VISBENCH_PYTHON"):
        python = os.path.abspath(python)
        runs["visbench"] = lambda name, store: job.theirs(name, store, python, "visbench_job.py")
    return runs


def _rows(timings: dict[str, Timings], quantity: str) -> Iterator[Row]:
    """Each contender's seconds, ours beside each of the others."""
    for name, timing in timings.items():
        if name not in (OURS, CROPPED):
            yield _seconds(name, timing, quantity)
    for ours in (OURS, CROPPED):
        for name, peer in timings.items():
            if name not in (OURS, CROPPED):
                yield _seconds(ours, timings[ours], quantity, peer)


def _seconds(name: str, timing: Timings, quantity: str, peer: Timings | None = None) -> Row:
    return Row(
        contender=name,
        quantity=quantity,
        device="cpu",
        value=Spread.of(timing.seconds),
        peer=peer.contender.name if peer else "",
        ratio=Spread.of(peer.seconds / timing.seconds) if peer else None,
        goal=FASTER if peer and name == OURS else None,
    )


def _number(name: str, recall: float) -> Row:
    return Row(
        contender=name,
        quantity="mean class recall, %",
        device="cpu",
        value=Spread.of([100 * recall]),
    )
