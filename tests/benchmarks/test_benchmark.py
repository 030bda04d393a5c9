"""A whole measurement on small pictures against the same steps worked out with scikit-learn."""

import shutil

import numpy as np
import pytest
from helpers.pictures import NARROW, write_picture
from sklearn.metrics import balanced_accuracy_score
from sklearn.svm import LinearSVC

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.transfer import TransferMeasurement
from vggfeat.errors import DatasetError
from vggfeat.features import store
from vggfeat.layouts.options import DataOptions
from vggfeat.probes.svm import C_GRID
from vggfeat.storage.folders import Folders

OTHER = "vgg13:width=0.0625,input_size=32@random:5"


def load(data, cache, **options):
    return load_benchmark(
        "caltech101", options=DataOptions(**options), places=Folders(data, cache), offline=True
    )


@pytest.fixture
def bench(caltech_dir, tmp_path):
    return load(caltech_dir, tmp_path, num_splits=2)


def run(bench, folder, nets=(NARROW,), **settings):
    settings = bench.settings(**({"scales": (32, 48), "solver": "liblinear"} | settings))
    return bench.run([load_network(net) for net in nets], settings, features_dir=folder)


def key_of(bench, networks, settings):
    return TransferMeasurement(benchmark=bench, networks=networks, settings=settings).key


def by_hand(bench, folder, record, combine):
    """Recall per split, from the stored descriptors with scikit-learn alone."""
    parts = []
    for net in record.nets:
        path = folder / net["features"]["file"]
        used = [bench.ids[row] for row in bench.used_rows]
        vectors = combine(store.read(path, used, (32, 48)).astype(np.float64))
        parts.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    X = np.full((len(bench.ids), sum(part.shape[1] for part in parts)), np.nan)
    X[bench.used_rows] = np.concatenate(parts, axis=1) / np.sqrt(len(parts))
    y = bench.labels.argmax(axis=1)
    recalls, chosen = [], []
    for split in bench.splits:

        def recall(C, train, test):
            svm = LinearSVC(C=C, max_iter=10_000, dual=False).fit(X[train], y[train])
            return balanced_accuracy_score(y[test], svm.predict(X[test]))

        scores = [recall(C, split.train, split.validation) for C in C_GRID]
        chosen.append(C_GRID[int(np.argmax(scores))])
        both = np.sort(np.concatenate([split.train, split.validation]))
        recalls.append(recall(chosen[-1], both, split.test))
    return recalls, chosen


@pytest.mark.parametrize(
    "aggregate, combine",
    [
        ("average", lambda d: d.mean(axis=1)),
        ("stack", lambda d: np.concatenate([d[:, 0], d[:, 1]], axis=1)),
    ],
)
@pytest.mark.parametrize("nets", [(NARROW,), (NARROW, OTHER)])
def test_a_record_holds_what_scikit_learn_computes(bench, tmp_path, aggregate, combine, nets):
    record = run(bench, tmp_path, nets, aggregate=aggregate)
    recalls, chosen = by_hand(bench, tmp_path, record, combine)
    found = record.metrics["mean_class_recall"]
    assert record.probe["c"] == chosen
    np.testing.assert_allclose(found["per_split"], recalls, atol=1e-6)
    assert found["value"] == pytest.approx(np.mean(recalls), abs=1e-6)
    assert found["spread"] == pytest.approx(np.std(recalls, ddof=1), abs=1e-6)
    assert np.mean(list(found["per_class"].values())) == pytest.approx(found["value"], abs=1e-5)


def test_a_record_says_what_was_measured(bench, tmp_path):
    record = run(bench, tmp_path)
    assert record.method == NARROW and record.net == NARROW.partition("@")[0]
    assert record.protocol["scales"] == [32, 48]
    assert (
        record.protocol["train_per_class"] == "6 to 30" and record.protocol["test_per_class"] == 50
    )
    assert record.splits_sha256 == bench.splits_sha256
    assert record.nets[0]["features"]["layer"] == "fc7"
    assert len(record.nets[0]["features"]["sha256"]) == 64
    assert record.n_train == [96, 96] and record.n_test == [15, 15]
    assert record.notes[0] == bench.notes[0] and not record.limited
    assert record.versions["torch"] and record.hardware["cores"]
    of_extraction = ["extract", "decode", "prepare", "forward", "store"]
    assert list(record.seconds) == [*of_extraction, "choose_C", "fit", "score"]
    assert all(seconds >= 0 for seconds in record.seconds.values())
    assert record.probe["classes_not_converged"] == [0, 0]


def test_what_is_told_of_the_pictures_decides_the_key(caltech_dir, tmp_path):
    """A picture that no split uses changes `images`, which tables compare."""

    def state():
        bench = load(caltech_dir, tmp_path, num_splits=1)
        key = key_of(bench, [load_network(NARROW)], bench.settings(scales=(32,)))
        return bench.splits_sha256, bench.protocol["images"], key

    before = state()
    for number in range(90, 130):
        write_picture(caltech_dir / "101_ObjectCategories" / "new" / f"image_{number}.jpg")
    alone = caltech_dir / "101_ObjectCategories" / "new"
    assert state()[2] != before[2]
    shutil.rmtree(alone)
    assert state() == before
    write_picture(alone / "image_0001.jpg")  # a class of one picture is left out
    assert state()[0] == before[0] and state()[2] != before[2]


def test_a_data_folder_may_be_named_by_its_text(caltech_dir, home):
    named = load_benchmark("caltech101", str(caltech_dir), offline=True)
    assert named.splits_sha256 == load_benchmark("caltech101", caltech_dir).splits_sha256


def test_one_split_has_no_spread(caltech_dir, tmp_path):
    bench = load(caltech_dir, tmp_path, num_splits=1)
    assert run(bench, tmp_path).metrics["mean_class_recall"]["spread"] is None


def test_whatever_decides_the_numbers_decides_the_key(bench, caltech_dir, tmp_path):
    def key(bench=bench, nets=(NARROW,), **settings):
        settings = bench.settings(**({"scales": (32,)} | settings))
        return key_of(bench, [load_network(net) for net in nets], settings)

    changed = [
        key(nets=(OTHER,)),
        key(nets=(NARROW, OTHER)),
        key(scales=(48,)),
        key(mirror=False),
        key(aggregate="average"),
        key(scale_l2=True),
        key(exif=True),
        key(precision="bf16"),
        key(load(caltech_dir, tmp_path, num_splits=2, seed=1)),
        key(load(caltech_dir, tmp_path, num_splits=2, limit=50)),
    ]
    assert len({key(), *changed}) == len(changed) + 1
    assert key() == key() == key(batch_size=3)  # which only decides how fast it goes


def test_skipped_pictures_are_left_out_and_listed(bench, tmp_path):
    victim = bench.ids[bench.splits[0].test[0]]
    bench.pictures[victim].write_bytes(b"broken")
    record = run(bench, tmp_path, on_error="skip")
    assert list(record.skipped) == [victim]


def test_a_class_that_loses_all_its_test_pictures_is_an_error(bench, tmp_path):
    skates = bench.classes.index("inline_skate")
    for row in bench.splits[0].test:
        if bench.labels[row, skates] == 1:  # there is one
            bench.pictures[bench.ids[row]].write_bytes(b"broken")
    with pytest.raises(DatasetError, match="'inline_skate' has no test picture left"):
        run(bench, tmp_path, on_error="skip")


def test_a_choice_at_the_end_of_the_grid_is_told(bench, tmp_path):
    record = run(bench, tmp_path)
    at_the_end = record.probe["c"].count(100.0)
    told = f"the largest C of the grid, 100, was chosen in {at_the_end} of 2 splits"
    assert (told in record.notes) == bool(at_the_end)


def test_a_changed_picture_makes_another_key(bench):
    settings = bench.settings(scales=(32,))
    networks = [load_network(NARROW)]
    before = key_of(bench, networks, settings)
    picture = bench.pictures[bench.ids[bench.splits[0].test[0]]]
    picture.write_bytes(picture.read_bytes() + b" ")
    assert key_of(bench, networks, settings) != before


def test_counts_leave_out_skipped_pictures(bench, tmp_path):
    split = bench.splits[0]
    for row in (split.train[0], split.validation[0], split.test[0]):
        bench.pictures[bench.ids[row]].write_bytes(b"broken")
    record = run(bench, tmp_path, on_error="skip")
    assert (record.n_train[0], record.n_test[0]) == (94, 14)
