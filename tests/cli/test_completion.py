"""What a shell completes, as each shell does: the script it is given is sourced in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vggfeat.cli import completers, main

BREAKS = " \t\n\"'><=;|&(:@"  # bash's usual ones


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with weights and pictures, and `vggfeat` where a shell finds it."""
    for name in ("runs/vgg16-256.safetensors", "mine.onnx", "notes.txt", "pictures/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def script(run, folder):
    """Writes what `vggfeat completion` prints of a shell, which must be installed."""

    def script(shell):
        if not shutil.which(shell) or not shutil.which("vggfeat"):
            pytest.skip(f"{shell} and vggfeat must be installed")
        path = folder / f"complete.{shell}"
        path.write_text(run("completion", shell).stdout)
        return path

    return script


def output(*command, **environment):
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


CASES = [
    # What is typed, what comes (among other things), and where bash's word begins.
    ("vggfeat ben", ["bench", "bench-speed"], ""),
    ("vggfeat datasets f", ["fetch"], ""),
    ("vggfeat bench calt", ["caltech101", "caltech256"], ""),
    ("vggfeat bench --net squ", ["squeezenet1_0", "squeezenet1_1"], ""),
    ("vggfeat bench --net vgg16@mat", ["vgg16@matconvnet"], "vgg16@"),
    ("vggfeat bench --net vgg16@ru", ["vgg16@runs/vgg16-256.safetensors"], "vgg16@"),
    ("vggfeat bench --net vgg16:width=0.5,input_size=32@to",
     ["vgg16:width=0.5,input_size=32@torchvision"], "vgg16:width=0.5,input_size=32@"),
    ("vggfeat bench --net vgg16+vgg11_", ["vgg16+vgg11_bn", "vgg16+vgg11_lrn"], ""),
    ("vggfeat bench --probe kn", ["knn", "knn_plain"], ""),
    ("vggfeat bench --agg", ["--aggregate"], ""),
    ("vggfeat pretrain vgg19-", ["vgg19-256", "vgg19-384", "vgg19-jitter"], ""),
    ("vggfeat localise train vgg16-256-s", ["vgg16-256-scr", "vgg16-256-scr-fc"], ""),
    ("vggfeat nonsense b", ["bench", "bench-speed"], ""),
]  # fmt: skip
each_case = pytest.mark.parametrize(
    ("typed", "expected", "kept"), CASES, ids=[case[0] for case in CASES]
)


@each_case
def test_bash(script, typed, expected, kept):
    lines = f'. "{script("bash")}"; COMP_LINE=$TYPED; COMP_POINT=${{#TYPED}}; COMPREPLY=();'
    lines += '_vggfeat_completion vggfeat; printf "%s\\n" "${COMPREPLY[@]}"'
    # Outside of a completion bash refuses to say that files may follow, too.
    lines = "compopt() { :; }; " + lines
    found = output("bash", "--norc", "-c", lines, TYPED=typed, COMP_WORDBREAKS=BREAKS)
    assert [f"{kept}{word}" for word in found if word] == expected


def test_a_completed_name_of_a_file_is_no_command_of_bash(script, folder):
    """What a shell completes is run when the line is, so that a file's name must stay a name."""
    odd = ["$(touch ran)", "`touch ran`", "'; touch ran;'", "a b", "*", 'a"b', "#a", "a\\b"]
    for name in (*odd, "a\nb", "a\x1b[2J"):
        (folder / f"{name}.onnx").touch()
    (folder / "mine.onnx").unlink()
    lines = f'. "{script("bash")}"; COMP_LINE=$TYPED; COMP_POINT=${{#TYPED}}; COMPREPLY=();'
    lines += '_vggfeat_completion vggfeat; for word in "${COMPREPLY[@]}"; do'
    lines += " eval \"printf '%s\\n' x@$word\"; done"
    typed = "vggfeat bench --net vgg11@"
    found = output("bash", "--norc", "-c", lines, TYPED=typed, COMP_WORDBREAKS=BREAKS)
    assert {f"x@{name}.onnx" for name in odd} == {word for word in found if ".onnx" in word}
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(("typed", "expected"), [case[:2] for case in CASES[::3]])
def test_fish(script, typed, expected):
    line = f"source {script('fish')}; complete -C $TYPED"
    found = output("fish", "--no-config", "-c", line, TYPED=typed)
    assert sorted(word.partition("\t")[0] for word in found) == sorted(expected)


@pytest.mark.parametrize(("typed", "expected"), [case[:2] for case in CASES[::3]])
def test_zsh(script, typed, expected):
    """Its script, with zsh's own functions, which need a person's terminal, printing instead."""
    lines = (
        "compdef() { :; }; _path_files() { :; }; compadd() { print -rl -- $completions; };"
        "_describe() { print -rl -- ${completions_with_descriptions%%:*}; };"
        f". {script('zsh')}; words=(${{=TYPED}}); CURRENT=$#words; _vggfeat_completion"
    )
    assert sorted(output("zsh", "-f", "-c", lines, TYPED=typed)) == sorted(expected)


@pytest.mark.parametrize("typed", ["vggfeat bench calt", "vggfeat bench --net vgg", "vggfeat pr"])
def test_completing_imports_nothing_heavy(typed):
    code = (
        "import atexit, sys; from vggfeat.cli import main;"
        "atexit.register(lambda: print('heavy:', *{'torch', 'numpy', 'h5py'} & set(sys.modules)));"
        "main()"
    )
    environment = {
        "COMP_LINE": typed, "COMP_POINT": str(len(typed)), "_VGGFEAT_COMPLETE": "bash_complete",
    }  # fmt: skip
    *found, heavy = output(sys.executable, "-c", code, **environment)
    assert found and heavy == "heavy:"


# The names stand in completers.py once more


def test_the_benchmarks_and_datasets_are_those_of_the_registry():
    from vggfeat.benchmarks.datasets.registry import DATASETS, distributions

    assert list(completers.BENCHMARKS) == [definition.name for definition in DATASETS]
    assert list(completers.DATASETS) == list(distributions())


def test_the_nets_and_their_weights_are_those_that_are_known():
    from vggfeat.vgg import CONFIGURATIONS
    from vggfeat.weights.released import everything

    labels = {entry.label for entry in everything()}
    assert set(completers.NETS) == {*CONFIGURATIONS, *(name.split("@")[0] for name in labels)}
    for net, names in completers.OWN_WEIGHTS.items():
        assert {f"{net}@{name}" for name in (*names, "torchvision")} <= labels


def test_the_stages_and_regressors_are_those_that_can_be_trained():
    from vggfeat.pretraining.box_recipes import box_recipe
    from vggfeat.pretraining.recipes import STAGES
    from vggfeat.vgg import CONFIGURATIONS

    assert set(completers.STAGES) == set(STAGES) and set(completers.TRAINED) == set(CONFIGURATIONS)
    assert [box_recipe(name).name for name in completers.REGRESSORS] == list(completers.REGRESSORS)


def test_every_option_and_argument_that_names_a_net_completes_them():
    def parameters(group):
        for command in getattr(group, "commands", {}).values():
            yield from command.params
            yield from parameters(command)

    for parameter in parameters(main):
        if parameter.metavar == "NET" and isinstance(parameter, click.Option):
            assert parameter._custom_shell_complete is completers.complete_nets
