"""Sets that a dataset's authors made, as a benchmark: what trains, validates and is tested."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.records import make_record

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.labelled_sets import Labelled, LabelledSets
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.protocols.own_splits import SplitPlan, splits_of
from vggfeat.benchmarks.shots import few_shots
from vggfeat.benchmarks.sources.local_folder import LocalFolder
from vggfeat.errors import DatasetError
from vggfeat.layouts.options import DataOptions
from vggfeat.report.judge import TRANSFER, flaws, judge
from vggfeat.report.published import read_published

CLASSES = ("cat", "dog", "owl")


def labelled(name, per_class, first=0):
    ids = [f"{name}/{c}_{n:02d}.jpg" for c in CLASSES for n in range(first, first + per_class)]
    labels = [CLASSES.index(i.split("/")[1][:3]) for i in ids]
    return Labelled(pictures={i: Path(i) for i in ids}, labels=labels)


def benchmark_of(sets, options=None, *, classes=CLASSES, known_counts=(), **protocol):
    protocol = {
        "metric": "accuracy",
        "read": lambda root: LabelledSets(classes=classes, sets=sets),
    } | protocol
    definition = DatasetDefinition(
        name="toy",
        title="Toy",
        source=LocalFolder("."),
        build=official_benchmark,
        protocol=OfficialSplits(**protocol),
        scales=(32,),
        known_counts=known_counts,
    )
    return official_benchmark(definition, Path("data"), options or DataOptions())


def ids_of(benchmark, rows):
    return [benchmark.ids[row] for row in rows]


def per_class(benchmark, rows):
    return Counter(i.split("/")[1][:3] for i in ids_of(benchmark, rows))


def test_the_authors_sets_train_validate_and_are_tested():
    sets = {"train": labelled("train", 5), "val": labelled("val", 2), "test": labelled("test", 3)}
    benchmark = benchmark_of(sets, splits=(GivenSplit(validation="val"),))
    (split,) = benchmark.splits
    assert ids_of(benchmark, split.train) == list(sets["train"].pictures)
    assert ids_of(benchmark, split.validation) == list(sets["val"].pictures)
    assert ids_of(benchmark, split.test) == list(sets["test"].pictures)
    assert benchmark.task.metric == "accuracy"
    assert benchmark.protocol == {
        "images": 30, "split": "official", "trained_on": "train and val", "validation": "val",
        "scored_on": "test", "splits": 1,
    }  # fmt: skip
    assert benchmark.labels.tolist()[0] == [1, -1, -1]


def test_sets_that_are_not_there_are_named():
    sets = {"train": labelled("train", 5), "test": labelled("test", 3)}
    with pytest.raises(DatasetError, match="of set 'valid'; `read` gives train, test"):
        benchmark_of(sets, splits=(GivenSplit(validation="valid"),))
    with pytest.raises(DatasetError, match=r"is a tuple of sets, \('train',\); got 'train'"):
        GivenSplit(train="train")


def test_without_a_validation_set_a_fifth_of_each_class_is_drawn_by_the_seed():
    sets = {"train": labelled("train", 10), "test": labelled("test", 3)}
    benchmark = benchmark_of(sets)
    (split,) = benchmark.splits
    assert per_class(benchmark, split.validation) == dict.fromkeys(CLASSES, 2)
    assert per_class(benchmark, split.train) == dict.fromkeys(CLASSES, 8)
    assert sorted(ids_of(benchmark, split.both)) == sorted(sets["train"].pictures)
    again = benchmark_of(sets)
    other = benchmark_of(sets, DataOptions(seed=1))
    assert benchmark.splits_sha256 == again.splits_sha256 != other.splits_sha256
    assert benchmark.protocol["validation"] == "drawn from train"
    assert benchmark.protocol["validation_share"] == 0.2 and benchmark.protocol["seed"] == 0


def test_several_official_splits_share_pictures():
    whole = labelled("all", 6)
    parts = {f"{name}{k}": _some(whole, k + 3 * n) for k in (1, 2) for n, name in enumerate("ab")}
    splits = tuple(GivenSplit(train=(f"a{k}",), test=f"b{k}") for k in (1, 2))
    benchmark = benchmark_of(parts, splits=splits)
    assert len(benchmark.ids) == len({i for p in parts.values() for i in p.pictures})
    assert [sorted(ids_of(benchmark, s.test)) for s in benchmark.splits] == [
        sorted(parts[f"b{k}"].pictures) for k in (1, 2)
    ]


def test_records_state_the_kind_of_set_that_each_of_several_splits_has():
    whole = labelled("all", 6)
    parts = {f"{s}{k}": _some(whole, n) for k in (1, 2) for n, s in enumerate(("a", "b", "c"))}
    splits = tuple(GivenSplit(train=(f"a{k}",), test=f"c{k}") for k in (1, 2))
    drawn = benchmark_of(parts, splits=splits).protocol
    assert (drawn["trained_on"], drawn["scored_on"]) == ("a of each split", "c of each split")
    assert drawn["validation"] == "drawn from a of each split"
    splits = tuple(GivenSplit(train=(f"a{k}",), validation=f"b{k}", test="c1") for k in (1, 2))
    given = benchmark_of(parts, splits=splits).protocol
    assert given["trained_on"] == "a and b of each split"
    assert (given["validation"], given["scored_on"]) == ("b of each split", "c1")
    (one,) = splits[:1]
    assert benchmark_of(parts, splits=(one,)).protocol["trained_on"] == "a1 and b1"


def test_records_of_few_pictures_do_not_name_a_set_that_no_longer_validates():
    sets = {"train": labelled("train", 5), "val": labelled("val", 2), "test": labelled("test", 3)}
    options = DataOptions(shots=3, num_splits=2)
    few = few_shots(benchmark_of(sets, splits=(GivenSplit(validation="val"),)), options)
    assert few.protocol == {
        "images": 30, "split": "official", "trained_on": "train and val", "scored_on": "test",
        "splits": 2, "shots": 3, "train_per_class": 3, "seed": 0,
    }  # fmt: skip
    assert len(few.splits[0].both) == 3 * len(CLASSES)


def _some(whole, n):
    """Two pictures of each class."""
    kept = [i for i in whole.pictures if int(i[-6:-4]) in (n % 6, (n + 1) % 6)]
    label_of = dict(zip(whole.pictures, whole.labels, strict=True))
    return Labelled(
        pictures={i: whole.pictures[i] for i in kept}, labels=[label_of[i] for i in kept]
    )


def test_what_belongs_together_validates_together():
    sets = {"train": labelled("train", 40), "test": labelled("test", 3)}

    def track(i):  # ten pictures that follow each other
        return i[: len("train/cat_0")]

    benchmark = benchmark_of(sets, together=track)
    (split,) = benchmark.splits
    train, validation = ({track(i) for i in ids_of(benchmark, rows)} for rows in
                         (split.train, split.validation))  # fmt: skip
    assert not train & validation
    assert per_class(benchmark, split.validation) == dict.fromkeys(CLASSES, 10)


def test_a_limit_takes_pictures_of_several_groups_so_that_one_can_validate():
    sets = {"train": labelled("train", 40), "test": labelled("test", 3)}
    benchmark = benchmark_of(sets, DataOptions(limit=5), together=lambda i: i[: len("train/cat_0")])
    cats = [i for i in ids_of(benchmark, benchmark.sets["train"]) if "cat" in i]
    assert cats == [f"train/cat_{n:02d}.jpg" for n in (0, 1, 10, 20, 30)]
    (split,) = benchmark.splits
    assert set(per_class(benchmark, split.validation)) == set(CLASSES)


def test_without_official_splits_random_ones_are_drawn():
    benchmark = benchmark_of({"all": labelled("all", 25)}, DataOptions(num_splits=2), splits=())
    assert len(benchmark.splits) == 2
    for split in benchmark.splits:
        assert per_class(benchmark, split.test) == dict.fromkeys(CLASSES, 5)
        assert per_class(benchmark, split.validation) == dict.fromkeys(CLASSES, 4)
        assert per_class(benchmark, split.train) == dict.fromkeys(CLASSES, 16)
    assert not np.array_equal(benchmark.splits[0].test, benchmark.splits[1].test)
    assert benchmark.protocol["split"] == "random, stratified"


def test_the_only_training_picture_of_a_random_split_validates_too():
    benchmark = benchmark_of({"all": labelled("all", 2)}, splits=())
    for split in benchmark.splits:
        assert per_class(benchmark, split.test) == dict.fromkeys(CLASSES, 1)
        assert split.train.tolist() == split.validation.tolist()


def test_random_splits_are_those_of_the_same_pictures_as_ones_own():
    """own_splits.py draws both, so a folder of class folders gives the same numbers."""
    whole = labelled("all", 25)
    ours = benchmark_of({"all": whole}, DataOptions(num_splits=2, seed=5), splits=())
    own, facts = splits_of(
        SplitPlan(), ours.ids, np.array(whole.labels), None, version=1, num_splits=2, seed=5
    )
    for one, other in zip(ours.splits, own, strict=True):
        assert all((vars(one)[part] == vars(other)[part]).all() for part in vars(one))
    assert ours.protocol == {"images": 75, **facts}


def test_random_splits_keep_groups_together():
    def film(i):  # ten pictures that follow each other
        return i[: len("all/cat_0")]

    benchmark = benchmark_of({"all": labelled("all", 50)}, splits=(), together=film)
    for split in benchmark.splits:
        films = [{film(i) for i in ids_of(benchmark, rows)} for rows in vars(split).values()]
        assert len(set.union(*films)) == sum(map(len, films)) == 15


def test_a_limit_takes_the_first_of_each_class_of_each_set():
    sets = {"train": labelled("train", 10), "test": labelled("test", 5)}
    benchmark = benchmark_of(sets, DataOptions(limit=4))
    assert per_class(benchmark, benchmark.sets["train"]) == dict.fromkeys(CLASSES, 4)
    assert per_class(benchmark, benchmark.sets["test"]) == dict.fromkeys(CLASSES, 4)
    assert benchmark.limited and benchmark.notes == ("limited to 4 pictures a class of each set",)


def test_a_set_without_pictures_of_a_class_is_not_whole():
    few = Labelled(pictures={"test/cat_00.jpg": Path("x")}, labels=[0])
    with pytest.raises(DatasetError, match="set 'test' has no picture of 2 of the 3 classes"):
        benchmark_of({"train": labelled("train", 3), "test": few})


def test_a_picture_cannot_be_of_two_classes():
    twice = labelled("train", 3)
    wrong = Labelled(pictures=twice.pictures, labels=[(k + 1) % 3 for k in twice.labels])
    with pytest.raises(DatasetError, match="is of two classes, cat and dog"):
        benchmark_of({"train": twice, "test": wrong})


def test_an_id_cannot_be_of_two_pictures():
    """Such as that of a file of one name in a folder for each set."""
    train = labelled("all", 3)
    test = Labelled(pictures={i: Path("test", i) for i in train.pictures}, labels=train.labels)
    with pytest.raises(DatasetError, match="is the id of two pictures, all/cat_00.jpg and test/"):
        benchmark_of({"train": train, "test": test})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "set 'train' has 3 pictures and 2 labels"),
        ([1, 2, 3], "set 'train' has label 3; the 3 classes have the numbers 0 to 2"),
        ([0, 1, -1], "set 'train' has label -1"),
    ],
)
def test_labels_are_numbers_of_classes_and_as_many_as_pictures(labels, message):
    pictures = {f"{n}.jpg": Path(f"{n}.jpg") for n in range(3)}
    with pytest.raises(DatasetError, match=message):
        LabelledSets(classes=CLASSES, sets={"train": Labelled(pictures=pictures, labels=labels)})


def test_sets_that_are_not_whole_are_no_match_for_published_numbers():
    """What a test set lacks is in the record and beside the number; of --limit others tell."""
    known = tuple(KnownCounts(set=n, total=15, source="Nobody") for n in ("train", "test"))
    sets = {"train": labelled("train", 5), "test": labelled("test", 3)}
    short = benchmark_of(sets, known_counts=known)
    assert short.protocol["incomplete"] == "test 9 of 15"
    assert "incomplete" not in benchmark_of(sets, DataOptions(limit=2), known_counts=known).protocol
    whole = {"train": labelled("train", 5), "test": labelled("test", 5)}
    assert "incomplete" not in benchmark_of(whole, known_counts=known).protocol
    record = make_record(protocol=dict(short.protocol))
    said = "not the whole dataset: test 9 of 15 pictures"
    assert flaws(record) == [said]
    assert said in judge(TRANSFER, record, read_published()[0]).reasons


def test_errors_of_reading_say_where():
    def read(root):
        raise DatasetError("set 'train' is odd.")

    with pytest.raises(DatasetError, match=r"^data: set 'train' is odd\.$"):
        benchmark_of({}, read=read)


def test_pictures_that_lists_name_in_training_and_validation_are_noted():
    train, val, test = labelled("a", 10), labelled("c", 2), labelled("b", 3)
    splits = (GivenSplit(validation="val"),)
    sets = {"train": train, "val": _with(val, train, 2), "test": test}
    noted = benchmark_of(sets, splits=splits).notes
    assert noted == ("2 pictures in the training and in the validation set",)
    assert benchmark_of(sets | {"val": val}, splits=splits).notes == ()


def _with(labelled, other, n):
    """A set, and the first n pictures of another."""
    first = dict(list(zip(other.pictures, other.labels, strict=True))[:n])
    return Labelled(
        pictures={**labelled.pictures, **{i: other.pictures[i] for i in first}},
        labels=[*labelled.labels, *first.values()],
    )
