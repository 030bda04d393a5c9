"""README's sections on pictures of one's own and their page, word for word on a small folder.

But for what a test cannot have: the net to be fetched has random weights and is smaller, and the
placeholder of a record's key is one.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.code_blocks import blocks_of, words_of
from helpers.pictures import write_classes, write_picture

from vggfeat import load_benchmark
from vggfeat.benchmarks.datasets import registry
from vggfeat.layouts.label_list import read_list

ROOT = Path(__file__).resolve().parents[2]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "own-pictures.md"
(LIST,) = (block.text for block in blocks_of(PAGE) if block.text.startswith("path,"))
(PRINTED,) = (block.text for block in blocks_of(PAGE) if block.text.startswith("method "))
WITH_FEATURES = "vggfeat bench features.npy --labels labels.csv"


def commands(document: Path) -> list[str]:
    """Those on the reader's pictures."""
    of_blocks = [command for block in blocks_of(document) for command in block.commands()]
    ours = re.compile(r"vggfeat (datasets verify|bench|predict) (pictures|results/p)|vggfeat comp")
    return [command for command in of_blocks if ours.match(command)]


@pytest.fixture
def folder(run, tmp_path, monkeypatch):
    """Pictures of two classes, and a list of them that begins like the page's; random weights."""
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "pictures", {"cat": 5, "dog": 5})
    write_picture(Path("new") / "1.jpg")
    header = LIST.splitlines()[0].removesuffix(",split")
    paths = sorted(Path("pictures").rglob("*.jpg"))
    lines = [f"{p.relative_to('pictures')},{'pet;' * (n % 2)}{p.parent.name}"
             for n, p in enumerate(paths)]  # fmt: skip
    Path("pictures", "labels.csv").write_text("\n".join([header, *lines]))
    exported = run("weights", "export", "squeezenet1_0@random:0", "squeezenet.safetensors")
    assert exported.exit_code == 0, exported.stderr


@pytest.mark.parametrize("document", [README, PAGE], ids=lambda path: path.name)
def test_the_commands_run(run, folder, document):
    typed = commands(document)
    assert len(typed) >= 4
    for command in typed:
        small = command.replace("resnet50", "resnet18")
        small = small.replace("--net resnet18", "--net resnet18@random:0")
        result = run(*words_of(small.replace("0123456789abcdef", "*")))
        assert result.exit_code == 0, f"{command}: {result.stderr}"
        if command == "vggfeat bench pictures --net squeezenet1_0@squeezenet.safetensors":
            shown, said = result.stdout.splitlines(), PRINTED.splitlines()
            assert shown[:2] == said[:2] and shown[2].split()[0] == said[2].split()[0]
            assert PRINTED.endswith(f"{shown[-1]}\n") and PRINTED in _indented(document)
    assert "pictures" in {path.name for path in Path("results").iterdir()}


def _indented(document: Path) -> str:
    return "\n".join(block.text for block in blocks_of(document))


def test_features_made_elsewhere(run, tmp_path, monkeypatch):
    assert WITH_FEATURES in PAGE.read_text()
    monkeypatch.chdir(tmp_path)
    np.save("features.npy", np.random.default_rng(0).normal(size=(20, 8)))
    Path("labels.csv").write_text("\n".join(["id,label", *(f"{n},{n % 2}" for n in range(20))]))
    result = run(*words_of(WITH_FEATURES))
    assert result.exit_code == 0, result.stderr


def test_the_list_is_one_that_is_understood(tmp_path):
    for line in LIST.splitlines()[1:]:
        write_picture(tmp_path / line.partition(",")[0])
    (tmp_path / "labels.csv").write_text(LIST)
    pictures = read_list(tmp_path / "labels.csv")
    assert pictures.is_multi_label and set(pictures.parts.values()) == {"train", "test"}


def test_the_python_of_the_page_loads_the_folder(folder, monkeypatch):
    # A command of another test in this process may have given the name to a folder of its own.
    monkeypatch.setattr(registry, "_from_paths", {})
    assert 'vggfeat.load_benchmark("pictures")' in PAGE.read_text()
    assert load_benchmark("pictures").classes == ("cat", "dog")
