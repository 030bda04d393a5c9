"""vggfeat.toml: the options of a command in a file, and where each value comes from."""

import json
import shlex

import click
import pytest
from click.testing import CliRunner

from vggfeat.cli import main

NET = "vgg11:width=0.0625,input_size=32@random:0"
FILE = f"""\
[bench]
benchmark = "digits"
net = ["{NET}"]
scales = [32]
mirror = false
splits = 2
limit = 4
probe = ["centroid"]
"""


@pytest.fixture
def settings(run, here):
    """What `--show-config` says of a command's options: name -> (value, where it is from)."""

    def settings(*arguments):
        result = run(*arguments, "--show-config", "--format", "json")
        assert result.exit_code == 0, result.output
        return {s["option"]: (s["value"], s["from"]) for s in json.loads(result.stdout)}

    return settings


def test_the_command_line_wins_over_the_environment_over_the_file_over_defaults(
    settings, here, monkeypatch
):
    assert settings("bench")["seed"] == (0, "default")
    (here / "vggfeat.toml").write_text("[bench]\nseed = 1")
    assert settings("bench")["seed"] == (1, "file, vggfeat.toml")
    monkeypatch.setenv("VGGFEAT_BENCH_SEED", "2")
    assert settings("bench")["seed"] == (2, "environment, VGGFEAT_BENCH_SEED")
    assert settings("bench", "--seed", "3")["seed"] == (3, "command line")


def test_folders_are_those_that_a_command_would_take(settings, home, here):
    assert settings("bench")["data-dir"] == (str(home / "data"), "environment, VGGFEAT_HOME")
    (here / "vggfeat.toml").write_text('data-dir = "there"')
    assert settings("bench")["data-dir"] == ("there", "file, vggfeat.toml")


@pytest.mark.parametrize(
    ("line", "option", "value"),
    [
        ("scales = [32, 48]", "scales", "32,48"),
        ("scales = 32", "scales", "32"),
        ('shots = [1, "all"]', "shots", "1,all"),
        ('shots = "all"', "shots", "all"),
        ('sweep = ["scales", "mirror"]', "sweep", "scales,mirror"),
        ('net = "vgg16"', "net", ["vgg16"]),
        ('net = ["vgg16", "vgg19"]', "net", ["vgg16", "vgg19"]),
        ('batch-size = "auto"', "batch-size", "auto"),
        ("batch-size = 3", "batch-size", 3),
        ("box_margin = 1", "box-margin", 1.0),
        ("box-margin = 0.5", "box-margin", 0.5),
        ("mirror = false", "mirror", False),
        ("exif = true", "exif", True),
        ('labels = "of/mine.csv"', "labels", "of/mine.csv"),
    ],
)
def test_values_have_the_types_of_toml(settings, here, line, option, value):
    (here / "vggfeat.toml").write_text(f"[bench]\n{line}")
    assert settings("bench")[option] == (value, "file, vggfeat.toml")


def test_keys_stand_in_tables_of_commands_and_a_few_are_shared(settings, here):
    (here / "vggfeat.toml").write_text(
        'device = "cpu"\ndata-dir = "d"\n[bench]\ndevice = "auto"\n[localise.evaluate]\nnet = ["a"]'
        "\nlimit = 3\n[extract]\nlimit = 7"
    )
    assert settings("bench")["device"] == ("auto", "file, vggfeat.toml")
    assert settings("evaluate")["device"] == ("cpu", "file, vggfeat.toml")
    assert settings("localise", "evaluate")["limit"] == (3, "file, vggfeat.toml")


@pytest.mark.parametrize(
    "content",
    [
        '\ufeff[bench]\r\nout = "o"\r\n'.encode(),
        b'bench = {out = "o"}',
        b'bench.out = "o"',
    ],
    ids=["BOM and CRLF", "inline table", "dotted"],
)
def test_toml_in_any_form(settings, here, content):
    (here / "vggfeat.toml").write_bytes(content)
    assert settings("bench")["out"] == ("o", "file, vggfeat.toml")


def test_pyproject_has_a_section(settings, here):
    (here / "pyproject.toml").write_text("[tool.vggfeat.bench]\nseed = 4\n[tool.other]\nseed = 5")
    assert settings("bench")["seed"] == (4, "file, pyproject.toml")


@pytest.mark.parametrize(
    "content", ["[project]\nname = 'vggfeat-user'", "[project", "tool = 1 # vggfeat", "", "\udcff"]
)
def test_pyproject_of_others_is_left_alone(run, here, content):
    (here / "pyproject.toml").write_bytes(content.encode(errors="surrogateescape"))
    assert run("bench", "--show-config").exit_code == 0


def test_one_of_two_files_has_to_be_named(settings, run, here):
    (here / "pyproject.toml").write_text("[tool.vggfeat.bench]\nseed = 4")
    (here / "vggfeat.toml").write_text("[bench]\nseed = 1")
    result = run("bench", "--show-config")
    assert result.exit_code == 1 and "both here" in result.stderr
    assert settings("bench", "--config", "vggfeat.toml")["seed"][0] == 1
    assert settings("bench", "--config", "pyproject.toml")["seed"][0] == 4


def test_a_variable_names_a_file_or_none(settings, here, monkeypatch):
    (here / "vggfeat.toml").write_text("[bench]\nseed = 1")
    (here / "other.toml").write_text("[bench]\nseed = 2")
    monkeypatch.setenv("VGGFEAT_CONFIG", "other.toml")
    assert settings("bench")["seed"] == (2, "file, other.toml")
    monkeypatch.setenv("VGGFEAT_CONFIG", "")
    assert settings("bench")["seed"] == (0, "default")


def test_only_the_current_folder_is_looked_at(settings, here, monkeypatch):
    (here / "vggfeat.toml").write_text("[bench]\nseed = 1")
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    assert settings("bench")["seed"] == (0, "default")


def test_paths_are_as_seen_from_the_file(settings, here):
    folder = here / "my files"
    (folder / "pictures").mkdir(parents=True)
    (folder / "digits").mkdir()
    for name in ("a.safetensors", "b+c.safetensors", "data.py"):
        (folder / name).touch()
    (folder / "mine.toml").write_text(
        'data-dir = "/data"\n[bench]\nout = "records"\nlabels = "l.csv"\n'
        'net = ["vgg16@a.safetensors", "a.safetensors:layer=fc6+vgg19", "b+c.safetensors", "vgg16",'
        ' "vgg16@none.pth", "ours=a.safetensors:layer=fc6", "b=vgg16@a.safetensors"]\n'
        'benchmark = ["pictures", "digits", "./digits", "data.py:D"]'
    )
    found = settings("bench", "--config", "my files/mine.toml")
    assert found["out"][0] == "my files/records"
    assert found["labels"][0] == "my files/l.csv"
    assert found["data-dir"][0] == "/data"
    assert found["net"][0] == [
        "vgg16@my files/a.safetensors",
        "my files/a.safetensors:layer=fc6+vgg19",
        "my files/b+c.safetensors",
        "vgg16",
        "vgg16@none.pth",
        "ours=my files/a.safetensors:layer=fc6",
        "b=vgg16@my files/a.safetensors",
    ]
    assert found["benchmark"][0] == [
        "my files/pictures", "digits", "my files/digits", "my files/data.py:D",
    ]  # fmt: skip


def test_a_link_is_followed(settings, here):
    (here / "real.toml").write_text("[bench]\nseed = 1")
    (here / "vggfeat.toml").symlink_to("real.toml")
    assert settings("bench")["seed"] == (1, "file, vggfeat.toml")


def test_a_named_file_has_to_be_there(run, here):
    result = run("bench", "--config", "mine.toml")
    assert result.exit_code == 1 and "mine.toml: no such file" in result.stderr
    (here / "pyproject.toml").touch()
    result = run("bench", "--config", "pyproject.toml")
    assert "has no [tool.vggfeat]" in result.stderr


def commands(group, names=()):
    """The names of each command that has options and needs no argument."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        elif command.params and not any(parameter.required for parameter in command.params):
            yield *names, name


@pytest.mark.parametrize("names", list(commands(main)), ids=" ".join)
def test_every_command_shows_its_settings(run, here, names):
    """With a shared key in the file, of which each takes what it has an option for."""
    (here / "vggfeat.toml").write_text('data-dir = "there"\nquiet = true')
    result = run(*names, "--show-config")
    assert result.exit_code == 0 and result.stdout.startswith("option ")
    assert "File: vggfeat.toml." in result.stdout and not list(here.glob("[!v]*"))


def test_nothing_is_run_and_the_table_fits(run, here):
    (here / "vggfeat.toml").write_text(FILE)
    result = run("bench", "--show-config", "--data-dir", "data")
    assert result.exit_code == 0 and list(here.iterdir()) == [here / "vggfeat.toml"]
    lines = {line.split()[0]: line.split("  ") for line in result.stdout.splitlines() if line}
    assert lines["scales"][-1].strip() == "file, vggfeat.toml"
    assert lines["data-dir"][-1].strip() == "command line"
    assert lines["aggregate"] != lines["seed"] and "the benchmark's own" in result.stdout


def record_of(run, *arguments):
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    (record,) = json.loads(result.stdout)
    return record, result.stderr


def test_the_command_of_a_record_says_what_the_file_said(run, here):
    """The same command where there is no file leads to the same key."""
    (here / "vggfeat.toml").write_text(FILE)
    record, stderr = record_of(run, "bench", "--out", "a")
    assert "options from vggfeat.toml: benchmark, net, scales" in stderr
    (here / "vggfeat.toml").unlink()
    program, *words = shlex.split(record["command"])
    assert program == "vggfeat" and "--no-mirror" in words
    words[words.index("a")] = "b"
    again, _ = record_of(run, *words)
    assert again["key"] == record["key"] and again["metrics"] == record["metrics"]


def test_the_command_of_a_record_is_followed_whatever_file_is_here(run, here):
    (here / "vggfeat.toml").write_text(FILE)
    record_of(run, "bench", "--out", "a")
    (here / "vggfeat.toml").write_text("[bench]\nscales = [64]\nlimit = 2")
    (path,) = (here / "a").rglob("*[0-9a-f].json")
    result = run("verify", path)
    assert result.exit_code == 0 and "have its key" in result.stdout


def test_every_option_survives_the_way_through_a_command_line():
    """Each option of bench, given once: words -> parsed -> words -> parsed is the same."""
    from vggfeat.cli.option_values import words_of

    bench = main.commands["bench"]
    given = {
        "Numbers": "32,48", "Shots": "1,all", "Names": "scales,relu", "NumberOr": "3",
        "Path": "a b", "Int": "3", "IntRange": "3", "Float": "0.5", "Checked": "cuda:1",
        "String": "x y", "Size": "3",
    }  # fmt: skip
    for option in bench.params:
        if isinstance(option, click.Argument):
            continue
        kind = type(option.type).__name__.removesuffix("ParamType")
        value = option.type.choices[-1] if kind == "Choice" else given.get(kind)
        for flag in (option.opts[0], *option.secondary_opts):
            words = [flag] if option.is_flag else [flag, value]
            parsed = bench.make_context("bench", list(words)).params[option.name]
            assert words_of(option, parsed) == words


def test_an_error_says_that_its_value_is_from_the_file(run, here):
    (here / "vggfeat.toml").write_text('[bench]\nbenchmark = "caltech1001"')
    result = run("bench")
    assert result.exit_code == 1
    assert "(benchmark is from vggfeat.toml)" in result.stderr.splitlines()[-1]


def test_without_a_file_the_command_stays_as_it_was_typed(here, monkeypatch):
    from vggfeat.cli.configured import command_line

    monkeypatch.setattr("sys.argv", ["vggfeat", "bench", "--seed", "0", "a b"])
    assert command_line() == "vggfeat bench --seed 0 'a b'"


def test_completion_and_help_do_not_read_it(here):
    (here / "vggfeat.toml").write_text("[")
    assert CliRunner().invoke(main, ["bench", "--help"]).exit_code == 0
    bench = main.commands["bench"]
    context = main.make_context("vggfeat", ["bench"], resilient_parsing=True)
    bench.make_context("bench", [], parent=context, resilient_parsing=True)
