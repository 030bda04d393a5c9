"""What was promised to users, held against files that an earlier version made.

tests/data/promises holds them; its README says which version. Neither they nor this module change:
whatever becomes of the code, these files are read, found again and told in the same words. Only
the command line and the Python names of README.md are used here.
"""

import hashlib
import json
import re
import shlex
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file

from vggfeat.cli import main

ROOT = Path(__file__).resolve().parents[1]
PROMISES = Path(__file__).resolve().parent / "data" / "promises"
COMMANDS = json.loads((PROMISES / "commands.json").read_text())
TABLES = json.loads((PROMISES / "tables.json").read_text())
TABLE_DIGESTS = json.loads((PROMISES / "tables" / "sha256.json").read_text())
OPTIONS = json.loads((PROMISES / "options.json").read_text())
MEASURING = [name for name, line in COMMANDS.items() if "--cache-dir cache --out results" in line]
SPLITS = [name for name in COMMANDS if name.startswith("splits-")]
INSPECTIONS = [name for name in COMMANDS if name.startswith("inspect-")]
FEATURES = sorted(path.name for path in (PROMISES / "cache" / "features").glob("*.h5"))
NARROW = "vgg11:width=0.0625,input_size=32@random:0"
NARROW_FILE = "caltech101-vgg11_width_0.0625_input_size_32-644b7f8a6c07.h5"
TWO_SCALES_FILE = "caltech101-vgg11_width_0.015625_input_size_32-d5f394275f14.h5"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the kept files as the current folder, and an empty cache folder of the user."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for name in ("runs", "interrupted", "cache", "results", "saved"):
        shutil.copytree(PROMISES / name, folder / name)
    (folder / "data").symlink_to(PROMISES / "data")  # pictures are only read
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VGGFEAT_HOME", str(tmp_path / "home"))
    return folder


def run(arguments: str) -> Result:
    """A command as a user types it; stdout and stderr apart."""
    return CliRunner().invoke(main, shlex.split(arguments))


def done(arguments: str) -> Result:
    result = run(arguments)
    assert result.exit_code == 0, result.stderr
    return result


def bytes_below(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob(pattern)
        if path.is_file() and path.suffix != ".lock"
    }


def printed(name: str) -> str:
    return (PROMISES / "printed" / f"{name}.txt").read_text()


def anew(name: str, cache: str) -> str:
    """The command with another folder of results, and maybe of features."""
    line = COMMANDS[name].replace("--out results", "--out anew")
    return line.replace("--cache-dir cache", f"--cache-dir {cache}")


def assert_same_measurements(folder: Path, kept: Path, count: int) -> None:
    """Each new record has the name of one that was kept, and its numbers."""
    found = sorted(folder.glob("*/*.json"))
    assert len(found) == count
    for path in found:
        old = kept / "results" / path.relative_to(folder)
        assert old.is_file(), f"{path.name} is the name of no kept record"
        before, now = (json.loads(p.read_text()) for p in (old, path))
        for fact in ("schema_version", "key", "protocol", "splits_sha256", "metric", "notes"):
            assert now[fact] == before[fact]
        assert now["metrics"].keys() == before["metrics"].keys()
        for metric, told in before["metrics"].items():
            assert now["metrics"][metric]["value"] == pytest.approx(told["value"], abs=1e-6)


# Feature files


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_file_is_read_by_id_and_scale(name):
    """As h5py shows what lies in it, whatever order is asked for."""
    from vggfeat import store

    path = PROMISES / "cache" / "features" / name
    with h5py.File(path) as file:
        assert file.attrs["schema_version"] == 1
        ids = file["ids"].asstr()[()].tolist()
        scales = file.attrs["scales"].tolist()
        stored = file["descriptors"][()].astype(np.float32)
    assert len(ids) >= 18 and np.ptp(stored) > 0
    np.testing.assert_array_equal(store.read(path, ids, scales), stored)
    last = store.read(path, ids[::-3], scales[-1:])
    np.testing.assert_array_equal(last, stored[::-3, -1:])


@pytest.mark.parametrize("name", INSPECTIONS)
def test_inspect_tells_of_kept_files_what_it_told(kept, name):
    assert done(COMMANDS[name]).stdout == printed(name)


@pytest.mark.parametrize(
    ("name", "count"),
    [("caltech101", 1), ("caltech101-sweep", 4), ("voc2012", 3)],
)
def test_bench_finds_kept_features_and_leaves_them_as_they_are(kept, name, count):
    before = bytes_below(kept / "cache")
    result = done(anew(name, "cache"))
    assert "new descriptors" not in result.stderr
    assert bytes_below(kept / "cache") == before
    assert_same_measurements(kept / "anew", kept, count)
    archives = {path.name for path in (kept / "anew").rglob("*.server.tar.gz")}
    assert len(archives) == (3 if name == "voc2012" else 0)
    assert archives <= {path.name for path in (kept / "results").rglob("*.server.tar.gz")}


def test_evaluate_finds_kept_posteriors_and_leaves_them_as_they_are(kept):
    before = bytes_below(kept / "cache")
    net = "--net runs/vgg11-256.safetensors"
    views = "--views dense --views crops --views both --views centre"
    done(
        f"evaluate {net} {views} --data data/signs --cache-dir cache --out anew --device cpu"
        " --precision fp32"
    )
    assert bytes_below(kept / "cache") == before
    assert_same_measurements(kept / "anew", kept, 4)


def test_extract_finds_one_of_two_kept_scales(kept):
    before = bytes_below(kept / "cache")
    net = "vgg11:width=0.015625,input_size=32@random:1"
    result = done(
        f"extract --dataset caltech101 --net {net} --scales 40 --data-dir data --cache-dir cache"
        " --device cpu --precision fp32"
    )
    assert f"0 new descriptors, cache/features/{TWO_SCALES_FILE}" in result.stdout
    assert bytes_below(kept / "cache") == before


def test_extract_from_python_finds_kept_features(kept):
    from vggfeat import Extraction, extract, load_network

    root = Path("data/101_ObjectCategories")
    pictures = {path.relative_to(root).as_posix(): path for path in sorted(root.glob("*/*.jpg"))}
    options = Extraction(scales=(32,), device="cpu", precision="fp32")
    network = load_network(NARROW)
    again = extract("caltech101", pictures, network, options, folder=Path("cache/features"))
    assert (again.path.name, again.num_new) == (NARROW_FILE, 0)
    assert again.path.read_bytes() == (PROMISES / again.path).read_bytes()


def test_features_made_anew_have_the_name_and_the_numbers_of_kept_ones(kept):
    from vggfeat import store

    done(
        f"extract --dataset caltech101 --net {NARROW} --scales 32 --data-dir data --cache-dir new"
        " --device cpu --precision fp32"
    )
    (made,) = Path("new/features").glob("*.h5")
    old = PROMISES / "cache" / "features" / NARROW_FILE
    assert made.name == old.name
    with h5py.File(made) as new_file, h5py.File(old) as old_file:
        assert new_file.keys() == old_file.keys()
        assert new_file.attrs.keys() == old_file.attrs.keys()
        ids = old_file["ids"].asstr()[()].tolist()
        for name in old_file:
            assert new_file[name].shape == old_file[name].shape
            assert new_file[name].dtype == old_file[name].dtype
    np.testing.assert_allclose(
        store.read(made, ids, [32]), store.read(old, ids, [32]), rtol=1e-3, atol=1e-5
    )


# Records are found by their key


@pytest.mark.parametrize("name", MEASURING)
def test_what_was_measured_is_found_and_told_in_the_same_words(kept, name):
    """No feature file is needed for it, and no record is written."""
    shutil.rmtree("cache")
    before = bytes_below(kept / "results")
    result = done(COMMANDS[name])
    assert result.stdout == printed(name)
    assert "measured already: results/" in result.stderr
    assert "wrote results/" not in result.stderr
    assert bytes_below(kept / "results") == before
    assert not list(kept.rglob("*.h5"))


@pytest.mark.parametrize(
    ("name", "count"),
    [("caltech101-fused", 1), ("voc2007", 1), ("evaluate-multi", 2), ("localise", 2)],
)
def test_measured_anew_a_record_has_the_same_name_and_numbers(kept, name, count):
    done(anew(name, "new"))
    assert_same_measurements(kept / "anew", kept, count)


def test_a_record_from_python_has_the_key_of_the_command_line(kept):
    from vggfeat import Benchmark, DataOptions, load_benchmark

    benchmark = load_benchmark("caltech101", Path("data"), DataOptions(num_splits=3, seed=0))
    assert isinstance(benchmark, Benchmark)
    told = [
        json.loads(p.read_text())["splits_sha256"] for p in Path("results").glob("caltech101/*")
    ]
    assert benchmark.splits_sha256 in told


def test_saved_predictions_are_scored_without_nets_or_pictures(kept):
    for name in ("runs", "cache", "interrupted"):
        shutil.rmtree(name)
    Path("data").unlink()
    done(COMMANDS["evaluate-predictions"].replace("--out results", "--out anew"))
    assert_same_measurements(kept / "anew", kept, 3)


def test_predictions_are_saved_under_the_same_names_with_the_same_numbers(kept):
    done(COMMANDS["save"].replace("--save saved", "--save again"))
    names = sorted(path.name for path in Path("again").iterdir())
    assert names == sorted(path.name for path in Path("saved").iterdir())
    for name in names:
        again, saved = load_file(f"again/{name}"), load_file(f"saved/{name}")
        assert again.keys() == saved.keys() == {"posteriors", "top5", "labels"}
        np.testing.assert_allclose(again["posteriors"], saved["posteriors"], atol=1e-3)
        np.testing.assert_array_equal(again["labels"], saved["labels"])


# Splits


@pytest.mark.parametrize("name", SPLITS)
def test_splits_are_the_same_lines_and_digest(kept, name):
    result = done(COMMANDS[name])
    assert result.stdout == printed(name)
    digest = printed(f"{name}-sha256").splitlines()[-1]
    assert digest.startswith("splits_sha256 ") and digest in result.stderr.splitlines()


# Training


def test_an_interrupted_run_goes_on_from_its_checkpoint(kept):
    """To weights like those of the run that nobody interrupted."""
    log = Path("interrupted/vgg11-256/log.jsonl")
    before = log.read_text()
    assert [p.name for p in Path("interrupted/vgg11-256/checkpoints").iterdir()] == [
        "000000002.safetensors"
    ]
    result = done(COMMANDS["interrupted"])
    assert "vgg11-256: trained" in result.stdout
    assert log.read_text().startswith(before) and len(log.read_text()) > len(before)
    curves = [json.loads(Path(f"{folder}/vgg11-256.json").read_text())["curve"]
              for folder in ("interrupted", "runs")]  # fmt: skip
    assert [line["step"] for line in curves[0]] == [line["step"] for line in curves[1]]
    ended, straight = (
        load_file(f"{folder}/vgg11-256.safetensors") for folder in ("interrupted", "runs")
    )
    assert ended.keys() == straight.keys()
    for name, values in straight.items():
        np.testing.assert_allclose(ended[name], values, atol=1e-3)


@pytest.mark.parametrize("name", ["pretrain", "localise-train"])
def test_a_finished_stage_is_found_and_skipped(kept, name):
    before = bytes_below(kept / "runs")
    assert done(COMMANDS[name]).stdout == printed(name).replace(": trained,", ": was there,")
    assert bytes_below(kept / "runs") == before


@pytest.mark.parametrize("name", ["vgg11-256", "vgg16-256", "vgg11-256-pcr"])
def test_exported_weights_go_to_pth_and_back(kept, name):
    done(f"weights export runs/{name}.safetensors {name}.pth")
    assert Path(f"{name}.pth.card.json").is_file()
    done(f"weights import {name}.pth --out back.safetensors")
    old, back = load_file(f"runs/{name}.safetensors"), load_file("back.safetensors")
    assert old.keys() == back.keys()
    for tensor, values in old.items():
        np.testing.assert_array_equal(back[tensor], values)
    cards = [json.loads(done(f"inspect {path}").stdout)
             for path in (f"runs/{name}.safetensors", "back.safetensors")]  # fmt: skip
    for fact in ("net", "classes", "mean", "std"):
        assert cards[0][fact] == cards[1][fact]


# Tables of the project's own records


@pytest.fixture(scope="module")
def records_as_they_were(tmp_path_factory) -> Path:
    """Copies of the records under results/ that there were, and of no later ones."""
    folder = tmp_path_factory.mktemp("records")
    for line in (PROMISES / "tables" / "records.txt").read_text().splitlines():
        (folder / line).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / line, folder / line)
    return folder


@pytest.mark.parametrize("table", TABLE_DIGESTS)
def test_records_are_tabulated_in_the_same_words(records_as_they_were, monkeypatch, table):
    monkeypatch.chdir(records_as_they_were)
    name, _, form = table.rpartition(".")
    text = done(f"table {TABLES[name]} --format {form}").stdout
    expected = PROMISES / "tables" / table
    if expected.is_file():  # the short ones are kept as text, which tells what differs
        assert text == expected.read_text()
    assert hashlib.sha256(text.encode()).hexdigest() == TABLE_DIGESTS[table]


@pytest.mark.slow
def test_records_of_speed_are_tabulated_in_the_same_words(tmp_path):
    """Beside what is measured, by the only command that tells them."""
    shutil.copytree(PROMISES / "speed", tmp_path / "speed")
    result = done(f"bench-speed store --repeats 1 --device cpu --out {tmp_path / 'speed'}")
    assert (PROMISES / "speed" / "preparation.txt").read_text() in result.stdout


# The command line


def test_json_is_a_list_of_records_and_nothing_else(kept):
    for name in ("caltech101-sweep", "evaluate", "localise"):
        found = json.loads(done(f"{COMMANDS[name]} --format json").stdout)
        files = [json.loads(path.read_text()) for path in (kept / "results").glob("*/*.json")]
        assert found and all(record in files for record in found)
    found = json.loads(done("table --out results --format json").stdout)
    assert len(found) == len(list((kept / "results").glob("[cv]*/*.json")))


def test_exit_status_0_where_it_is_done():
    assert "version" in done("--version").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        "bench caltech101 --quiet --offline --data-dir nowhere --net vgg11@random:0",
        "inspect data/signs",
        "table --out nowhere",
        "evaluate --net runs/nothing.safetensors --data data/signs",
        "pretrain --stage vgg11-256 --data nowhere",
    ],
)
def test_exit_status_1_and_one_line_at_an_error(kept, arguments):
    result = run(arguments)
    assert result.exit_code == 1 and result.stdout == ""
    assert re.fullmatch(r"Error: [^\n]+\n", result.stderr)


@pytest.mark.parametrize("arguments", ["bench", "bench --nonsense", "nonsense", "inspect"])
def test_exit_status_2_at_wrong_usage(arguments):
    assert run(arguments).exit_code == 2


def test_help_lists_the_commands():
    told = done("--help").stdout
    for command in OPTIONS:
        if command and " " not in command:
            assert re.search(rf"^  {command}\b", told, flags=re.MULTILINE)


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_that_there_was_is_in_the_help(command):
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", done(f"{command} --help").stdout))
    assert set(OPTIONS[command]) - {"-h"} <= told


def test_the_names_of_the_readme_can_be_imported():
    import vggfeat
    from vggfeat import store

    for name in ("load_network", "extract", "Extraction", "OneVsRestSVM", "VggfeatError",
                 "DataOptions", "load_benchmark", "Benchmark"):  # fmt: skip
        assert getattr(vggfeat, name) is not None
    with pytest.raises(vggfeat.VggfeatError):
        store.read(PROMISES / "cache" / "features" / NARROW_FILE, ["no such picture"], [32])


def test_the_svm_is_an_estimator_of_scikit_learn():
    from sklearn.base import clone

    from vggfeat import OneVsRestSVM

    random = np.random.default_rng(0)
    vectors = np.concatenate([random.normal(c, 0.3, (12, 5)) for c in (-1, 0, 1)])
    classes = np.repeat(["a", "b", "c"], 12)
    fitted = clone(OneVsRestSVM()).fit(vectors, classes)
    assert fitted.score(vectors, classes) > 0.9
    assert fitted.decision_function(vectors).shape == (36, 3)
