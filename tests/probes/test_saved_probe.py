"""Saved probes: their file and card, the net they belong to, and what they say of pictures."""

import csv
import io
import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.pictures import NARROW, write_picture
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import vggfeat
from vggfeat.backbones.load import load_network
from vggfeat.benchmarks import verify
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.cli import main
from vggfeat.errors import PictureError, ProbeError
from vggfeat.layouts.options import DataOptions
from vggfeat.probes import probe_file
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.registry import PROBES
from vggfeat.records.record import read_all
from vggfeat.records.scores import read_scores, scores_path
from vggfeat.storage import checksums
from vggfeat.storage.folders import Folders
from vggfeat.weights import checkpoint
from vggfeat.weights.checkpoint import Card

OTHER = "vgg13:width=0.0625,input_size=32@random:5"
OPTIONS = ("--scales", "32,48", "--limit", "12", "--precision", "fp32")


class Saved:
    """A run of `bench --save-probe`: the benchmark, its record, scores and the probe's file."""

    def __init__(self, home: Path, name: str, *arguments: str, **data):
        self.home = home
        command = ("bench", name, *OPTIONS, "--save-probe", "--out", str(home / "out"), *arguments)
        self.result = CliRunner(env={"VGGFEAT_HOME": str(home)}).invoke(main, command)
        assert self.result.exit_code == 0, self.result.stderr
        (self.record,) = read_all(home / "out")
        (self.path,) = (home / "out").rglob("*.probe.safetensors")
        (json_path,) = (home / "out").rglob("*.json")
        self.scores = read_scores(scores_path(json_path))
        self.benchmark = load_benchmark(
            name, options=DataOptions(limit=12, **data), places=Folders(home, home), offline=True
        )

    def tested(self) -> tuple[list[Path], np.ndarray, np.ndarray]:
        """The test pictures of the first split, their scores and labels as the bench wrote them."""
        rows = self.scores.splits == 0
        ids = [i for i, of_first in zip(self.scores.ids, rows, strict=True) if of_first]
        return (
            [self.benchmark.pictures[i] for i in ids],
            self.scores.scores[rows],
            self.scores.labels[rows],
        )


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return Saved(
        tmp_path_factory.mktemp("digits"), "digits", "--net", NARROW, "--splits", "2", num_splits=2
    )


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Several labels a picture, two nets together, scales stacked."""
    return Saved(
        tmp_path_factory.mktemp("scenes"), "synthetic_scenes", "--net", f"{NARROW}+{OTHER}",
        "--aggregate", "stack", "--scale-l2",
    )  # fmt: skip


@pytest.fixture
def invoke(tmp_path):
    def invoke(*arguments):
        runner = CliRunner(env={"VGGFEAT_HOME": str(tmp_path / "empty")})
        result = runner.invoke(main, ["predict", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke


@pytest.mark.parametrize("probe", [name for name in PROBES if name != "svm"])
@pytest.mark.parametrize("name", ["digits", "synthetic_scenes"])
def test_every_probe_is_saved_and_says_the_same_again(name, probe, home_of_features, tmp_path):
    """The features are there already, so that only the probe is fitted."""
    shutil.copytree(home_of_features, tmp_path / "home")
    saved = Saved(
        tmp_path / "home", name, "--net", NARROW, "--splits", "1", "--probe", probe, num_splits=1
    )
    pictures, expected, _ = saved.tested()
    predictions = vggfeat.load_probe(saved.path).predict(pictures)
    trained = [saved.scores.classes.index(name) for name in predictions.classes]
    np.testing.assert_allclose(predictions.scores, expected[:, trained], rtol=1e-3, atol=1e-4)
    assert verify.findings(saved.path).__next__().status == "sound"


@pytest.fixture(scope="module")
def home_of_features(tmp_path_factory):
    """A cache folder with the features of both datasets."""
    home = tmp_path_factory.mktemp("features")
    arguments = ("--net", NARROW, "--out", str(home / "aside"), "--splits", "1", *OPTIONS)
    runner = CliRunner(env={"VGGFEAT_HOME": str(home)})
    result = runner.invoke(main, ["bench", "digits", "synthetic_scenes", *arguments])
    assert result.exit_code == 0, result.stderr
    shutil.rmtree(home / "aside")
    return home


@pytest.mark.parametrize("name", ["digits", "scenes"])
def test_predictions_of_the_test_pictures_are_the_scores_of_the_bench(name, request):
    saved = request.getfixturevalue(name)
    pictures, expected, _ = saved.tested()
    predictions = vggfeat.load_probe(saved.path).predict(pictures)
    trained = [k for k, c in enumerate(saved.scores.classes) if c in predictions.classes]
    np.testing.assert_allclose(predictions.scores, expected[:, trained], rtol=1e-4, atol=1e-5)
    assert predictions.pictures == tuple(map(str, pictures))
    assert list(predictions.to_frame().columns) == [saved.scores.classes[k] for k in trained]


def test_the_card_says_what_was_measured(digits):
    card, _ = probe_file.read(digits.path)
    record = digits.record
    assert digits.path.name.startswith(f"vgg11_width_0.0625_input_size_32-{record.key}.")
    assert (card.record, card.benchmark, card.task) == (record.key, "digits", "single label")
    assert card.value == pytest.approx(record.metrics[card.metric]["per_split"][0], abs=1e-6)
    assert (card.n_train, card.n_test) == (record.n_train[0], record.n_test[0])
    assert (card.probe, card.hyperparameter, card.chosen) == ("svm", "C", record.probe["c"][0])
    assert card.num_splits == 2 and card.classes == tuple("0123456789")
    (net,) = card.nets
    assert net.net == NARROW and net.conditions.weights == "random:0"
    assert net.conditions.scales == (32, 48) and card.aggregate == "stack"


def test_a_probe_is_written_where_the_record_is_there_already(digits, tmp_path):
    folder = tmp_path / "home"
    shutil.copytree(digits.home, folder)
    (path,) = (folder / "out").rglob("*.probe.safetensors")
    (card, classifier), before = probe_file.read(path), path.read_bytes()
    path.unlink()
    again = Saved(folder, "digits", "--net", NARROW, "--splits", "2", num_splits=2)
    assert "measured already" in again.result.stderr
    same_card, same_classifier = probe_file.read(again.path)
    assert same_card == card
    for name, array in classifier.arrays().items():  # sums in another order differ in the last bit
        np.testing.assert_allclose(same_classifier.arrays()[name], array, atol=1e-6)
    assert "made already" in Saved(folder, "digits", "--net", NARROW, "--splits", "2").result.stderr
    path.write_bytes(before[:-1])
    command = ("bench", "digits", *OPTIONS, "--net", NARROW, "--splits", "2", "--save-probe")
    result = CliRunner(env={"VGGFEAT_HOME": str(folder)}).invoke(
        main, [*command, "--out", str(folder / "out")]
    )
    assert result.exit_code == 1 and "made already: " not in result.stderr
    assert "not a whole file of a probe" in result.stderr and "Move it away" in result.stderr


def test_without_the_option_no_probe_is_written(run, tmp_path):
    run("bench", "digits", "--net", NARROW, *OPTIONS, "--splits", 1, "--out", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.safetensors"))


def test_a_plan_says_that_a_probe_is_to_be_made(digits, run):
    arguments = ("bench", "digits", "--net", NARROW, *OPTIONS, "--splits", 2, "--dry-run")
    arguments = (*arguments, "--out", digits.home / "out", "--data-dir", digits.home)
    assert "measured already" in run(*arguments, "--save-probe").stdout
    assert "probe to be made" not in run(*arguments, "--save-probe").stdout
    digits.path.rename(digits.path.with_suffix(".aside"))
    try:
        assert "the saved probe to be made" in run(*arguments, "--save-probe").stdout
        assert "saved probe" not in run(*arguments).stdout
    finally:
        digits.path.with_suffix(".aside").rename(digits.path)


def test_an_example_that_is_more_than_a_picture_has_no_probe_to_save(run, tmp_path):
    result = run(
        "bench", "synthetic_actions", "--net", NARROW, *OPTIONS, "--save-probe", "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 1 and len(read_all(tmp_path / "out")) == 1
    assert "a picture and a box in it, which `vggfeat predict` does not take" in result.stderr


# What is printed.


def test_a_table_has_the_best_class_and_the_next(digits, invoke):
    pictures, scores, labels = digits.tested()
    result = invoke(digits.path, pictures[0], pictures[-1], "--top", 2)
    assert result.exit_code == 0, result.stderr
    *_, header, _, first, last, _, legend = result.stdout.splitlines()
    assert header.split() == ["picture", "class", "score", "next"]
    for line, row in ((first, scores[0]), (last, scores[-1])):
        best, second = np.argsort(-row)[:2]
        words = line.split()[1:]
        assert (words[0], words[2]) == (str(best), str(second))
        assert [float(words[1]), float(words[3])] == pytest.approx(row[[best, second]], rel=0.01)
    assert "no probability" in legend


def test_csv_and_json_have_the_scores_of_all_classes(digits, invoke):
    pictures, scores, _ = digits.tested()
    lines = list(
        csv.DictReader(io.StringIO(invoke(digits.path, pictures[0], "--format", "csv").stdout))
    )
    (value,) = json.loads(invoke(digits.path, pictures[0], "--format", "json").stdout)
    best = str(scores[0].argmax())
    assert lines[0]["picture"] == value["picture"] == str(pictures[0])
    assert lines[0]["best"] == value["best"] == best
    for k in range(10):
        assert float(lines[0][str(k)]) == pytest.approx(scores[0, k], abs=1e-5)
        assert value["scores"][str(k)] == pytest.approx(scores[0, k], abs=1e-5)


def test_of_several_labels_those_above_0_are_present(scenes, invoke):
    pictures, scores, _ = scenes.tested()
    classes = vggfeat.load_probe(scenes.path).classes
    columns = [scenes.scores.classes.index(name) for name in classes]
    values = json.loads(invoke(scenes.path, *pictures, "--format", "json").stdout)
    for value, row in zip(values, scores[:, columns], strict=True):
        assert set(value["present"]) == {classes[k] for k in np.flatnonzero(row > 0)}
    header = invoke(scenes.path, pictures[0]).stdout.splitlines()[0]
    assert header.split() == ["picture", "present", "next"]


def test_folders_are_searched_and_each_picture_counts_once(digits, invoke, tmp_path):
    for name in ("b/c/2.png", "a.png", ".hidden/3.png", "b/note.txt", "b/1.jpg"):
        write_picture(tmp_path / "in" / name.replace(".txt", ".png"))
    (tmp_path / "in" / "b" / "note.png").rename(tmp_path / "in" / "b" / "note.txt")
    result = invoke(digits.path, tmp_path / "in", tmp_path / "in" / "a.png", "--format", "csv")
    names = [line["picture"] for line in csv.DictReader(io.StringIO(result.stdout))]
    assert names == [str(tmp_path / "in" / name) for name in ("a.png", "b/1.jpg", "b/c/2.png")]


def test_a_pipe_is_no_picture_and_not_waited_for(digits, invoke, tmp_path):
    write_picture(tmp_path / "in" / "a.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    result = invoke(digits.path, tmp_path / "in" / "pipe.png")
    assert result.exit_code == 1 and "pipe.png: is no file" in result.stderr
    result = invoke(digits.path, tmp_path / "in", "--format", "csv")
    assert [line.split(",")[0] for line in result.stdout.splitlines()[1:]] == [
        str(tmp_path / "in" / "a.png")
    ]


def test_a_broken_picture_stops_or_is_skipped_and_the_exit_status_says_so(digits, invoke, tmp_path):
    good, broken = write_picture(tmp_path / "good.png"), tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    result = invoke(digits.path, broken, good)
    assert result.exit_code == 1 and "Use --on-error skip" in result.stderr and not result.stdout
    result = invoke(digits.path, broken, good, "--on-error", "skip", "--format", "csv")
    assert result.exit_code == 1 and "1 of 2 pictures could not be read" in result.stderr
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["picture", str(good)]
    result = invoke(digits.path, broken, "--on-error", "skip")
    assert result.exit_code == 1 and not result.stdout


def test_nothing_is_left_in_the_users_cache(digits, invoke, tmp_path):
    assert invoke(digits.path, write_picture(tmp_path / "a.png")).exit_code == 0
    assert not (tmp_path / "empty").exists()


def test_another_precision_is_said(digits, invoke, tmp_path):
    picture = write_picture(tmp_path / "a.png")
    assert "computed in" not in invoke(digits.path, picture, "--precision", "fp32").stderr
    result = invoke(digits.path, picture, "--precision", "bf16")
    assert "computed in bf16; the probe was fitted to features in fp32" in result.stderr


def test_in_python_a_single_name_is_a_mistake_and_no_picture_no_prediction(digits):
    probe = vggfeat.load_probe(digits.path)
    with pytest.raises(PictureError, match="one name, where a list"):
        probe.predict("a.jpg")
    assert probe.predict([]).to_frame().shape == (0, 10)


def test_names_are_printed_below_the_folder_that_all_lie_in(digits, invoke, tmp_path):
    for name in ("a/1.png", "b/2.png"):
        write_picture(tmp_path / name)
    lines = invoke(digits.path, tmp_path / "a", tmp_path / "b").stdout.splitlines()
    assert lines[0] == f"Pictures in {tmp_path}"
    assert [line.split()[0] for line in lines[4:6]] == ["a/1.png", "b/2.png"]


# Which net.


@pytest.mark.parametrize(
    "net, reason",
    [
        (NARROW.replace("random:0", "random:1"), "its weights random:1, the probe's random:0"),
        (OTHER, "is another net: its weights random:5"),
        ("vgg11:width=0.0625,input_size=32,layer=fc6@random:0", "is another net: its network"),
        ("vgg11:width=0.0625,input_size=32,mean=1/2/3@random:0", "is another net: its network"),
        (f"{NARROW}+{OTHER}", "takes 1 net"),
    ],
)
def test_another_net_is_refused(digits, invoke, tmp_path, net, reason):
    result = invoke(digits.path, write_picture(tmp_path / "a.png"), "--net", net)
    assert result.exit_code == 1 and reason in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def weights_file(path: Path, seed: int = 0) -> Path:
    """The narrow net with random weights in a file with a card."""
    network = load_network(NARROW.replace("random:0", f"random:{seed}"))
    card = Card(net=network.name, classes=(), mean=(1.0,) * 3, std=(1.0,) * 3, training={})
    checkpoint.write(path, network.net(whole=True).state_dict(), card)
    return path


def test_weights_that_were_moved_are_named_by_net_and_others_are_refused_by_digest(
    tmp_path, invoke
):
    weights = weights_file(tmp_path / "weights" / "net.safetensors")
    saved = Saved(tmp_path / "home", "digits", "--net", str(weights), "--splits", "1", num_splits=1)
    picture = saved.tested()[0][0]
    assert invoke(saved.path, picture).exit_code == 0
    moved = tmp_path / "moved.safetensors"
    weights.rename(moved)
    result = invoke(saved.path, picture)
    assert result.exit_code == 1
    assert "no such weights file" in result.stderr and "--net vgg11:" in result.stderr
    assert invoke(saved.path, picture, "--net", moved).exit_code == 0
    other = weights_file(tmp_path / "weights" / "net.safetensors", seed=1)  # in the same place
    result = invoke(saved.path, picture)
    assert result.exit_code == 1 and "is another net: its weights sha256:" in result.stderr
    assert other.is_file()


def test_a_file_does_not_choose_code_that_is_run(digits, tmp_path):
    card, classifier = probe_file.read(digits.path)
    for net in ("antigravity:vgg", "somewhere/net.pt", "net.pt2"):
        nets = (replace(card.nets[0], net=net),)
        path = tmp_path / "x.probe.safetensors"
        probe_file.write(path, replace(card, nets=nets), classifier)
        with pytest.raises(ProbeError, match="is code, which is not run because a file names it"):
            vggfeat.load_probe(path)


# Files that are damaged or of another kind.


def test_inspect_shows_the_card(digits, run):
    shown = json.loads(run("inspect", digits.path).stdout)
    assert shown["classes"] == list("0123456789") and shown["record"] == digits.record.key


def test_every_flipped_byte_is_seen(digits, tmp_path):
    content = digits.path.read_bytes()
    path = tmp_path / "x.probe.safetensors"
    for place in np.linspace(0, len(content) - 1, 60, dtype=int):
        damaged = bytearray(content)
        damaged[place] ^= 0x20
        path.write_bytes(damaged)
        with pytest.raises(ProbeError):
            probe_file.read(path)
    for length in (0, 7, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ProbeError):
            probe_file.read(path)


def test_verify_knows_probes(digits, tmp_path):
    (finding,) = verify.findings(digits.path)
    assert finding.status == "sound"
    path = tmp_path / digits.path.name
    path.write_bytes(digits.path.read_bytes()[:-1] + b"\0")
    assert [finding.status for finding in verify.findings(path)] == ["damaged"]


def test_other_files_are_refused_in_one_line(digits, invoke, tmp_path):
    picture = write_picture(tmp_path / "a.png")
    save_file({"w": np.zeros(3)}, tmp_path / "other.safetensors")
    others = [weights_file(tmp_path / "net.safetensors"), tmp_path / "other.safetensors", picture]
    for path in (*others, tmp_path / "nothing.probe.safetensors", tmp_path):
        result = invoke(path, picture)
        assert result.exit_code == 1 and "probe" in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def changed(card, path, *, seal=True, arrays=None, **values):
    """A file whose card and arrays are as somebody else would have them, sealed or not."""
    about = {"schema_version": probe_file.SCHEMA_VERSION, **json.loads(json.dumps(asdict(card)))}
    about |= values
    about = {name: value for name, value in about.items() if value is not ...}
    arrays = arrays or {"coef": np.zeros((10, card.dim)), "intercept": np.zeros(10)}
    blank = checksums.BLANK if seal else {}
    save_file(arrays, path, {probe_file.KEY: json.dumps(about), **blank})
    if seal:
        with path.open("rb+") as file:
            checksums.seal_file(file)
    return path


NET = {"net": "vgg11@random:0", "dim": 256, "conditions": {}}


@pytest.mark.parametrize(
    "values, message",
    [
        ({"schema_version": 3}, "schema version 3, not 2"),
        ({"seal": False}, "SHA-256 is missing"),
        ({"classes": ...}, "lacks 'classes'"),
        ({"classes": ["a"]}, "decides on 10 classes, and its card has 1"),
        ({"classes": ["a"] * 10}, "'classes' of its card is not as it should be"),
        ({"classes": "0123456789"}, "'classes' of its card"),
        ({"classes": [1] * 10}, "'classes' of its card"),
        ({"more": 1}, "unknown field 'more'"),
        ({"nets": []}, "'nets' of its card"),
        ({"nets": [1]}, "'nets' of its card"),
        ({"nets": [NET]}, "the conditions of its card lacks"),
        ({"nets": None}, "'nets' of its card"),
        ({"value": float("nan")}, "'value' of its card"),
        ({"value": "0.5"}, "'value' of its card"),
        ({"n_train": -1}, "'n_train' of its card"),
        ({"n_train": True}, "'n_train' of its card"),
        ({"n_test": int('9' * 400)}, "n_test"),
        ({"task": "detection"}, "'task' of its card"),
        ({"task": ["single label"]}, "'task' of its card"),
        ({"aggregate": {}}, "'aggregate' of its card"),
        ({"kind": "tree"}, "kind of classifier 'tree'"),
        ({"chosen": {"a": None}}, "'chosen' of its card"),
        ({"chosen": "0.1"}, "'chosen' of its card"),
        ({"arrays": {"coef": np.zeros((10, 3)), "intercept": np.zeros(10)}}, "not a whole file"),
        ({"arrays": {"coef": np.full((10, 512), np.nan), "intercept": np.zeros(10)}}, "finite"),
        ({"arrays": {"coef": np.zeros((10, 512))}}, "intercept is missing"),
        ({"arrays": {"coef": np.full((10, 512), 1e200), "intercept": np.zeros(10)}}, "beyond"),
        ({"arrays": {"coef": np.zeros((0, 512)), "intercept": np.zeros(0)}}, "on 0 classes"),
    ],
)  # fmt: skip
def test_a_card_or_arrays_that_cannot_be_right_are_refused(digits, tmp_path, values, message):
    card, _ = probe_file.read(digits.path)
    path = changed(card, tmp_path / "x.probe.safetensors", **values)
    with pytest.raises(ProbeError, match=message):
        probe_file.read(path)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("scales", [], "'scales'"), ("scales", [0], "'scales'"), ("scales", [32, 32], "twice"),
        ("scales", [20000], "scales must be"), ("scales", ["32"], "'scales'"),
        ("mean", [1, 2], "'mean'"), ("std", [1, 0, 1], "'std'"),
        ("precision", "fp8", "precision must be"),
        ("dtype", "int8", "dtype must be"), ("mirror", 1, "'mirror'"), ("weights", 3, "'weights'"),
    ],
)  # fmt: skip
def test_conditions_that_cannot_be_right_are_refused(digits, tmp_path, name, value, message):
    card, _ = probe_file.read(digits.path)
    net = json.loads(json.dumps(asdict(card.nets[0])))
    net["conditions"][name] = value
    with pytest.raises(ProbeError, match=message):
        probe_file.read(changed(card, tmp_path / "x.probe.safetensors", nets=[net]))


def test_a_card_that_claims_a_vector_without_end_is_refused(digits, tmp_path):
    card, _ = probe_file.read(digits.path)
    net = json.loads(json.dumps(asdict(card.nets[0]))) | {"dim": 2**31 - 1}
    with pytest.raises(ProbeError, match="claims vectors of"):
        probe_file.read(changed(card, tmp_path / "x.probe.safetensors", nets=[net]))


def test_a_file_keeps_the_arrays_as_they_are(digits, tmp_path):
    card, classifier = probe_file.read(digits.path)
    stored = load_file(digits.path)
    np.testing.assert_array_equal(stored["coef"], classifier.coef)
    assert isinstance(classifier, LinearClassifier)
    with safe_open(digits.path, framework="np") as file:
        about = json.loads(file.metadata()[probe_file.KEY])
    assert probe_file.parse_card(about) == card
