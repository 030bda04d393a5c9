"""How long the command line takes where there is nothing to compute."""

import subprocess
import sys

from vggfeat.benchmarks.speed.measuring import (
    Asked,
    Contender,
    Goal,
    Measured,
    Row,
    Spread,
    Timed,
    children_cpu_s,
    in_turns,
)

HELP = Goal(0.15, "under")  # CPU seconds
BENCH = Goal(3.0, "under")  # seconds
BENCHMARK = (
    "bench", "digits", "--net", "vgg16:width=0.125,input_size=32@random:0", "--offline", "--quiet"
)  # fmt: skip


def measure(asked: Asked, *, num_splits: int = 3, scales: str = "32,48") -> Measured:
    """CPU seconds of `vggfeat --help`, and seconds of a bench whose record is there."""
    folders = ("--out", str(asked.folder / "out"), "--cache-dir", str(asked.folder / "cache"))
    bench = (*BENCHMARK, "--scales", scales, "--splits", str(num_splits), *folders)
    helped = in_turns(
        [
            _python("python -c pass", asked, "-c", "pass"),
            _importing("click", asked),
            _python("vggfeat --help", asked, "-m", "vggfeat", "--help"),
        ],
        asked.repeats,
        clock=children_cpu_s,
    )
    all_made = _python("vggfeat bench, all made", asked, "-m", "vggfeat", *bench)
    benched = in_turns([all_made, _importing("torch", asked)], asked.repeats)  # first makes it
    python, click, help_ = helped.values()
    made, torch = benched.values()
    return Measured(
        settings={"bench": " ".join(BENCHMARK), "scales": scales, "splits": num_splits},
        rows=[
            _row(python, "CPU s"),
            _row(click, "CPU s"),
            _row(help_, "CPU s", peer=click, goal=HELP),
            _row(torch, "s"),
            _row(made, "s", peer=torch, goal=BENCH),
        ],
    )


def _importing(library: str, asked: Asked) -> Contender:
    code = f"import {library}"
    return _python(f'python -c "{code}"', asked, "-c", code)


def _python(name: str, asked: Asked, *arguments: str) -> Contender:
    """A process of Python's own. Not in this folder, which may hold another vggfeat."""

    def run() -> None:
        subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=asked.folder
        )

    return Contender(name, run, 1, "runs/s")


def _row(
    timed: Timed, quantity: str, *, peer: Timed | None = None, goal: Goal | None = None
) -> Row:
    return Row(
        contender=timed.contender.name,
        quantity=quantity,
        device="cpu",
        value=Spread.of(timed.seconds),
        peer=peer.contender.name if peer else "",
        ratio=Spread.of(peer.seconds / timed.seconds) if peer else None,
        goal=goal,
    )
