"""What the documents say is true: commands, options, names, numbers, links."""

import json
import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from vggfeat.backbones.spec import NET_OPTIONS
from vggfeat.benchmarks.datasets.registry import DATASETS
from vggfeat.benchmarks.speed.record import read_all as read_speed_records
from vggfeat.benchmarks.speed.tables import render as render_speed
from vggfeat.cli import main
from vggfeat.pretraining.communication import predicted_speed_up
from vggfeat.pretraining.overrides import FIXED_FIELDS
from vggfeat.pretraining.recipe import Recipe
from vggfeat.records.record import read_all
from vggfeat.report import ilsvrc_grid, ilsvrc_tables, shots, sweep, training, transfer
from vggfeat.report.render import render
from vggfeat.vgg import CONFIGURATIONS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text()
MEASURED = (ROOT / "docs" / "measured.md").read_text()
PRETRAINING = (ROOT / "docs" / "pretraining.md").read_text()
DESIGN = (ROOT / "docs" / "design.md").read_text()
NAMES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "results/README.md",
         "results/speed/README.md", "results/own/README.md", "results/scale/README.md")  # fmt: skip
DOCUMENTS = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").glob("*.md"))]


SUBCOMMANDS = {
    f"{group} {name}": command
    for group in main.commands
    for name, command in getattr(main.commands[group], "commands", {}).items()
}
RESULTS = ROOT / "results"
RUNS = RESULTS / "pretraining" / "runs"
FOLDERS_OF_RECORDS = (
    "sweep", "solver", "layers", "transfer", "ilsvrc", "nets", "report", "some-classes",
    "own/probes", "own/shots", "own/readme",
)  # fmt: skip


@pytest.mark.parametrize("name", [*main.commands, *SUBCOMMANDS])
def test_every_command_is_in_the_table_of_commands(name):
    assert f"`vggfeat {name}" in COMMANDS


def test_every_benchmark_of_the_paper_is_described():
    for definition in DATASETS:
        assert not definition.in_paper or f"| `{definition.name}` |" in BENCHMARKS


def test_every_option_the_documents_name_exists():
    # Of torchrun, SLURM, pip and mkdocs.
    known = {"--nproc-per-node", "--max-restarts", "--index-url", "--no-deps", "--strict"}
    known |= {"--nnodes", "--rdzv-backend", "--rdzv-id", "--rdzv-endpoint", "--local-addr"}
    known.add("--rdzv-conf")
    known |= {"--ntasks-per-node", "--cpus-per-task", "--signal", "--requeue"}
    known.add("--version")
    for command in [*main.commands.values(), *SUBCOMMANDS.values()]:
        with click.Context(command) as context:
            for option in command.get_params(context):
                known.update(option.opts, option.secondary_opts)
    for document in DOCUMENTS:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", document.read_text()))
        assert named <= known, document


def test_every_net_and_option_of_a_net_is_told():
    for name in (*CONFIGURATIONS, *NET_OPTIONS):
        assert f"`{name}" in COMMANDS


def test_every_field_of_a_recipe_is_described():
    for field in fields(Recipe):
        assert field.name in FIXED_FIELDS or f"`{field.name}`" in PRETRAINING


def test_the_predicted_speed_ups_are_what_the_code_predicts():
    """Seconds an update on one device, the link; for 4 and 8 of them with nothing to all hidden."""
    gradients = 4 * 138_357_544  # bytes, of net D
    number = r"([\d.]+)"
    cells = rf"\| {number} s \| {number} GB/s" + rf" \| {number} to {number}" * 2 + r" \|"
    lines = [[float(cell) for cell in line] for line in re.findall(cells, PRETRAINING)]
    assert len(lines) >= 2
    for step_s, link, *told in lines:
        predicted = [
            predicted_speed_up(step_s, devices, gradients, 1e9 * link, overlap=overlap)
            for devices in (4, 8)
            for overlap in (False, True)
        ]
        assert told == [round(one, 2) for one in predicted]


def test_every_module_is_on_the_map():
    for folder in ("vggfeat", "benchmarks", "pretraining"):
        for path in (ROOT / folder).rglob("*.py"):
            assert path.name.startswith("__") or f"  {path.name} " in DESIGN


def anchors_of(document):
    """What a link may name behind #: the headings, as MkDocs and GitHub write them."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings]
    return {re.sub(r"\s", "-", heading.strip()) for heading in plain}


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", document.read_text()):
            if ":" in target:
                continue
            path = document.parent / target if target else document
            assert path.exists(), f"{document.name}: {target}"
            assert not anchor or anchor in anchors_of(path), f"{document.name}: {target}#{anchor}"


def test_pictures_say_what_they_show():
    for document in DOCUMENTS:
        for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", document.read_text()):
            assert len(alt) > 20, f"{document.name}: {target}"
            assert (document.parent / target).stat().st_size < 200_000, target


def test_the_readme_is_what_a_newcomer_needs():
    assert len(README) < 7_000
    assert max(len(line) for line in README.splitlines() if line.startswith("|")) < 220


def beside_published(folder):
    return render(transfer.table(transfer.compare(read_all(folder))), "md")


def test_the_committed_tables_are_what_the_records_give():
    """README and the page of what was measured quote some of them."""
    table = beside_published(RESULTS)
    assert (RESULTS / "table.md").read_text() == table
    assert table in MEASURED
    for name in ("sweep", "solver"):
        ranking = render(sweep.tables(read_all(RESULTS / name)), "md")
        assert (RESULTS / f"{name}.md").read_text() == ranking
    for name in ("transfer", "layers", "nets", "own/probes"):
        assert (RESULTS / f"{name}.md").read_text() == beside_published(RESULTS / name)
    few = render(shots.tables(read_all(RESULTS / "own" / "shots")), "md")
    assert (RESULTS / "own" / "shots.md").read_text() == few
    some_classes = render(ilsvrc_tables.tables(read_all(RESULTS / "some-classes")), "md")
    assert (RESULTS / "some-classes.md").read_text() == some_classes
    on_ilsvrc = read_all(RESULTS / "ilsvrc")
    assert (RESULTS / "ilsvrc.md").read_text() == render(ilsvrc_tables.tables(on_ilsvrc), "md")
    grid = render(ilsvrc_grid.tables(on_ilsvrc), "md")
    assert (RESULTS / "ilsvrc-grid.md").read_text() == grid
    assert grid in MEASURED
    speed = read_speed_records(RESULTS / "speed")
    assert (RESULTS / "speed" / "tables.md").read_text() == render_speed(speed, "md")
    pretraining = render(training.table(training.read_training_records(RUNS)), "md")
    assert (RESULTS / "pretraining.md").read_text() == pretraining
    assert pretraining in MEASURED


def test_every_record_was_made_from_committed_code_and_its_command_is_told():
    told = (RESULTS / "README.md").read_text() + (RESULTS / "own" / "README.md").read_text()
    for folder in (
        RESULTS,
        *(RESULTS / name for name in FOLDERS_OF_RECORDS),
    ):
        for record in read_all(folder):
            assert record.git and not record.git["dirty"]
            assert record.command in told
    for record in read_speed_records(RESULTS / "speed"):
        assert record.git and not record.git["dirty"]
        assert record.command in (RESULTS / "speed" / "README.md").read_text()
    (common,) = re.findall(r"\n    (--data .*)\n", told)
    for record in [json.loads(path.read_text()) for path in RUNS.glob("*.json")]:
        assert record["git"] and not record["git"]["dirty"]
        assert record["command"].replace(common, "COMMON") in told


def test_no_document_names_a_path_of_one_machine():
    for path in [*DOCUMENTS, *(ROOT / "results").rglob("*.json")]:
        assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text()), path
