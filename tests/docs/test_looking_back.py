"""The pages on reports and tables, and on settings and this machine, followed on small records."""

import tomllib
import webbrowser
from pathlib import Path

import pandas as pd
import pytest
from helpers.code_blocks import blocks_of, words_of
from helpers.pictures import NARROW, write_classes

from vggfeat.report.tidy import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
OTHER = NARROW.replace("random:0", "random:1")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with pictures, and runs that were committed."""
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "pictures", {"cat": 6, "dog": 6})
    (tmp_path / "data").mkdir()
    (tmp_path / "runs").symlink_to(ROOT / "results" / "pretraining" / "runs")


def commands_of(page: str) -> list[str]:
    return [command for block in blocks_of(DOCS / page) for command in block.commands()]


def test_reports_and_tables(run, monkeypatch):
    """The net with a name is measured first, as all others look at its records."""
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url, *_: opened.append(url) or True)
    typed = commands_of("report.md")
    (bench,) = (command for command in typed if " bench " in command)
    small = bench.replace("vgg16:width=0.25@FILE", NARROW).replace("resnet50", OTHER)
    assert run(*words_of(f"{small} --scales 32 --splits 1")).exit_code == 0
    for command in typed:
        if command != bench:
            mine = command.replace(
                "--benchmark voc2007 --net vgg16", "--benchmark pictures --net small"
            )
            words = words_of(mine.partition(" > ")[0])
            result = run(*words)
            assert result.exit_code == 0, f"{command}: {result.stderr}"
            if " > " in command:
                Path(command.partition(" > ")[2]).write_text(result.stdout)
    assert len(opened) == 1 and list(Path("figures").glob("*.pdf"))
    assert "small" in Path("report.html").read_text()
    columns = list(pd.read_csv("results.csv").columns)
    assert set(columns) - {"low", "high"} <= set(COLUMNS)
    (code,) = (b.text for b in blocks_of(DOCS / "report.md") if b.language == "python")
    exec(code, {})


def test_settings_and_this_machine(run):
    (file,) = (b.text for b in blocks_of(DOCS / "configuration.md") if b.language == "toml")
    assert set(tomllib.loads(file)) == {"device", "bench"}
    for command in commands_of("configuration.md"):
        if "--show-config" in command:
            Path("vggfeat.toml").write_text(file)
        result = run(*words_of(command.partition(" > ")[0]))
        assert result.exit_code == 0 and result.stdout, f"{command}: {result.stderr}"
        if "--show-config" in command:
            assert "file, vggfeat.toml" in result.stdout
            Path("vggfeat.toml").unlink()
