"""Files of options that are wrong: refused in one line that names the file and the key."""

import os

import pytest


@pytest.fixture
def refused(run, here):
    """The line that bench ends with, of a file's content."""

    def refused(content, *arguments, name="vggfeat.toml"):
        if isinstance(content, str):
            content = content.encode()
        (here / name).write_bytes(content)
        result = run("bench", "--show-config", *arguments)
        assert result.exit_code == 1, result.output
        (line,) = result.stderr.splitlines()
        return line.removeprefix("Error: ")

    return refused


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[bench]\nnett = 1", "vggfeat.toml: [bench] nett is no option. Did you mean 'net'?"),
        ("[bench]\nno-mirror = true", "no-mirror is no option. Did you mean 'mirror'?"),
        ("[bench]\nshow-config = true", "show-config is no option"),
        ("[bench]\nnets = []", "nets is no option. Did you mean 'net'?"),
        ("[benhc]\nnet = []", "there is no 'benhc' outside of tables. Did you mean 'bench'?"),
        ("scales = [1]", "there is no 'scales' outside of tables. Allowed there: "),
        ("net = []", "there is no 'net' outside of tables. Allowed there: "),
        ("deivce = 'cpu'", "there is no 'deivce' outside of tables. Did you mean 'device'?"),
        ("bench = 1", "bench must be a table: [bench]; got 1"),
        ("[[bench]]\nseed = 1", "bench must be a table"),
        ("[bench]\nseed = 1\n[bench.more]\nx = 1", "[bench] more is no option"),
        ('[bench]\nscales = "256,384"', "[bench] scales must be a list of whole numbers"),
        ("[bench]\nscales = [1.5]", "[bench] scales must be a list of whole numbers"),
        ("[bench]\nscales = [true]", "[bench] scales must be a list of whole numbers"),
        ("[bench]\nscales = [[32]]", "[bench] scales must be a list of whole numbers"),
        ("[bench]\nscales = [0]", "[bench] scales: scales must be from 1 to 10000; got [0]"),
        ("[bench]\nscales = []", "[bench] scales is not allowed"),
        ("[bench]\nseed = -1", "[bench] seed is not allowed: -1 is not in the range x>=0"),
        ("[bench]\nseed = 1.0", "[bench] seed must be a whole number; got 1.0"),
        ("[bench]\nseed = 2020-01-01", "[bench] seed must be a whole number"),
        ('[bench]\nmirror = "false"', "[bench] mirror must be true or false; got 'false'"),
        ("[bench]\nmirror = 0", "[bench] mirror must be true or false"),
        ("[bench]\nnet = 16", "[bench] net must be a list of texts; got 16"),
        ("[bench]\nnet = [1]", "[bench] net must be a list of texts"),
        ('[bench]\nprobe = ["smv"]', "[bench] probe is not allowed: 'smv' is not one of"),
        ('[bench]\nprecision = "fp16"', "[bench] precision is not allowed: 'fp16' is not one of"),
        ('[bench]\nbox-margin = "1"', "[bench] box-margin must be a number"),
        ("[bench]\nbox-margin = nan", "box-margin must be from 0 to 10; got nan"),
        ("[bench]\nbatch-size = 0", "[bench] batch-size is not allowed"),
        ('[bench]\nbatch-size = "all"', '[bench] batch-size must be a whole number or "auto"'),
        ('[bench]\ndevice = "gpu"', "[bench] device is not allowed: device must be one of"),
        ("[bench]\nout = 1", "[bench] out must be a text; got 1"),
        ('[bench]\nout = "a\\u0000b"', "[bench] out must be a text without zero bytes"),
        ("[bench]\nbox-margin = 1\nbox_margin = 1", "[bench] box-margin is there twice"),
        ("[bench]\nnet = [\n", "not TOML"),
        ("[bench]\nseed = 1\nseed = 2", "line 3"),
        ("[bench]\nseed = one", "line 2"),
        ("x = " + "[" * 5000, "too deep"),
        ("x = " + "9" * 5000, "not TOML: Exceeds the limit"),
        ("#" * (2**20 + 1), "larger than 1 MiB"),
        (b"[bench]\nout = '\xff'", "vggfeat.toml, line 2: not in UTF-8"),
        (f"[bench]\nnet = ['{'x' * 999}', 1]", "..."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_and_key(refused, content, words):
    line = refused(content)
    assert line.startswith("vggfeat.toml") and words in line
    assert len(line) < 500 or "Known:" in line


def test_values_are_texts_on_the_terminal(refused):
    assert "\x1b" not in refused('[bench]\nprobe = "\\u001b[2J"')
    assert "\x1b" not in refused('[bench]\n"\\u001b[2J" = 1')


@pytest.mark.parametrize(
    "line",
    [
        'benchmark = "evil.py:DATA"',
        'net = ["evil:make"]',
        'net = ["vgg16+evil.nets:make@random:0"]',
        'net = ["evil:make:layer=a"]',
        'net = ["ours=evil:make"]',
        'net = ["our net= evil:make@w.pth"]',
    ],
)
def test_a_file_that_was_only_found_names_no_code(refused, run, line):
    assert "names code" in refused(f"[bench]\n{line}")
    assert run("bench", "--show-config", "--config", "vggfeat.toml").exit_code == 0


@pytest.mark.parametrize("make", ["folder", "unreadable", "loose link", "pipe"])
def test_what_is_no_file_is_refused(run, here, make):
    path = here / "vggfeat.toml"
    if make == "folder":
        path.mkdir()
    elif make == "loose link":
        path.symlink_to("nowhere")
    elif make == "pipe":
        os.mkfifo(path)
    else:
        path.touch(mode=0)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything")
    result = run("bench", "--show-config")
    assert result.exit_code == 1 and result.stderr.startswith("Error: vggfeat.toml: ")
    assert run("bench", "--help").exit_code == 0
