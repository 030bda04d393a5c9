"""`vggfeat report`: one file from records, its path and size printed, errors in one line."""

import webbrowser
from pathlib import Path

import numpy as np
import pytest
from helpers.html_pages import check_sound
from helpers.records import make_record
from helpers.scored import of_classes, write_scored

from vggfeat.benchmarks.report.report import SECTIONS
from vggfeat.records import record as records

RUNS = Path(__file__).resolve().parents[2] / "results" / "pretraining" / "runs"


@pytest.fixture
def results(tmp_path):
    records.write(make_record(), tmp_path / "results")
    return tmp_path / "results"


def test_a_page_is_written_and_its_size_printed(run, results, tmp_path):
    result = run("report", results, "--to", tmp_path / "new" / "page.html", "--title", "My nets")
    assert result.exit_code == 0
    html = (tmp_path / "new" / "page.html").read_text()
    assert result.stdout == f"{tmp_path / 'new' / 'page.html'}: {len(html.encode()) / 1e6:.2f} MB\n"
    assert "<h1>My nets</h1>" in html
    check_sound(html)


def test_without_folders_the_results_folder_here_is_shown(run, results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("report", "--only", "comparison").exit_code == 0
    assert (tmp_path / "report.html").is_file()


def test_training_alone_needs_no_results_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("report", "--runs", RUNS).exit_code == 0
    page = check_sound((tmp_path / "report.html").read_text())
    assert [text for level, text in page.headings if level < 3] == ["Training of nets", "Training"]


def test_figures_are_files_of_their_own(run, tmp_path):
    pytest.importorskip("matplotlib")
    results, truth = tmp_path / "results", np.arange(12) % 3
    for net, noise in (("vgg16", 0.1), ("vgg19", 0.2)):
        write_scored(results, of_classes(truth), of_classes(truth) + noise, net=net)
    folder = tmp_path / "figures"
    options = ("--to", tmp_path / "page.html", "--only", "comparison,pairs")
    result = run("report", results, *options, "--figures", folder, "--form", "svg")
    names = sorted(path.name for path in folder.iterdir())
    assert sorted(result.stdout.splitlines()[1:]) == [f"{folder / name}" for name in names]
    assert all(name.endswith(".svg") for name in names)
    # The page's own: the pairs, and no section that is not on it.
    assert {name.partition("-")[0] for name in names} == {"paired", "published"}


def test_what_other_libraries_log_of_a_figure_is_not_said(run, results, tmp_path):
    pytest.importorskip("matplotlib")
    options = ("--to", tmp_path / "page.html", "--only", "comparison")
    result = run("report", results, *options, "--figures", tmp_path / "figures", "--form", "pdf")
    assert result.exit_code == 0 and result.stderr == ""  # fontTools logs each table of a font


def test_the_page_is_opened_in_the_browser(run, results, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    run("report", results, "--to", tmp_path / "page.html", "--only", "comparison", "--open")
    assert opened == [(tmp_path / "page.html").as_uri()]


def test_errors_are_one_line_that_says_what_to_do(run, results, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        ((tmp_path / "nowhere",), "no such results folder"),
        ((tmp_path / "empty",), "holds no records"),
        ((results, "--only", "clases"), "Did you mean 'classes'?"),
        ((results, "--to", tmp_path / "file" / "a.html"), "Choose another --to."),
        ((results, "--to", ""), "Choose another --to."),
        ((results, "--runs", tmp_path / "empty"), "holds no records of trained classifiers"),
        ((results, "--only", "training"), "--runs"),
        ((results, "--pictures", tmp_path / "pitcures"), "no such folder or file"),
    ):
        result = run("report", *arguments)
        assert result.exit_code == 1 and words in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "file" / "a.html").exists()


def test_the_help_lists_every_section(run):
    words = " ".join(run("report", "--help").stdout.split())
    assert ", ".join(SECTIONS) in words
