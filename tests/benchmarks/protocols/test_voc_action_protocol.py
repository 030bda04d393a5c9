"""VOC 2012 actions on drawn scenes: people by picture and index, boxes, two settings, archives."""

import io
import re
import shutil
import tarfile

import numpy as np
import pytest
from helpers.devkit_ap import devkit_aps
from helpers.pictures import NARROW
from helpers.trees import NUM_BEFORE_JUMPING, write_actions
from sklearn.svm import LinearSVC

from vggfeat import images
from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.datasets.synthetic_drawing import write_devkit
from vggfeat.benchmarks.protocols.voc_action_protocol import ACTIONS
from vggfeat.benchmarks.transfer import TransferMeasurement
from vggfeat.errors import DatasetError, OptionError, PictureError
from vggfeat.features import store
from vggfeat.features.requests import FeatureSets
from vggfeat.layouts.options import DataOptions
from vggfeat.storage.folders import Folders

SETS = {"train": 40, "val": 30, "test": 12}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "VOCdevkit" / "VOC2012"


@pytest.fixture
def people(root):
    scenes = write_devkit(root, (*ACTIONS, "other"), SETS)
    people = write_actions(root, scenes)
    shutil.rmtree(root / "ImageSets" / "Main")
    return people


def load(name, tmp_path, **options):
    places = Folders(tmp_path / "data", tmp_path / "cache")
    return load_benchmark(name, options=DataOptions(**options), places=places, offline=True)


def run(bench, folder, nets=(NARROW,)):
    settings = bench.settings(scales=(32, 48), solver="liblinear")
    return bench.run([load_network(net) for net in nets], settings, folder=folder)


def test_examples_are_people_and_labels_those_of_the_lists(people, tmp_path):
    bench = load("voc2012_actions", tmp_path)
    assert bench.classes == ACTIONS and bench.task.metric == "map_area"
    assert set(bench.ids) == {f"{name} {index}" for name, index in people}
    for set_name in ("train", "val"):
        left_out = 0
        for row in bench.sets[set_name]:
            name, index = bench.ids[row].split()
            expected = [1 if people[name, int(index)].class_number == k else -1 for k in range(10)]
            found = bench.labels[row].tolist()
            left_out += found[0] == 0
            assert found[1:] == expected[1:] and found[0] in (0, expected[0])
        assert left_out > 0, "people that are not in the lists of jumping"
    assert not bench.labels[bench.sets["test"]].any()
    assert any("jumping: " in note and "not in its lists" in note for note in bench.notes)


def test_people_who_do_something_else_are_negatives_of_every_action(people, tmp_path):
    bench = load("voc2012_actions", tmp_path)
    others = [
        row
        for row in bench.sets["train"]
        if people[bench.ids[row].split()[0], int(bench.ids[row].split()[1])].class_number == 10
    ]
    assert others and (bench.labels[others][:, 1:] == -1).all()


def test_the_whole_picture_stands_for_each_of_its_people(people, tmp_path):
    bench = load("voc2012_actions", tmp_path)
    assert all(pictures == (i.split()[0],) for i, pictures in bench.pictures_of.items())
    record = run(bench, tmp_path)
    assert record.protocol["trained_on"] == "train" and record.protocol["scored_on"] == "val"
    assert record.n_test == [len(bench.sets["val"])]
    assert record.nets[0]["features"]["dataset"] == "voc2012"  # shared with classification


def test_a_picture_stays_on_one_side_of_the_choice_of_C(people, tmp_path):
    (split,) = load("voc2012_actions", tmp_path).splits
    ids = load("voc2012_actions", tmp_path).ids
    sides = [{ids[row].split()[0] for row in part} for part in (split.train, split.validation)]
    assert all(sides) and not sides[0] & sides[1]


@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_boxes_are_the_annotations_widened_and_cut_at_the_edges(people, tmp_path, margin):
    bench = load("voc2012_actions_box", tmp_path, box_margin=margin)
    cut = 0
    for (name, index), person in people.items():
        whole, boxed = bench.pictures_of[f"{name} {index}"]
        crop = bench.pictures[boxed]
        assert crop.path == bench.pictures[whole]
        width, height = images.picture_size(crop.path)
        left, upper, right, lower = person.box
        extra = margin * (right - left), margin * (lower - upper)
        wide = (left - extra[0], upper - extra[1], right + extra[0], lower + extra[1])
        wanted = np.clip(np.round(wide), 0, [width, height, width, height])
        assert np.abs(np.array(crop.box) - wanted).max() <= 1
        if margin == 0:
            assert crop.box == person.box
        cut += wide[0] < 0 or wide[2] > width
    assert cut or not margin


def test_image_and_box_are_stacked(people, tmp_path):
    """The vector that is classified, worked out from the stored descriptors."""
    bench = load("voc2012_actions_box", tmp_path, box_margin=0.1)
    record = run(bench, tmp_path)
    path = tmp_path / record.nets[0]["features"]["file"]
    parts = []
    for slot in (0, 1):
        names = [bench.pictures_of[bench.ids[row]][slot] for row in bench.used_rows]
        mean = store.read(path, names, (32, 48)).mean(axis=1)
        parts.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
    expected = np.concatenate(parts, axis=1) / np.sqrt(2)
    settings = bench.settings(scales=(32, 48))
    extracted = type("Extracted", (), {"path": path})
    networks = [load_network(NARROW)]
    measurement = TransferMeasurement(benchmark=bench, networks=networks, settings=settings)
    found, *_ = measurement.read_vectors(bench.used_rows, [extracted])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert record.protocol["box_margin"] == 0.1
    # Shapes that fill their box are told apart better than by the whole picture.
    whole = run(load("voc2012_actions", tmp_path), tmp_path)
    assert record.metrics["map_area"]["value"] > whole.metrics["map_area"]["value"] + 0.1


def test_another_margin_is_another_measurement(people, tmp_path):
    keys = set()
    for margin in (0.0, 0.1, 0.5):
        bench = load("voc2012_actions_box", tmp_path, box_margin=margin)
        keys.add(
            TransferMeasurement(
                benchmark=bench,
                networks=[load_network(NARROW)],
                settings=bench.settings(scales=(32,)),
            ).key
        )
    assert len(keys) == 3
    with pytest.raises(OptionError, match="box margin must be from 0 to 10; got -1"):
        DataOptions(box_margin=-1)


def test_nets_and_views_are_fused(people, tmp_path):
    other = "vgg13:width=0.0625,input_size=32@random:5"
    record = run(load("voc2012_actions_box", tmp_path), tmp_path, (NARROW, other))
    assert record.net.count("+") == 1
    assert record.protocol["normalisation"].endswith("L2 of the stacked vectors")


@pytest.mark.parametrize("test_lists", ["by action", "test.txt alone"])
def test_the_servers_archive_names_people(people, root, tmp_path, test_lists):
    if test_lists == "test.txt alone":
        for path in (root / "ImageSets" / "Action").glob("*_test.txt"):
            path.unlink()
    bench = load("voc2012_actions", tmp_path)
    settings = bench.settings(scales=(32, 48))
    measurement = TransferMeasurement(
        benchmark=bench, networks=[load_network(NARROW)], settings=settings
    )
    packed, num_unscored = measurement.server_archive(FeatureSets(tmp_path), lambda *_: None)
    assert num_unscored == 0
    test_names = (root / "ImageSets" / "Action" / "test.txt").read_text().split()
    everyone = [f"{name} {index}" for name, index in people if name in test_names]
    # The server stops at someone whom an action's list does not name.
    in_jumping = [i for i in everyone if i.split()[0] not in test_names[:NUM_BEFORE_JUMPING]]
    assert in_jumping != everyone
    listed = dict.fromkeys(ACTIONS, everyone)
    if test_lists == "by action":
        listed["jumping"] = in_jumping
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == [
            f"results/VOC2012/Action/comp10_action_test_{action}.txt" for action in ACTIONS
        ]
        for name, action in zip(archive.getnames(), ACTIONS, strict=True):
            lines = archive.extractfile(name).read().decode().splitlines()
            assert all(re.fullmatch(r"\d{6} \d+ -?\d+\.\d{8}", line) for line in lines)
            assert [line.rpartition(" ")[0] for line in lines] == listed[action]


@pytest.mark.parametrize(
    "missing, told",
    [
        ("JPEGImages/000071.jpg", "lacks 1 of the"),
        ("Annotations/000071.xml", "000071.xml: No such file"),
        ("ImageSets/Action/jumping_test.txt", "jumping_test.txt: no such list"),
    ],
)
def test_an_incomplete_test_set_leaves_the_local_score(
    people, root, tmp_path, caplog, missing, told
):
    (root / missing).unlink()
    bench = load("voc2012_actions_box", tmp_path)
    assert bench.submission is None and set(bench.sets) == {"train", "val"}
    assert "no archive for the evaluation server: " in caplog.text and told in caplog.text


def test_test_lists_may_have_a_third_column(people, root, tmp_path):
    before = load("voc2012_actions", tmp_path)
    for path in (root / "ImageSets" / "Action").glob("*_test.txt"):
        path.write_text(path.read_text().replace("\n", " -1\n"))
    after = load("voc2012_actions", tmp_path)
    assert after.ids == before.ids
    assert np.array_equal(after.submission.listed, before.submission.listed)


@pytest.mark.parametrize("name, views", [("voc2012_actions", 1), ("voc2012_actions_box", 2)])
def test_the_record_says_what_was_normalised(people, tmp_path, name, views):
    stated = run(load(name, tmp_path), tmp_path).protocol["normalisation"]
    assert stated == (
        "L2 of each net's vector"
        if views == 1
        else "L2 of each net's vector of picture and of box, L2 of the stacked vectors"
    )


def test_the_score_is_the_devkits(people, tmp_path):
    """People who are not in the lists of jumping change nothing: only the others are ranked."""
    bench = load("voc2012_actions", tmp_path)
    record = run(bench, tmp_path)
    fitted_on = bench.splits[0]
    path = tmp_path / record.nets[0]["features"]["file"]
    names = [i.split()[0] for i in bench.ids]
    used = bench.used_rows
    X = np.zeros((len(names), record.nets[0]["features"]["dim"]))
    X[used] = store.read(path, [names[r] for r in used], (32, 48)).mean(axis=1)
    X[used] /= np.linalg.norm(X[used], axis=1, keepdims=True)
    both = np.sort(np.concatenate([fitted_on.train, fitted_on.validation]))
    for k, action in enumerate(ACTIONS):
        ap = record.metrics["map_area"]["per_class"][action]
        if ap is None:
            continue
        rows = both[bench.labels[both, k] != 0]
        test = fitted_on.test[bench.labels[fitted_on.test, k] != 0]
        svm = LinearSVC(C=record.probe["c"][0][action], dual=False, tol=1e-6, max_iter=10_000)
        scores = svm.fit(X[rows], bench.labels[rows, k]).decision_function(X[test])
        assert ap == pytest.approx(devkit_aps(bench.labels[test, k], scores)[1], abs=1e-6)


def edit_xml(pattern, text):
    def apply(root):
        path = root / "Annotations" / "000001.xml"
        path.write_text(re.sub(pattern, text, path.read_text()))

    return apply


def edit_list(name, pattern, text):
    def apply(root):
        path = root / "ImageSets" / "Action" / f"{name}.txt"
        path.write_text(re.sub(pattern, text, path.read_text(), count=1))

    return apply


BAD = {
    "a box outside the picture": (
        edit_xml(r"<xmin>\d+</xmin>(.*?)<xmax>\d+</xmax>", r"<xmin>900</xmin>\1<xmax>950</xmax>"),
        r"000001.xml: the box of object 1, 900 to 950 by .* is outside the picture of",
    ),
    "a box the wrong way round": (
        edit_xml(r"<xmin>\d+</xmin>(.*?)<xmax>\d+</xmax>", r"<xmin>40</xmin>\1<xmax>20</xmax>"),
        r"000001.xml: the box of object 1, 40 to 20",
    ),
    "no box": (edit_xml(r"<bndbox>.*?</bndbox>", ""), r"000001.xml: not a devkit annotation"),
    "a box that is no number": (
        edit_xml(r"<xmin>\d+</xmin>", "<xmin>left</xmin>"),
        r"000001.xml: not a devkit annotation \(could not convert string to float: 'left'\)",
    ),
    "no annotation": (
        lambda root: (root / "Annotations" / "000001.xml").unlink(),
        r"000001.xml: No such file or directory. The boxes are read from it",
    ),
    "half an annotation": (
        lambda root: (root / "Annotations" / "000001.xml").write_text("<annotation><size>"),
        r"000001.xml: not a devkit annotation",
    ),
    "a person who is not annotated": (
        edit_list("reading_train", r"000001 1", "000001 7"),
        r"000001.xml: has \d objects, and the lists name number 7",
    ),
    "a person without a number": (
        edit_list("reading_train", r"000001 1", "000001 one"),
        r"'000001 one' in a list is not `<picture> <person>`",
    ),
    "a person of 5,000 digits": (
        edit_list("reading_train", r"000001 1", "000001 " + "1" * 5000),
        r"in a list is not `<picture> <person>`",
    ),
    "a box that ends at infinity": (
        edit_xml(r"<xmax>\d+</xmax>", "<xmax>inf</xmax>"),
        r"000001.xml: a box has an edge at inf, and no picture has",
    ),
    "a box from nowhere": (
        edit_xml(r"<ymin>\d+</ymin>", "<ymin>nan</ymin>"),
        r"000001.xml: a box has an edge at nan",
    ),
    "a box of 5,000 digits": (
        edit_xml(r"<xmin>\d+</xmin>", f"<xmin>{'7' * 5000}</xmin>"),
        r"000001.xml: a box has an edge at inf",
    ),
    "a size of 5,000 digits": (
        edit_xml(r"<width>\d+</width>", f"<width>{'7' * 5000}</width>"),
        r"000001.xml: states a picture of infx\d+ pixels",
    ),
    "another column": (
        edit_list("reading_train", r"000001 1 ", "000001 "),
        r"reading_train.txt, line 1: 2 columns in .*, not 3",
    ),
    "a person twice": (
        edit_list("reading_train", r"(000001 1 .*\n)", r"\1\1"),
        r"reading_train.txt: lists '000001 1' twice",
    ),
    "a missing picture": (
        lambda root: (root / "JPEGImages" / "000001.jpg").unlink(),
        r"JPEGImages: lacks 1 of the \d+ pictures",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_told_in_one_line(people, root, tmp_path, kind):
    spoil, message = BAD[kind]
    spoil(root)
    with pytest.raises(DatasetError, match=message) as error:
        load("voc2012_actions_box", tmp_path)
    assert "\n" not in str(error.value)


def test_coordinates_may_be_fractions(people, root, tmp_path):
    """As in 2011_003353.xml, whose ymin is 45.70000076293945."""
    edit_xml(r"<ymin>\d+</ymin>", "<ymin>3.70000076293945</ymin>")(root)
    bench = load("voc2012_actions_box", tmp_path)
    crop = bench.pictures[bench.pictures_of["000001 1"][1]]
    assert crop.box[1] == 2 and all(isinstance(edge, int) for edge in crop.box)


def test_an_annotation_of_another_size_than_its_picture_is_told(people, root, tmp_path):
    """The box fits the annotation's picture, not the one on disk."""
    edit_xml(r"<width>\d+</width>", "<width>500</width>")(root)
    edit_xml(r"<xmax>\d+</xmax>", "<xmax>400</xmax>")(root)
    with pytest.raises(PictureError, match="000001.jpg, box .* not within the picture"):
        run(load("voc2012_actions_box", tmp_path), tmp_path)


@pytest.mark.parametrize("kind", ["500.0", "none", "swapped"])
def test_sizes_as_tools_write_them(people, root, tmp_path, kind):
    """The box with its margin ends at the picture's edges, whatever is said of its size."""
    (name, index), person = next(
        (key, person)
        for key, person in people.items()
        if person.box[2] > images.picture_size(root / f"JPEGImages/{key[0]}.jpg")[1]
    )
    width, height = images.picture_size(root / f"JPEGImages/{name}.jpg")
    assert person.box[2] > height  # so that swapped sides would cut it
    texts = {
        "500.0": f"<width>{width}.0</width><height>{height}.0</height>",
        "none": "",
        "swapped": f"<width>{height}</width><height>{width}</height>",
    }
    path = root / "Annotations" / f"{name}.xml"
    size = r"<width>\d+</width>\s*<height>\d+</height>"
    assert re.search(size, path.read_text())
    path.write_text(re.sub(size, texts[kind], path.read_text()))
    bench = load("voc2012_actions_box", tmp_path)
    assert bench.pictures[bench.pictures_of[f"{name} {index}"][1]].box == person.box


def test_an_annotation_that_states_another_picture_is_warned_of(people, root, tmp_path, caplog):
    edit_xml(r"<width>\d+</width>", "<width>5000</width>")(root)
    load("voc2012_actions_box", tmp_path)
    assert "000001.xml: states a picture of 5000x" in caplog.text
