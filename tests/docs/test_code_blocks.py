"""Every code block of the documents: commands that are understood, Python that can be imported.

Who runs them: RUN names the test of a whole document; PARSED_ONLY says why the commands of the
others are parsed, down to their nets and fields of recipes, and not run.
"""

import ast
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest
from helpers.code_blocks import Block, blocks_of

from vggfeat.backbones.spec import parse_fusion
from vggfeat.cli import main
from vggfeat.pretraining.overrides import overridden
from vggfeat.pretraining.recipes import recipe

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(
        ROOT / "results" / name
        for name in ("README.md", "speed/README.md", "own/README.md", "scale/README.md")
    ),
)
BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
COMMANDS = [(block, command) for block in BLOCKS for command in block.commands()]
RUN = {
    "tutorial.md": "tests/docs/test_tutorial.py",
    "own-pictures.md": "tests/docs/test_own_pictures.py",
    "report.md": "tests/docs/test_looking_back.py",
    "configuration.md": "tests/docs/test_looking_back.py",
    "add-dataset.md": "tests/docs/test_added.py",
    "add-probe.md": "tests/docs/test_added.py",
    "add-backbone.md": "tests/docs/test_added.py",
}
PARSED_ONLY = {
    r"make |(\.venv/bin/|uv )?pip |uv venv|python3 -m venv|\. |sbatch |torchrun "
    r"|python beside": "builds or installs, needs a cluster or other programs",
    r"python -m vggfeat\.benchmarks\.scale": "made committed records in half an hour;"
    " tests/benchmarks/test_scale.py tests its parts",
    r"vggfeat (extract|bench) .*--(gpus|memory)|vggfeat plan ": "on clusters, and at sizes that"
    " take one; tests/processes and tests/probes run the options on small pictures",
    r"vggfeat (bench|table|compare|report|verify|datasets verify) .*(results|pictures/caltech)"
    r"|vggfeat (table|compare|bench-speed|localise|evaluate|pretrain) .*(runs|speed|results|--out)"
    r"|vggfeat bench-speed|vggfeat pretrain COMMON|vggfeat localise train"
    r"|vggfeat predict": "made a committed record, or reads committed ones",
    r"vggfeat (pretrain|evaluate|localise) ": "takes ImageNet or hours; tests/pretraining and"
    " tests/benchmarks/ilsvrc run the commands on small pictures",
    r"vggfeat (bench( --all|.* (voc2007|caltech101)| digits)|datasets splits)": "needs data and"
    " weights that are fetched; tests/benchmarks/test_bench.py runs them on small copies",
    r"vggfeat (bench|datasets verify|compare) (pictures|A|squeezenet1_0|timm)": "as on the page"
    " of own pictures, which tests/docs/test_own_pictures.py runs",
    r"vggfeat bench (--suite|flowers102|torchvision:|hf:)|vggfeat datasets fetch": "fetches"
    " pictures and weights; tests/benchmarks/test_suite_run.py, tests/benchmarks/datasets and"
    " tests/cli/test_datasets_command.py run them on small trees",
    r"vggfeat ls published": "tests/cli/test_ls.py runs it",
    r"vggfeat (weights|doctor) ": "needs weights that are fetched; tests/cli/"
    "test_weights_commands.py runs them on small files",
    r"vggfeat extract --images": "tests/cli/test_extract_images.py runs it",
    r"vggfeat (demo|table|--version)$": "tests/test_end_to_end.py and"
    " tests/cli/test_cli.py run them",
}


@pytest.fixture
def any_path(monkeypatch):
    """Files and folders that commands name are taken to be there."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, *_: value)


def parsed(words: list[str]) -> tuple[click.Command, dict]:
    """The command that these arguments call and its values. Raises click's errors of usage."""
    command = main
    while isinstance(command, click.Group):
        if words[0] == "--version":
            return command, {}
        name, *words = words
        command = command.commands[name]
    context = command.make_context(name, words)
    return command, context.params


@pytest.mark.parametrize("block, command", COMMANDS, ids=lambda value: str(value)[:60])
def test_the_command_is_understood(any_path, block, command):
    program, *words = shlex.split(command, comments=True)
    if program == "make":
        assert all(re.search(rf"^{word}:", MAKEFILE, re.MULTILINE) for word in words)
    elif program.endswith("pip"):
        assert {extra for word in words for extra in extras_in(word)} <= EXTRAS
    elif program == "sbatch":
        assert (ROOT / "docs" / words[0]).is_file()
    elif program == "torchrun":
        words = words[words.index("vggfeat") + 1 :]
        program = "vggfeat"
    if program in ("vggfeat", ".venv/bin/vggfeat"):
        words = common_in_place(words)
        if block.document == "add-probe.md":
            words = ["svm" if word == "direction" else word for word in words]  # not there yet
        _, values = parsed(words)
        assert_sound(values)


def common_in_place(words: list[str]) -> list[str]:
    """COMMON, as results/README.md writes what several commands share, is what it stands for."""
    told = (ROOT / "results" / "README.md").read_text()
    (common,) = re.findall(r"\n    (--data .*)\n", told)
    until = words.index(">") if ">" in words else None
    return [each for word in words[:until] for each in
            (shlex.split(common) if word == "COMMON" else [word])]  # fmt: skip


def assert_sound(values: dict) -> None:
    """Nets and fields of recipes, which commands look at themselves, are as they must be."""
    for net in values.get("nets") or ():
        assert parse_fusion(net)
    if overrides := values.get("overrides"):
        fields = dict(override.split("=", 1) for override in overrides)
        assert overridden(recipe("vgg16-256"), fields, one_stage=True)


MAKEFILE = (ROOT / "Makefile").read_text()
EXTRAS = set(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
)


def extras_in(word: str) -> list[str]:
    """The extras of vggfeat that an argument of pip asks for."""
    asked = re.fullmatch(r"(?:vggfeat|\.)\[(.*)\]", word)
    return asked[1].split(",") if asked else []


def test_every_extra_that_a_text_names_is_there():
    for document in DOCUMENTS:
        for named in re.findall(r"(?:vggfeat|'\.)\[([\w,]+)\]'", document.read_text()):
            assert set(named.split(",")) <= EXTRAS, document


def test_every_command_is_run_or_says_why_not():
    left = [(block, command) for block, command in COMMANDS if block.document not in RUN]
    used = set()
    for block, command in left:
        reasons = [pattern for pattern in PARSED_ONLY if re.match(pattern, command)]
        assert reasons, f"{block}: {command} is neither run nor in PARSED_ONLY"
        used.add(reasons[0])
    assert used == set(PARSED_ONLY)
    for test in RUN.values():
        assert (ROOT / test).is_file()


PYTHON = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_what_python_imports_is_there(block: Block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                import_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module != "insects":
            module = import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{block}: {node.module}.{alias.name}"
