"""VOC 2007 and 2012 on drawn scenes in the devkit's layout, against scikit-learn and the devkit."""

import io
import tarfile
from collections import Counter

import numpy as np
import pytest
from helpers.devkit_ap import devkit_aps
from helpers.pictures import NARROW
from sklearn.metrics import average_precision_score
from sklearn.svm import LinearSVC

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.datasets.synthetic_drawing import write_devkit
from vggfeat.benchmarks.protocols.voc_protocol import CLASSES
from vggfeat.benchmarks.transfer import TransferMeasurement
from vggfeat.errors import DatasetError
from vggfeat.features import store
from vggfeat.features.requests import FeatureSets
from vggfeat.layouts.options import DataOptions
from vggfeat.probes.svm import C_GRID
from vggfeat.storage.folders import Folders

SETS = {"train": 30, "val": 30, "test": 40}
OTHER = "vgg13:width=0.0625,input_size=32@random:5"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """VOC2007 and VOC2012 side by side; the classes of 2012 from `person` on never occur."""
    data = tmp_path_factory.mktemp("data")
    write_devkit(data / "VOCdevkit" / "VOC2007", CLASSES, SETS)
    write_devkit(data / "VOCdevkit" / "VOC2012", CLASSES[:14], SETS, seed=1)
    main = data / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main"
    for name in ("train", "val"):
        ids = (main / f"{name}.txt").read_text().split()
        for rare in CLASSES[14:]:
            (main / f"{rare}_{name}.txt").write_text("".join(f"{i} -1\n" for i in ids))
    for labels in main.glob("*_test.txt"):
        labels.unlink()  # not public
    return data


@pytest.fixture
def data(drawn, tmp_path):
    """A copy to spoil, its pictures shared."""
    for year in ("VOC2007", "VOC2012"):
        source, root = drawn / "VOCdevkit" / year, tmp_path / "data" / "VOCdevkit" / year
        for path in sorted((source / "ImageSets").rglob("*.txt")):
            target = root / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        (root / "JPEGImages").mkdir()
        for path in (source / "JPEGImages").iterdir():
            (root / "JPEGImages" / path.name).symlink_to(path)
    return tmp_path / "data"


def load(name, data, tmp_path, **options):
    return load_benchmark(
        name, options=DataOptions(**options), places=Folders(data, tmp_path), offline=True
    )


def run(bench, folder, nets=(NARROW,), **settings):
    settings = bench.settings(**({"scales": (32, 48), "solver": "liblinear"} | settings))
    return bench.run([load_network(net) for net in nets], settings, folder=folder)


def by_hand(bench, folder, record, split, *, difficult):
    """Chosen C and test scores of each class, with scikit-learn alone."""
    used = sorted({*split.train.tolist(), *split.validation.tolist(), *split.test.tolist()})
    X = np.full((len(bench.ids), 0), 0.0)
    for net in record.nets:
        path = folder / net["features"]["file"]
        vectors = np.zeros((len(bench.ids), net["features"]["dim"]))
        vectors[used] = store.read(path, [bench.ids[r] for r in used], (32, 48)).mean(axis=1)
        vectors[used] /= np.linalg.norm(vectors[used], axis=1, keepdims=True)
        X = np.concatenate([X, vectors / np.sqrt(len(record.nets))], axis=1)
    train_labels = np.where(bench.labels == 0, -1 if difficult == "negative" else 0, bench.labels)

    def fit(C, rows, k):
        rows = rows[train_labels[rows, k] != 0]
        svm = LinearSVC(C=C, tol=1e-6, max_iter=10_000, dual=False)
        return svm.fit(X[rows], train_labels[rows, k])

    both = np.sort(np.concatenate([split.train, split.validation]))
    aps = {}  # class -> AP on validation of each C
    for k, name in enumerate(bench.classes):
        signs = train_labels[split.train, k]
        if {1, -1} <= set(signs.tolist()):
            truth = bench.labels[split.validation, k]
            scores = [fit(C, split.train, k).decision_function(X[split.validation]) for C in C_GRID]
            if (truth > 0).any():
                aps[name] = [devkit_aps(truth, score)[1] for score in scores]
    overall = C_GRID[int(np.argmax(np.mean(list(aps.values()), axis=0)))]
    chosen, test_scores = {}, {}
    for k, name in enumerate(bench.classes):
        if {1, -1} <= set(train_labels[both, k].tolist()):
            chosen[name] = C_GRID[int(np.argmax(aps[name]))] if name in aps else overall
            test_scores[name] = fit(chosen[name], both, k).decision_function(X[split.test])
    return chosen, test_scores


@pytest.mark.parametrize(
    "name, difficult, nets",
    [
        ("voc2007", "ignore", (NARROW,)),
        ("voc2007", "negative", (NARROW, OTHER)),
        ("voc2012", "ignore", (NARROW,)),
    ],
)
def test_a_record_holds_what_scikit_learn_and_the_devkit_compute(
    drawn, tmp_path, name, difficult, nets
):
    bench = load(name, drawn, tmp_path, difficult=difficult)
    record = run(bench, tmp_path, nets)
    (split,) = bench.splits
    chosen, scores = by_hand(bench, tmp_path, record, split, difficult=difficult)
    assert record.probe["c"] == [chosen]
    expected = {"map_11pt": {}, "map_area": {}, "map_step": {}}
    for k, class_name in enumerate(bench.classes):
        truth = bench.labels[split.test, k]
        told = class_name in scores and (truth > 0).any()
        aps = devkit_aps(truth, scores[class_name]) if told else (None, None)
        kept = truth != 0
        step = average_precision_score(truth[kept] > 0, scores[class_name][kept]) if told else None
        for rule, ap in zip(expected, (*aps, step), strict=True):
            expected[rule][class_name] = ap
    for rule, per_class in expected.items():
        found = record.metrics[rule]
        assert found["per_class"] == {
            k: None if ap is None else pytest.approx(ap, abs=1e-6) for k, ap in per_class.items()
        }
        known = [ap for ap in per_class.values() if ap is not None]
        assert found["value"] == pytest.approx(np.mean(known), abs=1e-6)
    assert record.protocol["classes"] == len(known)


def test_voc_2007_trains_on_trainval_and_is_scored_on_test_by_11_points(drawn, tmp_path):
    bench = load("voc2007", drawn, tmp_path)
    (split,) = bench.splits
    assert [len(part) for part in (split.train, split.validation, split.test)] == [30, 30, 40]
    assert bench.classes == CLASSES and bench.task.metric == "map_11pt" and bench.submission is None
    assert bench.scales == (256, 384, 512, 640, 768) and bench.aggregate == "average"
    assert bench.protocol["trained_on"] == "trainval" and bench.protocol["scored_on"] == "test"
    assert (bench.labels == 0).any(), "the scenes have difficult pictures"


def test_voc_2012_trains_on_train_and_is_scored_on_val_by_area(drawn, tmp_path):
    bench = load("voc2012", drawn, tmp_path)
    (split,) = bench.splits
    train, val = bench.sets["train"].tolist(), bench.sets["val"].tolist()
    assert sorted([*split.train, *split.validation]) == train and split.test.tolist() == val
    assert len(split.validation) == 6, "a fifth of train chooses C"
    assert bench.task.metric == "map_area"
    assert bench.protocol["trained_on"] == "train" and bench.protocol["scored_on"] == "val"


def test_the_fifth_that_chooses_c_follows_from_the_names_alone(data, tmp_path):
    def held_out():
        bench = load("voc2012", data, tmp_path)
        return {bench.ids[row] for row in bench.splits[0].validation}

    before = held_out()
    path = data / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main" / "train.txt"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert held_out() == before


def test_classes_without_positives_are_named_and_left_out(drawn, tmp_path):
    record = run(load("voc2012", drawn, tmp_path), tmp_path)
    rare = set(CLASSES[14:])
    left_out = {name for name, ap in record.metrics["map_area"]["per_class"].items() if ap is None}
    assert rare <= left_out
    for name in left_out:
        assert any(
            note.startswith("left out of the mean, ") and name in note for note in record.notes
        )
    assert record.protocol["classes"] == 20 - len(left_out)


def test_the_servers_archive_is_trained_on_trainval(drawn, tmp_path):
    bench = load("voc2012", drawn, tmp_path)
    settings = bench.settings(scales=(32, 48), solver="liblinear")
    networks = [load_network(NARROW)]
    measurement = TransferMeasurement(benchmark=bench, networks=networks, settings=settings)
    packed, num_unscored = measurement.server_archive(FeatureSets(tmp_path), lambda *_: None)
    assert num_unscored == 0
    split = bench.submission.split
    assert bench.splits[0].test.tolist() == split.validation.tolist() == bench.sets["val"].tolist()
    record = bench.run(networks, settings, folder=tmp_path)
    _, scores = by_hand(bench, tmp_path, record, split, difficult="ignore")
    test_ids = (drawn / "VOCdevkit/VOC2012/ImageSets/Main/test.txt").read_text().split()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == [
            f"results/VOC2012/Main/comp2_cls_test_{name}.txt" for name in CLASSES
        ]
        for name in CLASSES:
            file = archive.extractfile(f"results/VOC2012/Main/comp2_cls_test_{name}.txt")
            lines = [line.split() for line in file.read().decode().splitlines()]
            assert [i for i, _ in lines] == test_ids
            found = np.array([float(score) for _, score in lines])
            np.testing.assert_allclose(found, scores.get(name, np.zeros(40)), atol=1e-3)
    assert packed == measurement.server_archive(FeatureSets(tmp_path), lambda *_: None)[0]


def test_without_the_test_pictures_there_is_no_archive(data, tmp_path):
    (data / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main" / "test.txt").unlink()
    assert load("voc2012", data, tmp_path).submission is None


def test_incomplete_test_pictures_leave_the_local_score(data, tmp_path, caplog):
    root = data / "VOCdevkit" / "VOC2012"
    name = (root / "ImageSets" / "Main" / "test.txt").read_text().split()[0]
    (root / "JPEGImages" / f"{name}.jpg").unlink()
    bench = load("voc2012", data, tmp_path)
    assert bench.submission is None and set(bench.sets) == {"train", "val"}
    assert "no archive for the evaluation server: 1 test pictures are not there" in caplog.text


def test_labels_are_those_of_the_lists(drawn, tmp_path):
    bench = load("voc2007", drawn, tmp_path)
    main = drawn / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    for k, name in enumerate(CLASSES):
        for set_name, rows in bench.sets.items():
            lines = (main / f"{name}_{set_name}.txt").read_text().splitlines()
            expected = {line.split()[0]: int(line.split()[1]) for line in lines}
            assert {bench.ids[row]: bench.labels[row, k] for row in rows} == expected
    assert set(Counter(bench.labels.ravel().tolist())) == {1, 0, -1}


def test_lists_may_have_windows_line_ends_and_blank_lines(data, tmp_path):
    expected = load("voc2007", data, tmp_path)
    for path in (data / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    found = load("voc2007", data, tmp_path)
    assert found.ids == expected.ids and np.array_equal(found.labels, expected.labels)


def test_a_limit_takes_the_first_of_each_set_and_is_stamped(drawn, tmp_path):
    bench = load("voc2007", drawn, tmp_path, limit=10)
    assert {name: len(rows) for name, rows in bench.sets.items()} == {
        "train": 10, "val": 10, "test": 10
    }  # fmt: skip
    assert bench.limited and bench.notes == ("limited to the first 10 of each set",)


def test_a_test_picture_that_cannot_be_read_ranks_last(drawn, tmp_path):
    """Against the devkit's ranking of the scores of all others, the unread one at -inf."""
    bench = load("voc2007", drawn, tmp_path)
    whole = run(bench, tmp_path)
    (split,) = bench.splits
    _, scores = by_hand(bench, tmp_path, whole, split, difficult="ignore")
    # A picture that has a class which is scored.
    row, k = next(
        (row, k)
        for row in range(len(split.test))
        for k in np.flatnonzero(bench.labels[split.test[row]] > 0)
        if CLASSES[k] in scores
    )
    gone = bench.ids[split.test[row]]
    bench = load("voc2007", drawn, tmp_path)
    bench.pictures[gone] = drawn / "gone.jpg"
    record = run(bench, tmp_path / "without", on_error="skip")
    assert record.n_test == whole.n_test == [40] and list(record.skipped) == [gone]
    truth = bench.labels[split.test, k]
    expected = np.array(scores[CLASSES[k]])
    expected[row] = -np.inf
    found = record.metrics["map_area"]["per_class"][CLASSES[k]]
    assert found == pytest.approx(devkit_aps(truth, expected)[1], abs=1e-6)


def test_labels_decide_the_key(data, tmp_path):
    def key():
        bench = load("voc2007", data, tmp_path)
        return TransferMeasurement(
            benchmark=bench,
            networks=[load_network(NARROW)],
            settings=bench.settings(scales=(32,)),
        ).key

    before = key()
    path = data / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "dog_test.txt"
    path.write_text(path.read_text().replace(" -1", "  0", 1))
    assert key() != before


def spoil(name, edit):
    """An edit of one list of VOC 2007."""

    def apply(root):
        path = root / "ImageSets" / "Main" / f"{name}.txt"
        path.write_text(edit(path.read_text()))

    return apply


def lines(edit):
    return lambda text: "".join(edit(text.splitlines(keepends=True)))


BAD = {
    "a list that names a missing picture": (
        lambda root: (root / "JPEGImages" / "000003.jpg").unlink(),
        r"JPEGImages: lacks 1 of the 100 pictures that the lists name, 000003.jpg among them",
    ),
    "no pictures at all": (
        lambda root: (root / "JPEGImages").rename(root / "Pictures"),
        r"JPEGImages: No such file or directory. It should hold the pictures",
    ),
    "a missing class list": (
        lambda root: (root / "ImageSets" / "Main" / "dog_val.txt").unlink(),
        r"dog_val.txt: no such list. Complete the folder",
    ),
    "no test set": (
        lambda root: (root / "ImageSets" / "Main" / "test.txt").unlink(),
        r"test.txt: no such list",
    ),
    "a name twice in a set": (
        spoil("train", lambda text: text + "000001\n"),
        r"train.txt: lists '000001' twice",
    ),
    "a name twice in a class": (
        spoil("cat_train", lambda text: text + "000001 -1\n"),
        r"cat_train.txt: lists '000001' twice",
    ),
    "a name in two sets": (
        spoil("val", lambda text: text + "000001\n"),
        r"'000001' is in both sets 'train' and 'val'",
    ),
    "a third column": (
        spoil("cat_train", lines(lambda rows: [rows[0], rows[1].rstrip() + " 1\n", *rows[2:]])),
        r"cat_train.txt, line 2: 3 columns in '000002 .*', not 2",
    ),
    "labels in the set's list": (
        spoil("train", lambda text: text.replace("000002\n", "000002 1\n")),
        r"train.txt, line 2: 2 columns in '000002 1', not 1",
    ),
    "a label that is none": (
        spoil("cat_train", lines(lambda rows: ["000001  2\n", *rows[1:]])),
        r"cat_train.txt: label '2' of 000001; allowed are 1, 0, -1",
    ),
    "a picture without a label": (
        spoil("cat_train", lines(lambda rows: rows[1:])),
        r"the list cat_train lacks 1 of the 30 pictures of train, 000001 among them",
    ),
    "an empty list": (spoil("train", lambda text: "\n"), r"train.txt: the list is empty"),
    "a name that leaves its folder": (
        spoil("train", lambda text: text.replace("000002", "../../etc/passwd")),
        r"train.txt, line 2: '../../etc/passwd' is no picture's name",
    ),
    "a list that is no text": (
        lambda root: (root / "ImageSets" / "Main" / "val.txt").write_bytes(b"\xff\xfe\x00"),
        r"val.txt: not a text file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_told_in_one_line(data, tmp_path, kind):
    spoiling, message = BAD[kind]
    spoiling(data / "VOCdevkit" / "VOC2007")
    with pytest.raises(DatasetError, match=message) as error:
        load("voc2007", data, tmp_path)
    assert "\n" not in str(error.value)


def test_too_few_classes_to_train_are_told(data, tmp_path):
    main = data / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    for name in CLASSES[1:]:
        path = main / f"{name}_train.txt"
        path.write_text(path.read_text().replace("  1\n", " -1\n"))
    with pytest.raises(DatasetError, match=r"C can be chosen for \d of 20 classes"):
        run(load("voc2007", data, tmp_path), tmp_path)


@pytest.mark.real
def test_the_real_slice_of_voc_2012(real_data, tmp_path):
    data = tmp_path / "data"  # with this one archive: there are several slices of VOC 2012
    data.mkdir()
    archive = "voc2012-animals-150.tar"
    (data / archive).symlink_to(real_data / "data" / archive)
    bench = load("voc2012", data, tmp_path)
    assert {name: len(rows) for name, rows in bench.sets.items()} == {"train": 90, "val": 60}
    weights = real_data / "weights" / "squeezenet1_0_imagenet.safetensors"
    settings = bench.settings(scales=(128,), mirror=False)
    network = load_network(f"squeezenet1_0@{weights}")
    record = bench.run([network], settings, folder=tmp_path)
    assert 0.4 < record.metrics["map_area"]["value"] < 0.8
    per_class = record.metrics["map_11pt"]["per_class"]
    assert per_class["aeroplane"] is None and per_class["cat"] > 0.6
    assert any("no positive picture to test on: bird" in note for note in record.notes)
