"""README's section on pictures of one's own, tried word for word on a small folder.

But for what a test cannot have: the net to be fetched has random weights and is smaller, and the
placeholder of a record's key is one.
"""

import re
import shlex
import textwrap
from pathlib import Path

import pytest
from helpers.pictures import write_classes, write_picture

from vggfeat import load_benchmark
from vggfeat.benchmarks.datasets import registry
from vggfeat.layouts.label_list import read_list

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
SECTION = re.search(r"## Your own pictures\n(.*?)\n## ", README, flags=re.DOTALL)[1]
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", SECTION, re.MULTILINE)]
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("vggfeat ")]
(LIST,) = (block for block in BLOCKS if block.startswith("path,"))


@pytest.fixture
def folder(run, tmp_path, monkeypatch):
    """Pictures of two classes, and a list of them that begins like README's; random weights."""
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "pictures", {"cat": 5, "dog": 5})
    header = LIST.splitlines()[0].removesuffix(",split")
    paths = sorted(Path("pictures").rglob("*.jpg"))
    lines = [f"{p.relative_to('pictures')},{'pet;' * (n % 2)}{p.parent.name}"
             for n, p in enumerate(paths)]  # fmt: skip
    Path("pictures", "labels.csv").write_text("\n".join([header, *lines]))
    exported = run("weights", "export", "squeezenet1_0@random:0", "squeezenet.safetensors")
    assert exported.exit_code == 0, exported.stderr


def test_the_commands_run(run, folder):
    assert len(COMMANDS) >= 10 and "bench" in COMMANDS[1]
    write_picture(Path("new") / "1.jpg")
    printed = [block for block in BLOCKS if block.startswith("method ")]
    for command in COMMANDS:
        typed = command.replace("resnet50", "resnet18")
        typed = typed.replace("--net resnet18", "--net resnet18@random:0")
        words = [_on_disk(word) for word in shlex.split(typed, comments=True)[1:]]
        result = run(*words)
        assert result.exit_code == 0, f"{command}: {result.stderr}"
        if command == COMMANDS[1]:
            shown, stated = result.stdout.splitlines(), printed[0].splitlines()
            assert shown[:2] == stated[:2]
            assert any(block.endswith(f"{shown[-1]}\n") for block in BLOCKS)
            assert shown[2].split()[0] == stated[2].split()[0]
    assert {path.name for path in Path("results").iterdir()} >= {"pictures", "labels"}


def _on_disk(word: str) -> str:
    """The word, or the last file that a placeholder or wildcard in it can mean."""
    pattern = word.replace("0123456789abcdef", "*")
    return str(sorted(Path().glob(pattern))[-1]) if "*" in pattern else word


def test_the_list_is_one_that_is_understood(tmp_path):
    for line in LIST.splitlines()[1:]:
        write_picture(tmp_path / line.partition(",")[0])
    (tmp_path / "labels.csv").write_text(LIST)
    pictures = read_list(tmp_path / "labels.csv")
    assert pictures.is_multi_label and set(pictures.parts.values()) == {"train", "test"}


def test_the_python_of_the_section_loads_the_folder(folder, monkeypatch):
    # A command of another test in this process may have given the name to a folder of its own.
    monkeypatch.setattr(registry, "_from_paths", {})
    assert 'vggfeat.load_benchmark("pictures")' in SECTION
    assert load_benchmark("pictures").classes == ("cat", "dog")
