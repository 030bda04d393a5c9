"""What `make gpu` runs: the tests of a GPU, then the benchmarks of speed on it, quickly.

Nothing is installed. The Python that runs this must have what the project needs and see a CUDA
device, which is looked at first. The package lies in several folders of the source tree: a
temporary one with links to them, and what `importlib.metadata` reads, stands for an installed one.

    python tests/gpu/measure_on_gpu.py [options of `vggfeat bench-speed`]
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDED = (*PROJECT["project"]["dependencies"], "pytest>=8.0")
HERE = "make gpu"


def main(arguments: Sequence[str]) -> int:
    """Check, test and measure; the exit status, 0 if all of it was done."""
    if why_not := lacking(NEEDED) or without_gpu():
        print(f"{HERE}: {why_not} Nothing was measured.", file=sys.stderr)
        return 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vggfeat-gpu-") as folder:
        environment = os.environ | staged(Path(folder))
        for name, command in steps(arguments).items():
            print(f"{HERE}: {name}", file=sys.stderr, flush=True)
            status = subprocess.run(command, cwd=ROOT, env=environment).returncode
            if status:
                print(f"{HERE}: stopped at: {name} (exit status {status}).", file=sys.stderr)
                return status
    print(f"{HERE}: all done in {time.monotonic() - began:.0f} s.", file=sys.stderr)
    return 0


def steps(arguments: Sequence[str]) -> dict[str, list[str]]:
    """What is run, by name. Tests warn where libraries are newer than those of the project."""
    python = [sys.executable, "-m"]
    marked = [p for p in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in p.read_text()]
    files = [str(path.relative_to(ROOT)) for path in marked]
    pytest = ["pytest", "-q", "-m", "gpu", "-W", "default", "-p", "no:cacheprovider"]
    return {
        "the tests of a GPU": [*python, *pytest, "--durations=5", "tests/gpu", *files],
        "the benchmarks of speed": [
            *python, "vggfeat", "bench-speed", "--device", "cuda", "--quick", "--debug", *arguments
        ],
    }  # fmt: skip


def lacking(requirements: Iterable[str]) -> str:
    """A sentence that names what is missing or too old, with what is there; empty if nothing is."""
    wrong = []
    for requirement in requirements:
        name, least = re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement).groups()
        try:
            there = version(name)
        except PackageNotFoundError:
            wrong.append(requirement)
            continue
        if _numbers(there) < _numbers(least):
            wrong.append(f"{requirement} (here {there})")
    if not wrong:
        return ""
    return f"{sys.executable} lacks {', '.join(wrong)}. Install them, or name another PYTHON=."


def without_gpu() -> str:
    """A sentence if torch sees no CUDA device; empty if it does."""
    try:
        import torch

        if torch.cuda.is_available():
            return ""
    except Exception as error:  # a library of CUDA's that is not there, for one
        return f"torch cannot be loaded ({str(error).partition(chr(10))[0]})."
    return f"torch {torch.__version__} sees no CUDA device."


def staged(folder: Path) -> dict[str, str]:
    """Link the package into a folder; the environment in which Python takes it from there."""
    package = folder / "vggfeat"
    package.mkdir()
    for path in (ROOT / "vggfeat").iterdir():
        (package / path.name).symlink_to(path)
    for name, place in PROJECT["tool"]["setuptools"]["package-dir"].items():
        if name.count(".") == 1:
            (package / name.partition(".")[2]).symlink_to(ROOT / place)
    release = PROJECT["project"]["version"]
    metadata = folder / f"vggfeat-{release}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: vggfeat\nVersion: {release}\n")
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONSAFEPATH": "1",  # not the folder `vggfeat` of the source tree alone
        "PYTHONUNBUFFERED": "1",
    }


def _numbers(release: str) -> tuple[int, ...]:
    """2.11.0+cu130 -> (2, 11, 0)"""
    return tuple(map(int, re.match(r"\d+(\.\d+)*", release)[0].split(".")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
