"""--debug shows where an error came from; without it an error is one line."""

import pytest

COMMANDS = [
    ("table", "--out", "nowhere"),
    ("weights", "verify", "vgg16@nowhere.safetensors"),
    ("inspect", "nowhere.h5"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_error_is_one_line(run, command):
    result = run(*command)
    assert result.exit_code == 1 and "Traceback" not in result.output


@pytest.mark.parametrize(
    "command",
    [
        ("table", "--out", "nowhere", "--debug"),
        ("--debug", "table", "--out", "nowhere"),
        ("inspect", "--debug", "nowhere.h5"),
    ],
    ids=" ".join,
)
def test_debug_shows_the_traceback_before_the_line(run, command):
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr.count("Traceback (most recent call last)") == 1
    assert result.stderr.splitlines()[-1].startswith("Error: nowhere")


def test_an_unexpected_error_of_a_measurement_is_shown(run, caltech_dir, tmp_path, monkeypatch):
    def odd(*_, **__):
        raise ValueError("odd")

    monkeypatch.setattr("vggfeat.benchmarks.transfer.fuse", odd)
    net = "vgg11:width=0.0625,input_size=32@random:0"
    command = ("bench", "caltech101", "--net", net, "--data-dir", caltech_dir, "--scales", "32",
               "--splits", "1", "--out", tmp_path / "out")  # fmt: skip
    result = run(*command, "--debug")
    assert "ValueError: odd" in result.stderr and "Traceback" in result.stderr
    assert "unexpected ValueError: odd. This is a bug; report it" in result.stderr
    assert "Traceback" not in run(*command).stderr
