"""Figures of the house: `python tests/figures.py [FOLDER]` prints them for a checkout.

A trace of what `--net` takes until a net is loaded is in tests/backbones/test_load_trace.py.
"""

import ast
import statistics
import sys
from pathlib import Path

FOLDERS = ("vggfeat", "pretraining", "benchmarks")


def functions(path: Path) -> list[tuple[int, str]]:
    """(lines, name) of every function of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [
        (node.end_lineno - node.lineno + 1, f"{path.name}:{node.name}")
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def figures(root: Path) -> dict[str, object]:
    """What is counted, over the source without its tests."""
    paths = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    lengths = sorted(pair for path in paths for pair in functions(path))
    lines = {path: len(path.read_text().splitlines()) for path in paths}
    tests = list((root / "tests").rglob("*.py"))
    longest = sorted(((n, path.relative_to(root)) for path, n in lines.items()), reverse=True)
    return {
        "files": len(paths),
        "lines": sum(lines.values()),
        "files of more than 350 lines": sum(n > 350 for n in lines.values()),
        "longest files": ", ".join(f"{path} {n}" for n, path in longest[:3]),
        "functions": len(lengths),
        "lines of a function, median": statistics.median(n for n, _ in lengths),
        "functions of more than 60 lines": sum(n > 60 for n, _ in lengths),
        "longest functions": ", ".join(f"{name} {n}" for n, name in lengths[:-4:-1]),
        "lines of tests": sum(len(path.read_text().splitlines()) for path in tests),
    }


if __name__ == "__main__":
    for name, value in figures(Path(sys.argv[1] if len(sys.argv) > 1 else ".")).items():
        print(f"{name:<34} {value}")
