"""The command line as a new user tries it: typos, missing files, second runs."""

import json
import signal
import subprocess
import sys

import pytest
import torch
from helpers.pictures import NARROW
from safetensors.torch import save_file

from vggfeat import vgg
from vggfeat.cli import main
from vggfeat.cli.commands import SUMMARIES
from vggfeat.cli.datasets import datasets

BENCH = ("bench", "caltech101", "--scales", "32,48", "--splits", "2", "--offline")


@pytest.fixture
def bench(run, caltech_dir, tmp_path):
    def bench(*more, net=NARROW):
        folders = ("--data-dir", caltech_dir, "--out", tmp_path / "out")
        return run(*BENCH, *folders, "--net", net, *more)

    return bench


def test_help_of_every_command_is_light_and_complete(run):
    assert run("--help").exit_code == 0
    for group, prefix in ((main, ()), (datasets, ("datasets",))):
        for name, command in group.commands.items():
            result = run(*prefix, name, "--help")
            assert result.exit_code == 0 and command.help
            for option in command.params:
                assert option.param_type_name == "argument" or option.opts[0] in result.stdout


def test_help_of_every_command_fits_a_terminal_of_80_columns(run):
    for name, command in main.commands.items():
        for subcommand in getattr(command, "commands", [None]):
            words = [word for word in (name, subcommand) if word]
            lines = run(*words, "--help").stdout.splitlines()
            assert [line for line in lines if len(line) > 80] == []


def test_help_says_of_each_command_what_it_says_of_itself():
    for name, (_, summary) in SUMMARIES.items():
        assert main.commands[name].get_short_help_str(limit=1000) == summary
    assert list(main.commands) == list(SUMMARIES)


def test_help_imports_no_command_nor_what_measures():
    code = (
        "import sys; from click.testing import CliRunner; import vggfeat.cli;"
        "assert CliRunner().invoke(vggfeat.cli.main, ['--help']).exit_code == 0;"
        "sys.exit(bool({'torch', 'sklearn', 'pandas', 'numpy', 'h5py', 'vggfeat.cli.bench',"
        " 'vggfeat.cli.options', 'importlib.metadata'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def heavy_imports(*arguments) -> set[str]:
    """Which of the libraries that take long to import a command loads."""
    code = (
        "import sys; from vggfeat.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "print(*{'torch', 'torchvision', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def test_what_is_measured_already_is_shown_without_what_measures(run, caltech_dir, tmp_path):
    weights, other, out = (tmp_path / name for name in ("a.safetensors", "b.safetensors", "out"))
    for path in (weights, other):
        assert run("weights", "export", NARROW, path).exit_code == 0
    nets = ("--net", NARROW, "--net", f"{weights}+{other}")
    command = (
        *BENCH, *nets, "--limit", "4", "--precision", "fp32",
        "--data-dir", caltech_dir, "--out", out,
    )  # fmt: skip
    assert run(*command).exit_code == 0
    assert heavy_imports(*command) == {"torch"}
    assert heavy_imports("table", "--out", out) == set()


def test_the_datasets_are_listed_without_what_measures(home):
    assert heavy_imports("datasets", "ls") <= {"torch"}


def test_python_dash_m():
    result = subprocess.run(
        [sys.executable, "-m", "vggfeat", "--version"], capture_output=True, text=True
    )
    assert result.returncode == 0 and "vggfeat, version" in result.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("bnech",), "Did you mean 'bench'?"),
        (("datasets", "lst"), "Did you mean 'ls'?"),
        (("bench",), "Name a benchmark"),
        (("bench", "caltech101", "--scale", "32"), "--scales"),
        (("bench", "caltech101", "--scales", "big"), "such as 256,384,512"),
        (("bench", "caltech101", "--batch-size", "0"), "not in the range"),
        (("bench", "caltech101", "--aggregate", "max"), "average"),
        (("extract",), "--dataset"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_right(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and message in result.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("bench", "caltech11", "--net", NARROW), "Did you mean 'caltech101'?"),
        (("bench", "digits", "--net", "vgg18@random:0"), "Did you mean 'vgg1"),
        (("bench", "digits", "--net", "vgg16@nowhere.pth"), "nowhere.pth"),
        (("bench", "digits", "--net", NARROW, "--scales", "8"), "scale 8 is too small"),
        (("bench", "digits", "--net", NARROW, "--limit", "1"), "limit must be at least 2"),
        (("bench", "digits", "--net", NARROW, "--splits", "0"), "splits must be from 1 to 1000"),
        (("bench", "digits", "--offline"), "nothing may be fetched (--offline"),
        (("bench", "digit", "--offline"), "Did you mean 'digits'"),  # before weights are missed
        (("bench", "digits", "--offline", "--net", "vgg16", "--net", "vgg61"), "'vgg61'"),
        (("bench", "caltech101", "--net", NARROW, "--offline"), "caltech-101.zip"),
        (("extract", "--dataset", "voc", "--net", NARROW), "Unknown benchmark 'voc'"),
        (("inspect", "nowhere.h5"), "nowhere.h5: no such feature file"),
        (("table", "--out", "nowhere"), "no such results folder"),
    ],
)
def test_what_a_user_can_cause_is_one_line_and_status_1(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert message in line
    assert not result.stdout


def test_bench_prints_a_table_and_leaves_a_record(bench, tmp_path):
    result = bench()
    assert result.exit_code == 0
    assert "Published, 16 layers" in result.stdout and "not comparable" in result.stdout
    (path,) = (tmp_path / "out").glob("caltech101/*.json")
    record = json.loads(path.read_text())
    assert record["metrics"]["mean_class_recall"]["value"] > 0.5  # tinted classes are easy
    assert record["command"].startswith("vggfeat")
    assert "class 'wild_cat' has 12 pictures" in result.stderr


def test_a_second_run_measures_nothing(bench, caltech_dir, monkeypatch):
    first = bench("--format", "json")
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("a picture was opened"))
    monkeypatch.setattr(
        "vggfeat.probes.svm_newton.NewtonFits.fit", lambda *_: pytest.fail("an SVM was fit")
    )
    second = bench("--format", "json")
    assert second.stdout == first.stdout
    assert "measured already" in second.stderr


def test_where_the_time_went_is_told_once_and_not_on_stdout(bench):
    first = bench("--format", "json", "--verbose")
    (line,) = [line for line in first.stderr.splitlines() if line.startswith("timing: ")]
    assert "; most: " in line
    assert "timing" not in bench("-v").stderr  # nothing was measured
    assert "timing" not in bench("--aggregate", "average").stderr
    assert json.loads(first.stdout)


def test_json_is_a_list_of_records_and_nothing_else(bench):
    fused = f"{NARROW}+vgg13:width=0.0625,input_size=32@random:1"
    result = bench("--net", fused, "--format", "json")
    records = json.loads(result.stdout)
    assert [len(record["nets"]) for record in records] == [1, 2]
    assert "caltech101: " in result.stderr


def test_a_repaired_picture_is_measured_again(bench, caltech_dir):
    picture = caltech_dir / "101_ObjectCategories" / "accordion" / "image_0001.jpg"
    whole = picture.read_bytes()
    picture.write_bytes(b"broken")
    assert "skipped pictures: 1" in bench("--on-error", "skip").stdout
    assert bench().exit_code == 1  # without skip the old record does not answer
    picture.write_bytes(whole)
    assert "skipped pictures" not in bench().stdout


def test_weights_files_of_one_name_are_two_nets(run, caltech_dir, tmp_path):
    nets = []
    for folder in ("first", "second"):
        net = vgg.build("vgg11", width=0.0625, input_size=32)
        (tmp_path / folder).mkdir()
        save_file(net.state_dict(), tmp_path / folder / "w.safetensors")
        nets += ["--net", f"vgg11:width=0.0625,input_size=32@{tmp_path / folder / 'w.safetensors'}"]
    result = run(
        "extract", "--dataset", "caltech101", "--data-dir", caltech_dir, "--scales", "32", *nets
    )
    assert result.stdout.count("111 new descriptors") == 2


def test_limit_is_stamped_on_record_and_table(bench, tmp_path):
    result = bench("--limit", "4")
    assert "LIMITED" in result.stdout
    (path,) = (tmp_path / "out").glob("caltech101/*.json")
    assert json.loads(path.read_text())["limited"] is True


def test_no_background(bench):
    (record,) = json.loads(bench("--no-background", "--format", "json").stdout)
    assert record["protocol"]["classes"] == 3
    assert "BACKGROUND_Google" not in record["metrics"]["mean_class_recall"]["per_class"]


def test_table_prints_what_bench_printed(bench, run, tmp_path):
    printed = bench().stdout
    assert run("table", "--out", tmp_path / "out").stdout == printed
    assert run("table", "--out", tmp_path / "out", "--format", "csv").stdout.count("\n") == 6


def test_unreadable_picture_stops_with_its_name_and_the_way_on(bench, caltech_dir):
    broken = caltech_dir / "101_ObjectCategories" / "accordion" / "image_0001.jpg"
    broken.write_bytes(b"not a picture")
    result = bench()
    assert result.exit_code == 1
    assert "accordion/image_0001.jpg" in result.stderr and "--on-error skip" in result.stderr
    result = bench("--on-error", "skip", "--format", "json")
    assert list(json.loads(result.stdout)[0]["skipped"]) == ["accordion/image_0001.jpg"]


def test_extract_then_inspect_then_bench_extracts_nothing(run, bench, caltech_dir, home):
    result = run(
        "extract", "--dataset", "caltech101", "--data-dir", caltech_dir, "--net", NARROW,
        "--scales", "32,48",
    )  # fmt: skip
    assert result.exit_code == 0
    assert f"caltech101, {NARROW}: 111 new descriptors" in result.stdout
    (path,) = (home / "features").glob("*.h5")
    told = run("inspect", path).stdout
    assert "done: 111 of 111" in told and "not finite: 0, all zero: 0" in told
    assert "scales: 32, 48" in told and "network: vgg11:width=0.0625,input_size=32" in told
    assert "new descriptors" not in bench().stderr


def test_datasets_ls_says_where_the_data_is(run, caltech_dir, tmp_path):
    found = run("datasets", "ls", "--data-dir", caltech_dir).stdout
    assert str(caltech_dir / "101_ObjectCategories") in found
    assert (
        f"not in {tmp_path / 'no'}" in run("datasets", "ls", "--data-dir", tmp_path / "no").stdout
    )


def test_quiet_says_nothing_but_warnings(bench):
    warnings = ("wild_cat", "of its 9,144 examples", "of the grid")
    told = bench("--quiet").stderr.splitlines()
    assert [line for line in told if not any(warning in line for warning in warnings)] == []


def test_progress_is_plain_lines_when_stderr_is_no_terminal(bench):
    stderr = bench("--verbose").stderr
    assert f"extracting {NARROW}: 111 of 111" in stderr
    assert "\r" not in stderr and "\x1b" not in stderr


def test_an_out_folder_that_cannot_be_written_is_told_before_any_work(run, caltech_dir, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "caltech101").write_text("a file where a folder is needed")
    result = run(*BENCH, "--data-dir", caltech_dir, "--out", tmp_path / "out", "--net", NARROW)
    assert result.exit_code == 1 and "records cannot be written there" in result.stderr
    assert "extracting" not in result.stderr


def test_records_made_before_an_error_are_shown(run, caltech_dir, tmp_path):
    """The second net's weights are of another net, which shows when it is built."""
    save_file({"weight": torch.zeros(1)}, tmp_path / "bad.safetensors")
    result = run(
        *BENCH, "--data-dir", caltech_dir, "--out", tmp_path / "out", "--net", NARROW,
        "--net", f"vgg11:width=0.0625,input_size=32@{tmp_path}/bad.safetensors", "--format", "json",
    )  # fmt: skip
    assert result.exit_code == 1 and "bad.safetensors: does not fit" in result.stderr
    assert len(json.loads(result.stdout)) == 1


def test_a_scale_too_small_for_a_later_net_is_told_before_any_work(bench):
    result = bench("--net", "vgg11:width=0.0625,input_size=64@random:0")
    assert result.exit_code == 1 and "scale 32 is too small" in result.stderr
    assert "extracting" not in result.stderr


def test_nothing_but_unreadable_pictures(bench, caltech_dir):
    for path in (caltech_dir / "101_ObjectCategories").rglob("*.jpg"):
        path.write_bytes(b"broken")
    result = bench("--on-error", "skip")
    assert result.exit_code == 1 and "no picture could be read; 111 skipped" in result.stderr


def test_a_newline_in_a_path_makes_no_second_line(run):
    result = run("inspect", "a\nb.h5")
    assert result.stderr == "Error: a b.h5: no such feature file.\n"


def test_a_full_disk_is_one_line(bench, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("vggfeat.records.record.write", full)
    result = bench()
    assert result.exit_code == 1
    assert "Error: No space left on device: /somewhere" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_says_that_nothing_is_lost(bench, monkeypatch, number):
    def interrupted(*_, **__):
        signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr("vggfeat.features.pipeline.describe", interrupted)
        result = bench()
    assert result.exit_code == 128 + number and "the same command goes on" in result.stderr
    assert "Traceback" not in result.stderr
    assert bench().exit_code == 0
