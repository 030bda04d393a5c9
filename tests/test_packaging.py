"""The wheel a user installs: one package, every module and data file inside."""

import re
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Built from a copy, as building leaves folders behind that a later build would pick up."""
    source = tmp_path_factory.mktemp("source") / "vggfeat"
    ignored = ignore_patterns(
        ".*", "build", "dist", "*.egg-info", "__pycache__", "tests", "results"
    )
    copytree(ROOT, source, ignore=ignored)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "-w", source / "out", source],
        check=True,
    )  # fmt: skip
    with zipfile.ZipFile(next((source / "out").glob("*.whl"))) as archive:
        yield archive


def test_vggfeat_is_the_only_top_level_name(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"vggfeat"}


def test_every_module_and_data_file_is_inside(wheel):
    expected = set()
    for folder, target in (
        ("vggfeat", "vggfeat"),
        ("benchmarks", "vggfeat/benchmarks"),
        ("pretraining", "vggfeat/pretraining"),
    ):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                expected.add(f"{target}/{path.relative_to(ROOT / folder).as_posix()}")
    packaged = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packaged == expected


def test_everything_that_is_asked_for_is_pinned():
    """constraints.txt pins at least what pyproject.toml asks for, with every extra."""
    extras = PROJECT["optional-dependencies"].values()
    asked = [*PROJECT["dependencies"], *chain.from_iterable(extras), "setuptools>=0"]
    pins = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in asked}
    assert names - {"vggfeat"} <= pins


def test_what_a_citation_says_is_what_the_package_says():
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {PROJECT['version']}" in lines
    assert f"license: {PROJECT['license']}" in lines
    assert f"  - name: {PROJECT['authors'][0]['name']}" in lines
