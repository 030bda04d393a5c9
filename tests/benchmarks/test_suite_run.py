"""Whole suites from the command line, on small trees of the real formats of their datasets."""

import shutil

import pytest
from helpers import flowers
from helpers.aircraft import write_aircraft
from helpers.cifar import CIFAR10, CIFAR100, write_cifar10, write_cifar100
from helpers.dishes import write_dishes
from helpers.pets import write_pets
from helpers.pictures import NARROW, write_classes
from helpers.places import write_places
from helpers.stanford_cars import write_cars
from helpers.svhn import write_svhn
from helpers.textures import write_textures
from helpers.torchvision_md5 import accept
from torchvision import datasets

from vggfeat.benchmarks.datasets.registry import definition_of
from vggfeat.benchmarks.datasets.synthetic_drawing import write_devkit
from vggfeat.benchmarks.protocols.voc_protocol import CLASSES
from vggfeat.benchmarks.suites import KORNBLITH12, VTAB_NATURAL


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with every dataset of the suites."""
    data = tmp_path_factory.mktemp("data")
    for write in (
        write_dishes, write_cifar10, write_cifar100, write_places, write_cars, write_aircraft,
        write_textures, write_pets, flowers.write_flowers,
    ):  # fmt: skip
        write(data)
    write_svhn(data / "svhn")
    write_classes(data / "101_ObjectCategories", {"BACKGROUND_Google": 9, "ant": 9, "lamp": 9})
    write_devkit(data / "VOCdevkit" / "VOC2007", CLASSES, {"train": 30, "val": 30, "test": 30})
    return data


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Where the tests' records lie: what one has measured is there for the others."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def measure(run, data, out, monkeypatch):
    """`bench --suite` on these trees, whose digests stand in for those of the real files."""
    accept(monkeypatch, datasets.CIFAR10, data / CIFAR10)
    accept(monkeypatch, datasets.CIFAR100, data / CIFAR100)
    accept(monkeypatch, datasets.SVHN, data / "svhn")
    flowers.accept_lists(data / "flowers-102", monkeypatch)

    def measure(suite, *arguments):
        how = ("--limit", 4, "--net", NARROW, "--scales", 32, "--offline")
        return run("bench", "--suite", suite, *how, "--data-dir", data, "--out", out, *arguments)

    return measure


def rows(stdout):
    """The last table of a page in Markdown: title of a row -> its last cell."""
    lines = [line for line in stdout.split("\n### ")[-1].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {line[0]: line[-1] for line in cells}


def titles(suite):
    return [definition_of(name).title for name in suite.benchmarks]


def test_kornblith12_ends_in_a_table_of_eleven(measure, run, out):
    result = measure("kornblith12", "--format", "md")
    assert result.exit_code == 0, result.stderr
    cells = rows(result.stdout)
    assert list(cells) == [*titles(KORNBLITH12), "mean log odds of 11 of 12"]
    assert all(cell.endswith(" LIMITED") for cell in [*cells.values()][:-1])
    assert "\nBirdsnap is not measured: " in result.stdout
    assert {path.name for path in out.iterdir()} == set(KORNBLITH12.benchmarks)
    table = run("table", "--suite", "kornblith12", "--out", out, "--format", "md").stdout
    assert result.stdout.endswith(f"\n\n{table}")


def test_what_lacks_its_data_is_said_and_there_is_no_average(measure, data, tmp_path):
    shutil.move(data / "stanford_cars", tmp_path / "away")
    try:
        result = measure("kornblith12", "--format", "md")
    finally:
        shutil.move(tmp_path / "away", data / "stanford_cars")
    assert result.exit_code == 1 and "1 failed, 10 measured" in result.stderr
    assert "\nFailed: stanford_cars: " in result.stderr
    cells = rows(result.stdout)
    assert cells["Stanford Cars"] == "" and cells["CIFAR-10"].endswith(" LIMITED")
    assert cells["mean log odds of 11 of 12"] == "- [1]"
    assert "[1] no average: Stanford Cars not measured" in result.stdout


def test_vtab_natural_averages_the_accuracy_of_seven(measure):
    result = measure("vtab-natural", "--format", "md")
    assert result.exit_code == 0, result.stderr
    cells = rows(result.stdout)
    assert list(cells) == [*titles(VTAB_NATURAL), "mean accuracy of 7 (%)"]
    *accuracies, mean = (float(cell.removesuffix(" LIMITED")) for cell in cells.values())
    assert mean == pytest.approx(sum(accuracies) / 7, abs=0.1)
    assert "must not be compared with VTAB's" in result.stdout


def test_a_suite_is_planned_without_measuring(measure, out):
    before = sorted(out.rglob("*"))
    result = measure("vtab-natural", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if line[0] != " "][0].startswith(
        "caltech101: in "
    )
    assert "In all: 7 measurements" in result.stdout and sorted(out.rglob("*")) == before
