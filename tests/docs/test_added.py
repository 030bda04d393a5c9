"""The pages on adding a dataset, a probe and a net, followed with narrow nets and few pictures."""

import json
import sys
from pathlib import Path

import pytest
from helpers.code_blocks import Block, blocks_of, words_of
from helpers.pictures import NARROW, write_classes, write_picture

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.datasets import registry
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.layouts.options import DataOptions
from vggfeat.probes.registry import PROBES
from vggfeat.storage.folders import Folders

DOCS = Path(__file__).resolve().parents[2] / "docs"


def python_of(page: str) -> list[str]:
    return [block.text for block in blocks_of(DOCS / page) if block.language == "python"]


def commands_of(page: str) -> list[str]:
    blocks: list[Block] = blocks_of(DOCS / page)
    return [command for block in blocks for command in block.commands()]


@pytest.fixture(autouse=True)
def new_folder(tmp_path, monkeypatch):
    """The current folder, with what is imported from it forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_dataset_with_and_without_published_numbers(run, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_from_user_files", {})
    plain, _, published, _ = python_of("add-dataset.md")
    Path("insects.py").write_text(plain)
    Path("insects_published.py").write_text(published)
    write_classes(tmp_path / "insects", {"ant": 24, "bee": 23})
    verify, bench = commands_of("add-dataset.md")[:2]
    assert "no test pictures are training pictures too" in run(*words_of(verify)).stdout
    small = bench.replace("vgg16", NARROW) + " --scales 32"
    assert "Insects, mean class recall (%)" in run(*words_of(small)).stdout
    registry._from_user_files.clear()  # as in a process of its own
    table = run(*words_of(small.replace("insects.py", "insects_published.py"))).stdout
    assert "Somebody, 16 layers" in table and "71.3 ± 0.8" in table


def test_a_dataset_with_sets_of_its_own(run, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_from_user_files", {})
    _, code, _, _ = python_of("add-dataset.md")
    Path("birds.py").write_text(code)
    write_classes(tmp_path / "birds", {"finch": 9, "owl": 9})
    pictures = sorted((tmp_path / "birds").glob("*/*.jpg"))
    for name, some in (("train", pictures[::3] + pictures[1::3]), ("test", pictures[2::3])):
        lines = [f"{p.relative_to(tmp_path / 'birds').as_posix()} {1 + ('owl' in str(p))}\n"
                 for p in some]  # fmt: skip
        (tmp_path / "birds" / f"{name}.txt").write_text("".join(lines))
    verify, bench = commands_of("add-dataset.md")[2:]
    assert "no test pictures are training pictures too" in run(*words_of(verify)).stdout
    result = run(*words_of(bench.replace("vgg16", NARROW) + " --scales 32 --out records"))
    assert "Birds, mean class recall (%)" in result.stdout
    (record,) = (json.loads(path.read_text()) for path in Path("records").rglob("*.json"))
    assert record["protocol"]["validation"] == "drawn from train"
    assert (record["n_train"], record["n_test"]) == ([12], [6])


def test_a_dataset_for_everybody(tmp_path):
    """The definition of a clone's file finds parts that lie in the data folder, and reads them."""
    _, birds, _, code = python_of("add-dataset.md")
    scope: dict = {}
    exec(birds.replace("__file__", repr(str(tmp_path / "birds.py"))), scope)
    exec(code, scope)
    definition, places = scope["BIRDS"], Folders(tmp_path, tmp_path / "cache")
    assert definition.is_served and not definition.source.is_here(places)
    (tmp_path / "pictures").mkdir()
    for name, numbers in (("train", range(1, 21)), ("test", range(21, 31))):
        paths = [f"pictures/{number:04d}.jpg" for number in numbers]
        for path in paths:
            write_picture(tmp_path / path)
        lines = [f"{path} {1 + number % 2}\n" for number, path in enumerate(paths)]
        (tmp_path / f"{name}.txt").write_text("".join(lines))
    root = definition.source.open(places, offline=True)
    benchmark = definition.build(definition, root, DataOptions())
    assert root == tmp_path and len(benchmark.ids) == definition.num_pictures == 30
    assert {c.set: c.total for c in definition.known_counts} == {
        name: len(rows) for name, rows in benchmark.sets.items()
    }


def test_a_probe(tmp_path, monkeypatch):
    """The file, and the line in the registry."""
    (code,) = python_of("add-probe.md")
    Path("direction.py").write_text(code)
    (line,) = (b.text for b in blocks_of(DOCS / "add-probe.md") if b.text.startswith('"direction"'))
    ((name, place),) = json.loads(f"{{{line.strip().rstrip(',')}}}").items()
    monkeypatch.setitem(PROBES, name, place.removeprefix("vggfeat.probes."))
    options = DataOptions(num_splits=1, limit=12)
    places = Folders(tmp_path, tmp_path)
    benchmark = load_benchmark("digits", options=options, places=places, offline=True)
    settings = benchmark.settings(scales=(32,), probe=name)
    record = benchmark.run([load_network(NARROW)], settings, features_dir=tmp_path / "features")
    assert record.probe["share"][0] in (0.0, 0.5, 1.0)
    assert record.protocol["classifier"] == "mean direction"
    assert record.metrics["mean_class_recall"]["value"] > 0.2  # guessing gives 0.1


def test_nets_of_ones_own(run, tmp_path):
    """Weights and a function; the file of weights is of a smaller net here."""
    (code,) = python_of("add-backbone.md")
    Path("my_nets.py").write_text(code)
    write_classes(tmp_path / "pictures", {"cat": 5, "dog": 5})
    write_picture(Path("cat.jpg"))
    assert run("weights", "export", "resnet18@random:0", "mine.pth").exit_code == 0
    for command in commands_of("add-backbone.md"):
        if "--net net." in command:
            continue  # tests/backbones has files of these kinds, which take seconds to export
        result = run(*words_of(command.replace("resnet50", "resnet18")))
        assert result.exit_code == 0, f"{command}: {result.stderr}"
