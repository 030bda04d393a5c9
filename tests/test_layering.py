"""Imports run one way, from the errors at the bottom to the command line at the top."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A module may import from the lines above its own, and from the names before it in its own line.
LAYERS = [
    ["errors", "files", "folders", "locks"],
    ["devices", "amx", "networks", "images", "crops", "metrics", "gram", "directions", "newton",
     "svm", "aggregation", "provenance", "fetch", "archives", "annotations", "passes"],
    ["weights.checkpoint", "weights.card", "weights.layout", "weights.caffe_schema",
     "weights.caffe_wire", "weights.caffe", "weights.matlab", "weights.matconvnet",
     "weights.onnx_file", "weights.formats", "weights.torchvision", "weights.catalogue"],
    ["backbones.backbone", "backbones.taps", "backbones.family", "backbones.torchvision",
     "backbones.timm", "backbones.own", "backbones.pt2_archive", "backbones.onnx_graph",
     "backbones.programs", "backbones.specification", "backbones.network",
     "backbones.loading", "store"],
    ["extraction", "readings", "pipeline", "descriptors", "records", "conversion", "doctor"],
    ["comparison", "tables"],
    ["pretraining.boxes", "pretraining.tasks", "pretraining.recipes", "pretraining.schedule",
     "pretraining.draws", "pretraining.drawings", "pretraining.augmentation", "pretraining.data",
     "pretraining.box_files", "pretraining.box_recipes", "pretraining.initialisation",
     "pretraining.dropout", "pretraining.interruption", "pretraining.parallel",
     "pretraining.loading", "pretraining.checkpoints", "pretraining.log", "pretraining.monitor",
     "pretraining.communication", "pretraining.train", "pretraining.stages", "pretraining.plan",
     "pretraining.launch", "pretraining.plot", "pretraining.table", "pretraining.demo"],
    ["pretraining.merging", "pretraining.paper_rows", "pretraining.paper_tables",
     "pretraining.grid", "pretraining.views", "pretraining.scales", "pretraining.measurement",
     "pretraining.predictions", "pretraining.tested", "pretraining.evaluate",
     "pretraining.box_views", "pretraining.localise", "pretraining.sheets", "pretraining.show"],
    ["benchmarks.evaluation", "benchmarks.options", "benchmarks.single_label",
     "benchmarks.multi_label", "benchmarks.leaks", "benchmarks.submission", "benchmarks.protocol"],
    ["benchmarks.class_folders", "benchmarks.caltech", "benchmarks.devkit", "benchmarks.voc",
     "benchmarks.actions", "benchmarks.scenes", "benchmarks.datasets", "benchmarks.embedded",
     "benchmarks.catalogue"],
    ["benchmarks.verification", "benchmarks.sweep", "benchmarks.bench", "benchmarks.planning"],
    ["benchmarks.speed.measuring", "benchmarks.speed.limits", "benchmarks.speed.photographs",
     "benchmarks.speed.flops", "benchmarks.speed.usual"],
    ["benchmarks.speed.extraction", "benchmarks.speed.preparation", "benchmarks.speed.svm",
     "benchmarks.speed.store", "benchmarks.speed.startup", "benchmarks.speed.training"],
    ["benchmarks.speed.record", "benchmarks.speed.tables", "benchmarks.speed.suite"],
    ["progress", "cli.group", "cli.options", "cli.ilsvrc", "cli.measuring", "cli.data",
     "cli.weights", "cli.training", "cli.localisation", "cli.speed", "__main__"],
]  # fmt: skip
ORDER = [module for layer in LAYERS for module in layer]
FOLDERS = {"vggfeat": "", "pretraining": "pretraining.", "benchmarks": "benchmarks."}


def modules() -> dict[str, Path]:
    found = {}
    for folder, prefix in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            name = prefix + ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
            if path.name != "__init__.py":
                found[name] = path
    return found


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name.removeprefix("vggfeat.") for name in names if name.startswith("vggfeat.")}
    return {module for module in ORDER if any(f"{n}.".startswith(f"{module}.") for n in ours)}


def test_every_module_has_its_layer():
    assert set(modules()) == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_below(name):
    above = {
        other for other in imported(modules()[name]) if ORDER.index(other) >= ORDER.index(name)
    }
    assert not above


def test_only_readers_and_writers_of_hdf5_use_h5py_and_only_the_command_line_uses_click():
    def users(library):
        return {n for n, path in modules().items() if f"import {library}" in path.read_text()}

    # One measures how fast the store is beside bare HDF5.
    assert users("h5py") == {"store", "weights.matlab", "benchmarks.speed.store"}
    assert {name.partition(".")[0] for name in users("click")} == {"cli", "progress"}


def test_importing_vggfeat_loads_no_torch_but_offers_the_public_names():
    code = (
        "import sys, vggfeat; assert 'torch' not in sys.modules;"
        "assert 'numpy' not in sys.modules;"
        "[getattr(vggfeat, name) for name in vggfeat.__all__]; assert 'torch' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    import vggfeat

    with pytest.raises(AttributeError, match="no attribute 'extrct'"):
        vggfeat.extrct  # noqa: B018


@pytest.mark.parametrize("folder", ["benchmarks", "pretraining"])
def test_a_folder_is_not_importable_under_a_second_name(folder):
    result = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1 and f"import vggfeat.{folder} instead" in result.stderr
