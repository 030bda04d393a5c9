"""Imports run one way, package by package, from the errors at the bottom to the command line."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What stands in a line imports from the lines above it and from its own line. Names are packages or
# modules of vggfeat; the longest that fits decides.
LAYERS = (
    ("errors", "interruption", "processes.launched", "options", "progress", "busy_cores"),
    ("storage", "devices", "amx", "images", "input_statistics", "metrics", "boxes", "box_merging",
     "provenance", "processes", "prefetch", "durations", "plurals", "png", "statistics", "memory",
     "dataset_rows", "layouts.picture_parts"),
    ("vgg",),
    ("weights",),
    ("backbones",),
    ("features", "store"),
    ("probes", "layouts", "doctor"),
    ("records",),
    ("report",),
    ("costs",),
    ("pretraining", "benchmarks"),
    ("benchmarks.speed", "benchmarks.scale"),  # the first measures training, too
    ("cli", "__main__"),
)  # fmt: skip
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FOLDERS = {"vggfeat": "", "pretraining": "pretraining.", "benchmarks": "benchmarks."}
# Neighbours of one line that never import each other.
STRANGERS = {("pretraining", "benchmarks"), ("benchmarks", "pretraining")}


def modules() -> dict[str, Path]:
    found = {}
    for folder, prefix in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            name = prefix + ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
            if path.name != "__init__.py":
                found[name] = path
    return found


def home(module: str) -> str:
    """The package or module of LAYERS that a module belongs to."""
    parts = module.split(".")
    fitting = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next(name for name in fitting if name in LEVEL)


def imported(path: Path) -> set[str]:
    """The modules and packages of vggfeat that a file imports, also inside of functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "vggfeat":
            names |= {f"vggfeat.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.removeprefix("vggfeat.") for name in names if name.startswith("vggfeat.")}


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_from_below(name):
    own = home(name)
    for other in map(home, imported(modules()[name])):
        wrong = LEVEL[other] > LEVEL[own] or (own, other) in STRANGERS
        assert not wrong, f"{name} imports {other}"


def test_only_readers_and_writers_of_hdf5_use_h5py_and_only_the_command_line_uses_click():
    def users(library):
        return {n for n, path in modules().items() if f"import {library}" in path.read_text()}

    # One measures how fast the store is beside bare HDF5, one verifies without our reader.
    h5py = {
        "storage.hdf5",
        "storage.hdf5_look",
        "features.shards.index",
        "features.shards.index_build",
        "features.store.forgetting",
        "features.store.format",
        "features.store.reader",
        "features.store.whole",
        "features.store.writer",
        "records.scores",
        "weights.matconvnet.mat_v73",
        "benchmarks.speed.store",
        "benchmarks.scale.verification",
    }
    assert users("h5py") == h5py
    assert {name.partition(".")[0] for name in users("click")} == {"cli"}


def test_importing_vggfeat_loads_no_torch_but_offers_the_public_names():
    code = "import sys, vggfeat; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    import vggfeat

    for name in vggfeat.__all__:
        assert getattr(vggfeat, name).__name__.removeprefix("vggfeat.") == name
    assert vggfeat.__version__ == version("vggfeat")
    with pytest.raises(AttributeError, match="no attribute 'extrct'"):
        vggfeat.extrct  # noqa: B018


@pytest.mark.parametrize("folder", ["benchmarks", "pretraining"])
def test_a_folder_is_not_importable_under_a_second_name(folder):
    result = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1 and f"import vggfeat.{folder} instead" in result.stderr
