"""`vggfeat bench features.npy --labels labels.csv`: the right numbers, rows, records and errors."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.pictures import NARROW
from sklearn.metrics import average_precision_score, recall_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

import vggfeat
from vggfeat.cli import main
from vggfeat.errors import DatasetError, NetworkError, OptionError
from vggfeat.records.record import read, read_all
from vggfeat.records.scores import read_scores, scores_path

CLASSES = np.repeat(["ant", "bee", "cat"], 20)
IDS = [f"{name}/{row}.jpg" for row, name in enumerate(CLASSES)]


@pytest.fixture(scope="module")
def X():
    """Features of three classes that overlap."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 6))
    return (centres[np.repeat([0, 1, 2], 20)] + 1.2 * rng.normal(size=(60, 6))).astype(np.float32)


def write_labels(path: Path, rows) -> None:
    header = ("path", "label", "split")[: len(rows[0])]
    path.write_text("\n".join(map(",".join, [header, *rows])))


@pytest.fixture
def folder(tmp_path, X):
    np.save(tmp_path / "clip.npy", X)
    write_labels(tmp_path / "insects.csv", list(zip(IDS, CLASSES, strict=True)))
    return tmp_path


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, ["bench", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert result.exit_code == code, result.stderr
        return result

    return run


LABELS = ("--labels", "insects.csv", "--splits", "1")


def svm(X, rows, signs, C):
    """scikit-learn's SVM on rows of length one, to convergence: a function to decision values."""
    fitted = OneVsRestClassifier(LinearSVC(C=C, tol=1e-8, max_iter=100_000))
    return fitted.fit(normalize(X)[rows], signs[rows]).decision_function


# The right numbers


def test_the_scores_are_those_of_scikit_learn_on_the_same_split(run, folder, X):
    run("clip.npy", "--labels", "insects.csv", "--splits", 2)
    (record,) = read_all(folder / "results")
    scores = read_scores(scores_path(next(folder.glob("results/insects/*.json"))))
    assert record.benchmark == "insects" and record.method == "clip.npy"
    for number, C in enumerate(record.probe["c"]):
        tested = np.array([IDS.index(i) for i in np.array(scores.ids)[scores.splits == number]])
        assert sorted(CLASSES[tested]) == ["ant"] * 4 + ["bee"] * 4 + ["cat"] * 4
        signs = (CLASSES[:, None] == scores.classes).astype(int)
        expected = svm(X, np.setdiff1d(np.arange(60), tested), signs, C)(normalize(X[tested]))
        np.testing.assert_allclose(scores.scores[scores.splits == number], expected, atol=2e-3)
        predicted = np.array(scores.classes)[expected.argmax(axis=1)]
        recall = recall_score(CLASSES[tested], predicted, average="macro")
        assert record.metrics["mean_class_recall"]["per_split"][number] == pytest.approx(recall)


def test_several_labels_a_row_are_scored_by_average_precision(run, folder, X):
    several = [f"{name};big" if row % 3 else name for row, name in enumerate(CLASSES)]
    part = ["train" if row % 2 else "test" for row in range(60)]
    write_labels(folder / "many.csv", list(zip(IDS, several, part, strict=True)))
    run("clip.npy", "--labels", "many.csv")
    (record,) = read_all(folder / "results")
    assert record.metric == "map_area" and record.n_test == [30]
    signs = np.array([[c in text.split(";") for c in ("ant", "bee", "big", "cat")]
                      for text in several]).astype(int)  # fmt: skip
    train, test = np.arange(1, 60, 2), np.arange(0, 60, 2)
    for k, name in enumerate(("ant", "bee", "big", "cat")):
        decide = svm(X, train, signs[:, [k]], record.probe["c"][0][name])
        ap = average_precision_score(signs[test, k], decide(normalize(X[test])))
        assert record.metrics["map_step"]["per_class"][name] == pytest.approx(ap, abs=1e-6)


def test_the_users_split_is_used(run, folder):
    part = ["test" if row % 4 == 0 else "val" if row % 4 == 1 else "train" for row in range(60)]
    write_labels(folder / "parts.csv", list(zip(IDS, CLASSES, part, strict=True)))
    run("clip.npy", "--labels", "parts.csv")
    (record,) = read_all(folder / "results")
    assert record.protocol["split"] == "as given" and record.protocol["splits"] == 1
    assert (record.n_train, record.n_test) == ([45], [15])
    scores = read_scores(scores_path(next(folder.glob("results/parts/*.json"))))
    assert set(scores.ids) == set(IDS[::4])


def test_vggfeats_own_feature_file_gives_the_number_of_the_net_itself(run, folder, caltech_dir):
    benchmark = vggfeat.load_benchmark("caltech101", caltech_dir, vggfeat.DataOptions(num_splits=1))
    settings = benchmark.settings(scales=(32, 48), aggregate="stack")
    of_net = benchmark.run([vggfeat.load_network(NARROW)], settings, folder=folder / "features")
    (path,) = (folder / "features").glob("*.h5")
    (split,) = benchmark.splits
    names = np.array(benchmark.classes)[benchmark.labels.argmax(axis=1)]
    rows = [
        (benchmark.ids[row], names[row], part)
        for part in ("train", "validation", "test")
        for row in getattr(split, part)
    ]
    write_labels(folder / "same.csv", rows)
    run(path, "--labels", "same.csv", "--aggregate", "stack")
    (record,) = read_all(folder / "results")
    assert record.metrics == of_net.metrics and record.probe == of_net.probe
    assert record.protocol["scales"] == [32, 48] and record.protocol["aggregate"] == "stack"
    assert record.nets[0]["features"]["network"] == of_net.nets[0]["features"]["network"]


# Rows and ids


def test_with_ids_rows_may_come_in_any_order_and_some_without_a_label(run, folder, X):
    in_order = "clip.npy: has no ids; its rows are those of the labels, in their order"
    assert in_order in run("clip.npy", *LABELS).stderr
    order = np.random.default_rng(1).permutation(60)
    np.savez(
        folder / "clip.npz",
        features=np.concatenate([X[order], np.ones((2, 6), np.float32)]),
        ids=np.array([*np.array(IDS)[order], "x.jpg", "y.jpg"]),
    )
    result = run("clip.npz", *LABELS)
    assert "clip.npz: 2 of 62 vectors have no label" in result.stderr
    assert "in their order" not in result.stderr
    of_npy, of_npz = read_all(folder / "results")
    assert of_npy.metrics == of_npz.metrics and of_npy.key == of_npz.key
    assert of_npy.splits_sha256 == of_npz.splits_sha256
    assert of_npy.nets[0]["features"]["sha256"] == of_npz.nets[0]["features"]["sha256"]
    assert "clip.npy" in result.stdout or "clip.npz" in result.stdout


def test_features_of_another_length_than_labels(run, folder, X):
    np.save(folder / "clip.npy", X[:59])
    result = run("clip.npy", *LABELS, code=1)
    assert "clip.npy: has 59 vectors and no ids, and there are 60 labels." in result.stderr


def test_labels_without_features_and_ids_that_repeat(run, folder, X):
    np.savez(folder / "part.npz", features=X[5:], ids=np.array([f"/data/{i}" for i in IDS[5:]]))
    result = run("part.npz", *LABELS, code=1)
    expected = (
        "60 of 60 labelled examples have no features, 'ant/0.jpg' among them; ids there are such"
        " as '/data/ant/5.jpg'"
    )
    assert expected in result.stderr
    np.savez(folder / "twice.npz", features=X, ids=np.array([*IDS[:59], IDS[0]]))
    result = run("twice.npz", *LABELS, code=1)
    assert "1 of its ids stand there before, 'ant/0.jpg' among them" in result.stderr


def test_labels_in_the_file_need_no_csv(run, folder, X):
    np.savez(folder / "all.npz", features=X, labels=CLASSES)
    run("all.npz", "--splits", 1)
    assert [r.benchmark for r in read_all(folder / "results")] == ["all"]
    result = run("clip.npy", code=1)
    assert "clip.npy: holds no labels. Name a CSV file of labels with --labels" in result.stderr


def test_what_is_wrong_with_labels_in_the_file_is_said_with_its_name(run, folder, X):
    np.savez(folder / "x.npz", features=X, labels=CLASSES, ids=np.array([*IDS[:59], IDS[0]]))
    assert "x.npz: rows 1 and 60 have the same id" in run("x.npz", code=1).stderr
    np.savez(folder / "x.npz", features=X, labels=np.array(["", *CLASSES[1:]]))
    assert "x.npz: row 1, '0', has no label" in run("x.npz", code=1).stderr
    np.savez(folder / "x.npz", features=X, labels=np.array(["a\0b", *CLASSES[1:]]))
    assert "x.npz: row 1: 'a\\x00b' holds a NUL character" in run("x.npz", code=1).stderr


# Vectors that say something of themselves


def test_nan_names_the_id(run, folder, X):
    X = X.copy()
    X[7:9, 2] = np.nan
    np.save(folder / "clip.npy", X)
    result = run("clip.npy", *LABELS, code=1)
    assert f"2 of 60 vectors hold NaN or infinity, that of '{IDS[7]}' first" in result.stderr


def test_test_vectors_that_are_training_vectors_are_reported(run, folder, X):
    part = ["test" if row % 2 else "train" for row in range(60)]
    write_labels(folder / "parts.csv", list(zip(IDS, CLASSES, part, strict=True)))
    X = X.copy()
    X[1] = X[0]  # trained on and tested
    X[3] = X[5]  # both tested
    X[10] = X[11] = 0
    np.save(folder / "clip.npy", X)
    result = run("clip.npy", "--labels", "parts.csv")
    note = "1 test vectors are training vectors too, byte for byte: ant/1.jpg is ant/0.jpg"
    assert note in result.stderr
    (record,) = read_all(folder / "results")
    assert record.protocol["leaks"] == 1 and any(note in text for text in record.notes)
    assert record.remarks == [
        "clip.npy: the vectors of 2 of 60 pictures (ant/10.jpg, ant/11.jpg) are zero throughout"
    ]


def test_constant_vectors_are_refused(run, folder, X):
    np.save(folder / "clip.npy", np.abs(X[:, :1]))  # of length one, all are 1
    result = run("clip.npy", *LABELS, code=1)
    assert "the vectors of all 60 pictures are equal" in result.stderr
    assert "Check how the features were computed." in result.stderr


# Records and tables


def test_several_files_are_rows_of_one_table_and_are_measured_once(run, folder, X):
    np.save(folder / "dino.npy", X[:, :3])
    result = run("clip.npy", "dino.npy", *LABELS)
    rows = [line.split()[0] for line in result.stdout.splitlines()[2:4]]
    assert rows == ["clip.npy", "dino.npy"] and "insects, mean class recall (%)" in result.stdout
    again = run("clip.npy", "dino.npy", *LABELS)
    assert again.stdout == result.stdout and again.stderr.count("1 measured already") == 2
    (folder / "elsewhere").mkdir()
    moved = (folder / "clip.npy").rename(folder / "elsewhere" / "clip.npy")
    assert "measured already" in run(moved, *LABELS).stderr  # wherever the file lies
    np.save(moved, X + 1)
    run(moved, *LABELS)
    assert len(read_all(folder / "results")) == 3


def test_a_record_says_what_it_was_made_of(run, folder, X):
    result = run("clip.npy", *LABELS, "--format", "json")
    (record,) = json.loads(result.stdout)
    assert record["nets"] == [{
        "name": "clip.npy", "weights": "", "weights_sha256": None,
        "features": {
            "file": "clip.npy", "dim": 6, "dtype": "float32", "rows": 60,
            "sha256": record["nets"][0]["features"]["sha256"],
        },
    }]  # fmt: skip
    assert record["protocol"]["own"] is True and "scales" not in record["protocol"]
    assert record["protocol"]["normalisation"] == "L2 of each vector"
    frame = vggfeat.read_results(folder / "results")
    assert set(frame["method"]) == {"clip.npy"} and set(frame["comparison"]) == {""}


def test_labels_called_like_a_benchmark_make_another(run, folder):
    (folder / "insects.csv").rename(folder / "caltech101.csv")
    result = run("clip.npy", "--labels", "caltech101.csv", "--splits", 1)
    assert "92.7" not in result.stdout  # the published number
    assert [r.benchmark for r in read_all(folder / "results")] == ["own_caltech101"]


def test_a_dry_run_writes_nothing(run, folder):
    lines = run("clip.npy", *LABELS, "--dry-run").stdout.splitlines()
    assert lines == [
        "insects: 60 examples of 3 classes, single label",
        "  a random split: 39 train, 9 validate, 12 test",
        "  clip.npy: 60 vectors, 6 dimensions",
        "    linear SVM: to be fitted",
        "In all: 1 measurement, 0 made already.",
    ]
    assert not (folder / "results").exists()


def test_a_file_that_fails_does_not_stop_the_others(run, folder):
    np.save(folder / "bad.npy", np.zeros((60, 2, 2)))
    result = run("bad.npy", "clip.npy", *LABELS, code=1)
    assert "clip.npy" in result.stdout and "Failed: bad.npy: " in result.stderr
    assert len(read_all(folder / "results")) == 1


# What does not go together


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["clip.npy", "--net", "vgg16"], 1, "--net is of pictures and nets"),
        (["clip.npy", "--no-mirror"], 1, "--mirror is of pictures and nets"),
        (["clip.npy", "--scales", "256"], 1, "Leave out --scales, --aggregate and --scale-l2."),
        (["clip.npy", "--aggregate", "stack"], 1, "feature files of vggfeat only"),
        (["clip.npy", "digits"], 2, "clip.npy holds features, and digits is a benchmark"),
        (["digits"], 2, "--labels goes with files of features"),
        (["clip.pt"], 1, "clip.pt: files of this kind can run code"),
        (["nothing.npy"], 1, "nothing.npy: no such file of features"),
        (["clip.npy", "./clip.npy"], 1, "two files of features are named clip.npy"),
    ],
)
def test_what_does_not_go_together_is_one_line(run, folder, arguments, code, message):
    (folder / "clip.pt").write_bytes(b"")
    result = run(*arguments, *LABELS, code=code)
    assert message in result.stderr and not (folder / "results").exists()
    assert len(re.findall("Error: ", result.stderr)) == 1


# From Python


def test_a_record_from_an_array_and_labels(X):
    record = vggfeat.bench_features(X, CLASSES, num_splits=1)
    assert record.benchmark == "features" and record.n_test == [12]
    assert record.metrics["accuracy"]["value"] > 0.5
    assert vggfeat.bench_features(X.tolist(), [*CLASSES], num_splits=1).key != record.key  # float64


def test_ids_draw_the_split_and_a_split_may_be_stated(run, folder, X):
    run("clip.npy", *LABELS)
    (from_file,) = read_all(folder / "results")
    record = vggfeat.bench_features(X, CLASSES, ids=IDS, num_splits=1, name="insects")
    assert record.splits_sha256 == from_file.splits_sha256 and record.key == from_file.key
    assert record.metrics == from_file.metrics
    split = ["train" if row % 2 else "test" for row in range(60)]
    assert vggfeat.bench_features(X, CLASSES, split=split).n_test == [30]
    assert vggfeat.bench_features(X, CLASSES, split=[p.title() for p in split]).n_test == [30]


def test_wrong_arguments_are_errors_of_one_line(X):
    with pytest.raises(DatasetError, match="features: has 60 vectors, and 59 labels"):
        vggfeat.bench_features(X, CLASSES[:59])
    tensor = torch.from_numpy(X)
    for unreadable in (tensor.bfloat16(), tensor.float().requires_grad_()):
        with pytest.raises(OptionError, match="is no array of NumPy .* features.detach"):
            vggfeat.bench_features(unreadable, CLASSES)
    with pytest.raises(OptionError, match="split must be one of train, val, test; got 'dev'"):
        vggfeat.bench_features(X, CLASSES, split=["dev"] * 60)
    with pytest.raises(OptionError, match="labels must be texts or whole numbers.*got 0.5"):
        vggfeat.bench_features(X, [0.5] * 60)
    with pytest.raises(OptionError, match="probe must be one of"):
        vggfeat.bench_features(X, CLASSES, probe="tree")
    with pytest.raises(DatasetError, match="needs two classes or more"):
        vggfeat.bench_features(X, ["a"] * 60)
    with pytest.raises(NetworkError, match="all 60 pictures are zero"):
        vggfeat.bench_features(0 * X, CLASSES)


def test_the_record_of_a_file_is_read_again(run, folder):
    run("clip.npy", *LABELS)
    path = next(folder.glob("results/insects/clip.npy-*.json"))
    assert read(path).net == "clip.npy"


def test_verify_follows_a_record_to_its_features(run, folder, X):
    def verify(code):
        result = CliRunner().invoke(main, ["verify", str(path)])
        assert result.exit_code == code, result.output
        return result.stdout

    command = ["vggfeat", "bench", "clip.npy", *LABELS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", command)
        run(*command[2:])
    path = next(folder.glob("results/insects/*.json"))
    assert "features, labels, splits and settings have its key" in verify(0)
    np.save(folder / "clip.npy", X + 1)
    assert "its command measures something else now: its features are others" in verify(1)
    (folder / "clip.npy").unlink()
    assert "not checked, its chain: clip.npy: no such file of features" in verify(0)


def test_two_files_are_compared_by_their_names_alone(run, folder, X):
    np.save(folder / "dino.npy", X[:, :3].astype(np.float64))
    run("clip.npy", "dino.npy", *LABELS)
    result = CliRunner().invoke(main, ["compare", "clip.npy", "dino.npy"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("insects: A is clip.npy, dtype float32, B is dino.npy, dtype")
    assert "with these 12 pictures" in " ".join(result.stdout.split())


def test_few_examples_are_compared_number_by_number(run, folder):
    run("clip.npy", *LABELS, "--shots", "1,4", "--probe", "ridge", "--probe", "centroid")
    result = CliRunner().invoke(main, ["compare", "ridge", "centroid"])
    assert result.exit_code == 0, result.output
    titles = [line for line in result.stdout.splitlines() if "A is ridge, B is centroid" in line]
    assert sorted(title.partition(":")[0] for title in titles) == [
        "insects, 1 shot", "insects, 4 shots",
    ]  # fmt: skip
