"""Few examples: which pictures are drawn, what validates, and records of draws."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.pictures import NARROW
from sklearn.metrics import balanced_accuracy_score
from sklearn.svm import LinearSVC

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.shots import few_shots
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.cli import main
from vggfeat.dataset_rows import DatasetRow
from vggfeat.features import store
from vggfeat.layouts.options import DataOptions
from vggfeat.probes.registry import PROBES
from vggfeat.records.record import read_all
from vggfeat.storage.folders import Folders

NOWHERE = Path("nowhere")


def benchmark(labels, splits, task=None, **more):
    """Pictures 0, 1, ... with these labels [N, K], none of which is opened."""
    labels = np.array(labels, dtype=np.int8)
    ids = [f"{row:03d}.jpg" for row in range(len(labels))]
    return Benchmark(
        name="pictures", title="Pictures", version=7,
        classes=tuple("abcdefgh"[: labels.shape[1]]), pictures={i: NOWHERE / i for i in ids},
        labels=labels, splits=tuple(splits), sets={}, scales=(32,), aggregate="average",
        task=task or SingleLabel(), **more,
    )  # fmt: skip


def single(counts, splits=None, **more):
    """Classes of so many training pictures, the last of which validates, and one to test each."""
    classes = np.repeat(np.arange(len(counts)), np.array(counts) + 1)
    ends = np.cumsum(np.array(counts) + 1)
    train = np.setdiff1d(np.arange(len(classes)), [*(ends - 1), *(ends - 2)])
    split = Split(train=train, validation=ends - 2, test=ends - 1)
    labels = np.where(classes[:, None] == np.arange(len(counts)), 1, -1)
    return benchmark(labels, splits or [split], **more)


def drawn(bench, split):
    """The ids of each class that train or validate."""
    rows = split.both
    return [{bench.ids[row] for row in rows if labels[row] > 0} for labels in bench.labels.T]


def test_the_first_in_the_order_of_their_digests_are_drawn():
    bench = single([10, 10])
    few = few_shots(bench, DataOptions(shots=3, seed=5, num_splits=2))
    assert len(few.splits) == 2
    for number, split in enumerate(few.splits):
        for k, ids in enumerate(drawn(bench, split)):
            pool = [bench.ids[row] for row in bench.splits[0].both if bench.labels[row, k] > 0]
            pool.sort(key=lambda i: hashlib.sha256(f"7/5/{number}/shots/{i}".encode()).digest())
            assert ids == set(pool[:3])


def test_fewer_pictures_are_among_more():
    bench = single([40, 40, 40])
    by_shots = {shots: few_shots(bench, DataOptions(shots=shots)) for shots in (1, 2, 4, 8, 16, 32)}
    for smaller, larger in zip((1, 2, 4, 8, 16), (2, 4, 8, 16, 32), strict=True):
        for split, more in zip(by_shots[smaller].splits, by_shots[larger].splits, strict=True):
            assert set(split.both) < set(more.both)
            assert len(split.both) == 3 * smaller


def test_a_draw_depends_on_no_other_class_or_picture():
    few = few_shots(single([20, 20]), DataOptions(shots=4, num_splits=1))
    fewer_classes = few_shots(single([20, 3, 3]), DataOptions(shots=4, num_splits=1))
    assert drawn(few, few.splits[0])[0] == drawn(fewer_classes, fewer_classes.splits[0])[0]


def test_a_single_split_gives_as_many_draws_as_asked_for_and_several_one_each():
    base = single([10, 10])
    assert len(few_shots(base, DataOptions(shots=2, num_splits=5)).splits) == 5
    several = single([10, 10], splits=base.splits * 3)
    few = few_shots(several, DataOptions(shots=2, num_splits=3))
    assert len({frozenset(split.both) for split in few.splits}) == 3
    for split in few.splits:
        assert split.test is base.splits[0].test  # what is tested stays


@pytest.mark.parametrize(
    "shots, num_trained, num_validated", [(2, 1, 1), (4, 3, 1), (8, 6, 2), (16, 13, 3)]
)
def test_a_fifth_of_a_class_validates_and_at_least_one(shots, num_trained, num_validated):
    (split,) = few_shots(single([20, 20]), DataOptions(shots=shots, num_splits=1)).splits
    assert (len(split.train), len(split.validation)) == (2 * num_trained, 2 * num_validated)
    assert not set(split.train) & set(split.validation)


def test_with_one_picture_a_class_it_trains_and_validates():
    (split,) = few_shots(single([20, 20]), DataOptions(shots=1, num_splits=1)).splits
    assert set(split.train) == set(split.validation) and len(split.train) == 2


def test_the_only_picture_of_a_class_among_larger_ones_trains():
    bench = single([20, 2])
    (split,) = few_shots(
        benchmark(bench.labels, [Split(train=np.arange(22), validation=np.array([21]),
                                       test=np.array([20, 23]))]),
        DataOptions(shots=4, num_splits=1),
    ).splits  # fmt: skip
    assert len(split.train) == 3 + 1 and 21 in split.train and len(split.validation) == 1 + 0


def test_of_a_class_with_fewer_all_are_drawn_and_record_and_note_say_so():
    few = few_shots(single([20, 3, 20, 2]), DataOptions(shots=4, num_splits=2))
    assert few.protocol["train_per_class"] == "2 to 4" and few.protocol["shots"] == 4
    assert few.notes == (
        "2 of 4 classes have fewer than 4 training pictures, so all of theirs were drawn:"
        " 'b' (3), 'd' (2)",
    )
    few = few_shots(single([20, 20]), DataOptions(shots=4, num_splits=2))
    assert few.protocol == {"shots": 4, "train_per_class": 4, "splits": 2, "seed": 0}
    assert few.notes == ()


def test_a_picture_of_several_classes_keeps_its_labels_and_trains_where_any_class_needs_it():
    random = np.random.default_rng(0)
    labels = np.where(random.random((80, 4)) < 0.3, 1, -1)
    split = Split(train=np.arange(30), validation=np.arange(30, 60), test=np.arange(60, 80))
    bench = benchmark(labels, [split], task=MultiLabel(metric="map_area"))
    for shots in (1, 2, 5):
        few = few_shots(bench, DataOptions(shots=shots, num_splits=3))
        for split in few.splits:
            own_draw = [ids for ids in drawn(bench, split) if len(ids) >= shots]
            assert (
                len(own_draw) == 4
            )  # at least as many of each class, through the others' pictures
            assert len(split.both) <= 4 * shots and max(split.both) < 60
            assert (bench.labels[split.train] > 0).any(axis=0).all()
            assert shots == 1 or not set(split.train) & set(split.validation)


def test_without_shots_a_benchmark_stays_as_it_is():
    bench = single([5, 5])
    assert few_shots(bench, DataOptions()) is bench


def bench_of(home, name, limit):
    """Runs bench on a dataset with a number of pictures, all in the same folders."""

    def bench(shots, *more):
        arguments = (
            "bench", name, "--net", NARROW, "--scales", "32", "--no-mirror", "--limit", str(limit),
            "--splits", "2", "--precision", "fp32", "--out", str(home / "out"),
        )  # fmt: skip
        runner = CliRunner(env={"VGGFEAT_HOME": str(home)})
        return runner.invoke(main, [*arguments, "--shots", shots, *more])

    bench.home = home
    return bench


@pytest.fixture(scope="module")
def bench_digits(tmp_path_factory):
    return bench_of(tmp_path_factory.mktemp("digits"), "digits", 14)


@pytest.fixture(scope="module")
def bench_scenes(tmp_path_factory):
    return bench_of(tmp_path_factory.mktemp("scenes"), "synthetic_scenes", 40)


@pytest.fixture(scope="module")
def digits(bench_digits):
    """Records of three numbers of pictures and of all by shots, and what was printed."""
    result = bench_digits("1,2,4,all", "--verbose")
    assert result.exit_code == 0, result.stderr
    return {r.protocol.get("shots"): r for r in read_all(bench_digits.home / "out")}, result


def test_each_number_is_a_record_and_all_use_one_extraction(digits):
    records, result = digits
    assert list(records) == [None, 1, 2, 4]
    assert result.stderr.count("new descriptors") == 1
    assert len({r.nets[0]["features"]["file"] for r in records.values()}) == 1
    assert [record.n_train for record in records.values()] == [
        [70, 70],
        [10] * 2,
        [20] * 2,
        [40] * 2,
    ]
    assert len({tuple(record.n_test) for record in records.values()}) == 1
    header = result.stdout.splitlines()[2]
    assert header.split() == ["probe", "1", "2", "4", "all"]


def test_the_numbers_are_those_of_scikit_learn_on_the_drawn_pictures(digits, bench_digits):
    record, home = digits[0][4], bench_digits.home
    options = DataOptions(limit=14, shots=4, num_splits=2)
    few = load_benchmark("digits", options=options, places=Folders(home / "d", home), offline=True)
    assert record.splits_sha256 == few.splits_sha256
    (path,) = home.rglob("digits-*.h5")
    X = store.read(path, few.ids, (32,))[:, 0].astype(np.float64)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = few.labels.argmax(axis=1)
    for split, C, recall in zip(
        few.splits, record.probe["c"], record.metrics["mean_class_recall"]["per_split"], strict=True
    ):
        rows = split.both
        svm = LinearSVC(C=C, dual=False, tol=1e-8, max_iter=100_000).fit(X[rows], y[rows])
        expected = balanced_accuracy_score(y[split.test], svm.predict(X[split.test]))
        assert recall == pytest.approx(expected, abs=1e-6)


def test_where_all_pictures_are_held_out_none_is(digits):
    """One picture a class trains and validates; of values as good the smallest wins."""
    probe = digits[0][1].probe
    assert probe["c"] == [0.01, 0.01]
    assert all(scores["0.01"] == 1.0 for scores in probe["validation"])


def test_records_of_few_pictures_are_never_compared_with_published_numbers(digits):
    from vggfeat.report.judge import TRANSFER, judge
    from vggfeat.report.published import read_published

    row = next(r for r in read_published() if r.benchmark == "caltech101" and r.kind == "very deep")
    verdict = judge(TRANSFER, digits[0][2], row)
    assert verdict.comparison == "not comparable"
    assert "few examples: 2 training pictures a class" in verdict.reasons


def test_the_plan_names_each_number_and_bench_does_nothing_twice(digits, bench_digits):
    plan = bench_digits("1,8", "--dry-run").stdout
    assert f"{NARROW} (shots 1): measured already" in plan
    assert f"{NARROW} (shots 8): to measure" in plan and "no more descriptors to extract" in plan
    assert "extracting" not in bench_digits("1,2").stderr


def test_splits_of_few_pictures_are_written_for_others(run, digits):
    result = run("datasets", "splits", "digits", "--limit", 14, "--splits", 2, "--shots", 2)
    lines = result.stdout.splitlines()
    assert sum(",train," in line for line in lines) == sum(",validation," in line for line in lines)
    assert digits[0][2].splits_sha256 in result.stderr


def test_a_broken_picture_that_is_not_drawn_is_no_skip_of_the_record(caltech_dir, run, tmp_path):
    bench = load_benchmark(
        "caltech101", options=DataOptions(shots=1, num_splits=1),
        places=Folders(caltech_dir, tmp_path), offline=True,
    )  # fmt: skip
    spare = next(i for i in bench.base.used if i not in bench.used)
    (caltech_dir / "101_ObjectCategories" / spare).write_bytes(b"no picture")
    result = run(
        "bench", "caltech101", "--data-dir", caltech_dir, "--net", NARROW, "--scales", 32,
        "--shots", 1, "--splits", 1, "--on-error", "skip", "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    (record,) = read_all(tmp_path / "out")
    assert record.skipped == {}


@pytest.mark.parametrize(
    "shots, message",
    [
        ("0", "shots must be from 1 to 100000; got 0"),
        ("2,two", "'2,two' is not a list"),
        ("", "''"),
    ],
)
def test_numbers_that_are_none_are_refused(run, shots, message):
    result = run("bench", "digits", "--net", NARROW, "--shots", shots)
    assert result.exit_code and message in result.stderr and "Traceback" not in result.stderr


def test_keys_of_records_without_shots_do_not_know_of_them(digits):
    record = digits[0][None]
    assert "shots" not in json.dumps(record.protocol)
    assert load_network(NARROW).name == record.net


def test_where_the_pictures_that_train_validate_the_record_says_so(digits):
    remark = "the only training picture of a class validates, too, so the C is the smallest"
    assert any(text.startswith(remark) for text in digits[0][1].remarks)
    assert not any("validates, too" in text for text in digits[0][2].remarks)


def test_every_probe_has_a_curve(bench_digits, tmp_path):
    names = [name for name in PROBES]
    probes = [word for name in names for word in ("--probe", name)]
    result = bench_digits("1,3", *probes, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()[4 : 4 + len(names)]
    assert [line.split()[0] for line in lines] == names
    assert all(line.count("±") == 2 for line in lines)


def test_features_made_elsewhere_have_a_curve(run, tmp_path):
    random = np.random.default_rng(0)
    y = np.arange(60) % 3
    np.save(tmp_path / "features.npy", random.normal(size=(60, 8)) + 2 * np.eye(8)[y])
    lines = [f"{number},{'abc'[k]}\n" for number, k in enumerate(y)]
    (tmp_path / "labels.csv").write_text("".join(["id,label\n", *lines]))
    arguments = (
        "bench", tmp_path / "features.npy", "--labels", tmp_path / "labels.csv", "--shots",
        "2,8,all", "--out", tmp_path / "out",
    )  # fmt: skip
    plan = run(*arguments, "--dry-run").stdout
    assert "linear SVM (shots 2): to be fitted" in plan and "3 measurements" in plan
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[2].split() == ["probe", "2", "8", "all"]
    assert {r.protocol.get("shots"): r.n_train[0] for r in read_all(tmp_path / "out")} == {
        None: 48, 2: 6, 8: 24,
    }  # fmt: skip
    assert "--save-probe is of pictures" in run(*arguments, "--save-probe").stderr


@pytest.mark.parametrize("probe", PROBES)
def test_several_labels_have_a_curve_by_every_probe(bench_scenes, probe, tmp_path):
    result = bench_scenes("1,2", "--probe", probe, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.stderr
    for record in read_all(tmp_path / "out"):
        assert len(record.n_test) == 2 and set(record.n_test) == {40}
        assert "NaN" not in json.dumps(record.probe)


def test_draws_share_one_search_for_equal_files():
    """Reading 327,680 rows takes half a minute."""
    reads = Counter()

    def read_row(number):
        reads[number] += 1
        return b"the same"

    base = single([12, 12])
    rows = {i: DatasetRow(read_row, n, i) for n, i in enumerate(base.ids)}
    base = replace(base, pictures=rows)
    few = [few_shots(base, DataOptions(shots=shots)) for shots in (1, 2, 4)]
    assert all(benchmark.leaks for benchmark in (*few, base))
    assert reads == dict.fromkeys(range(26), 1)
