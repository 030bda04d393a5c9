"""Startup of the command line: `--help`, and a bench whose records are all there."""

import subprocess
import sys

from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Row,
    Setup,
    SpeedResult,
    Spread,
    Timings,
    children_cpu_s,
    time_interleaved,
)

HELP = Goal(0.15, "under")  # CPU seconds
BENCH = Goal(3.0, "under")  # seconds
BENCHMARK = (
    "bench", "digits", "--net", "vgg16:width=0.125,input_size=32@random:0", "--offline", "--quiet"
)  # fmt: skip


def measure(setup: Setup, *, num_splits: int = 3, scales: str = "32,48") -> SpeedResult:
    """CPU seconds of `vggfeat --help`, and seconds of a bench whose records are all there."""
    folders = ("--out", str(setup.folder / "out"), "--cache-dir", str(setup.folder / "cache"))
    arguments = (*BENCHMARK, "--scales", scales, "--splits", str(num_splits), *folders)
    help_timings = time_interleaved(
        [
            _python("python -c pass", setup, "-c", "pass"),
            _importing("click", setup),
            _python("vggfeat --help", setup, "-m", "vggfeat", "--help"),
        ],
        setup.repeats,
        clock=children_cpu_s,
    )
    bench_contender = _python("vggfeat bench, all made", setup, "-m", "vggfeat", *arguments)
    # The first run, which warms up, writes the record.
    contenders = [bench_contender, _importing("torch", setup)]
    bench_timings = time_interleaved(contenders, setup.repeats)
    python, click, help_ = help_timings.values()
    bench_again, torch = bench_timings.values()
    return SpeedResult(
        settings={"bench": " ".join(BENCHMARK), "scales": scales, "splits": num_splits},
        rows=[
            _row(python, "CPU s"),
            _row(click, "CPU s"),
            _row(help_, "CPU s", peer=click, goal=HELP),
            _row(torch, "s"),
            _row(bench_again, "s", peer=torch, goal=BENCH),
        ],
    )


def _importing(library: str, setup: Setup) -> Contender:
    code = f"import {library}"
    return _python(f'python -c "{code}"', setup, "-c", code)


def _python(name: str, setup: Setup, *arguments: str) -> Contender:
    """A Python process; not in the current folder, which may hold another vggfeat."""

    def run() -> None:
        subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=setup.folder
        )

    return Contender(name, run, 1, "runs/s")


def _row(
    timings: Timings, quantity: str, *, peer: Timings | None = None, goal: Goal | None = None
) -> Row:
    return Row(
        contender=timings.contender.name,
        quantity=quantity,
        device="cpu",
        value=Spread.of(timings.seconds),
        peer=peer.contender.name if peer else "",
        ratio=Spread.of(peer.seconds / timings.seconds) if peer else None,
        goal=goal,
    )
