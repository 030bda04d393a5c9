"""The Python of README and of the pages is run, with a narrow net in place of the ones it names."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from helpers.code_blocks import blocks_of
from helpers.pictures import NARROW, write_picture

ROOT = Path(__file__).resolve().parents[2]
DEEPER = NARROW.replace("vgg11", "vgg13")
STAND_INS = {
    '["vgg16", "vgg19", "vgg16+vgg19"]': repr([NARROW, DEEPER, f"{NARROW}+{DEEPER}"]),
    '"vgg16"': repr(NARROW),
    "(256, 384)": "(32, 48)",
}


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_picture(Path("pictures", "new.jpg"))
    write_picture(Path("new.jpg"))


def python_of(document: str) -> list[str]:
    return [block.text for block in blocks_of(ROOT / document) if block.language == "python"]


def with_stand_ins(code: str) -> str:
    """The code with narrow nets and small scales; it must name some that are replaced."""
    small = code
    for name, stand_in in STAND_INS.items():
        small = small.replace(name, stand_in)
    assert small != code
    return small


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_measuring(document, home, capsys):
    code = with_stand_ins(python_of(document)[0])
    scope = {}
    exec(code.replace("scales=", "limit=12, num_splits=1, scales="), scope)
    assert len(scope["results"].records) == 3
    assert "Digits, mean class recall" in capsys.readouterr().out


def test_in_scikit_learn():
    paths = [write_picture(Path(f"{n}.jpg"), seed=n) for n in range(8)]
    scope = {"paths": paths, "labels": ["cat", "dog"] * 4}
    exec(with_stand_ins(python_of("docs/python.md")[1]), scope)
    assert len(scope["classifier"].classes_) == 2


def test_descriptors_of_pictures():
    scope = {}
    exec(with_stand_ins(python_of("docs/python.md")[2]), scope)
    assert scope["extracted"].num_new == 1 and scope["extracted"].path.is_file()


def test_what_commands_leave_behind(run):
    """Records and probes of two narrow nets on digits, a feature file, and an array."""
    code = python_of("docs/python.md")[3]
    small = ["--scales", "32", "--cache-dir", "cache"]
    run("extract", "--images", "pictures", "--net", NARROW, "--to", "features.h5", *small)
    few = ["--splits", "1", "--limit", "12", "--save-probe"]
    for letter, net in (("a", NARROW), ("b", NARROW.replace("random:0", "random:1"))):
        run("bench", "digits", "--net", net, *small, *few, "--out", letter)
        for path in Path(letter, "digits").iterdir():
            path.rename(letter + path.name.rpartition("-")[2][16:])  # behind the key
    rng = np.random.default_rng(0)
    labels = ["cat", "dog"] * 20
    scope = {"X": rng.normal(size=(40, 8)), "labels": labels}
    exec(code, scope)
    assert list(scope["features"].index) == ["new.jpg"]
    assert scope["record"].protocol["images"] == 40 and scope["record"].protocol["classes"] == 2
    assert scope["scores"].shape == (1, 10)
    assert list(scope["scores"].columns) == [str(digit) for digit in range(10)]
    assert str(scope["comparison"]).startswith("No difference can be seen with these 60 pictures")


def test_reading_a_feature_file(run):
    options = ["--scales", "256", "--cache-dir", "cache"]
    run("extract", "--images", "pictures", "--net", NARROW, "--to", "features.h5", *options)
    bare, ours = python_of("docs/features.md")
    scope = {}
    exec(bare, scope)
    assert scope["ids"].tolist() == ["new.jpg"] and scope["descriptors"].shape == (1, 1, 256)
    exec(ours, scope)
    assert scope["frame"][256].shape == (1, 256)
    np.testing.assert_array_equal(scope["array"], scope["descriptors"])
    assert Path("features.csv").is_file()


@pytest.mark.parametrize("document", ["docs/average-precision.md", "docs/talk.md"])
def test_python_prints_what_stands_below_it(document):
    printed = None
    for block in blocks_of(ROOT / document):
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stdout:
                exec(block.text, {})
            printed = stdout.getvalue()
        elif block.language == "text":
            assert block.text == printed, block
    assert printed
