"""Localisation: what nets of known outputs predict, how it is scored, and what a user reads."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.boxed import TINTS, line, rectangle, write_boxed
from helpers.interrupts import interrupted_at
from helpers.pictures import write_picture
from helpers.together import run_layer_by_layer, run_together
from helpers.training import FP32
from PIL import Image
from safetensors.torch import save_file
from torchvision.ops import box_iou

from vggfeat import images, vgg
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec
from vggfeat.benchmarks.ilsvrc import classification, localisation, predictions
from vggfeat.benchmarks.runner import Failure
from vggfeat.errors import WeightsError
from vggfeat.features import store
from vggfeat.features.forward import to_input
from vggfeat.features.requests import FeatureSets
from vggfeat.layouts.boxes import with_boxes
from vggfeat.layouts.imagenet import open_pictures
from vggfeat.pretraining.box_recipes import box_recipe
from vggfeat.pretraining.overrides import overridden
from vggfeat.pretraining.run import PretrainingJob, pretrain
from vggfeat.progress import no_progress
from vggfeat.storage.folders import folders
from vggfeat.weights import checkpoint
from vggfeat.weights.checkpoint import Card, read_card

CLASSES = tuple(TINTS)
MIDDLE = [0.0, 0.0, 0.5, 0.5]  # of a window of 32: 8, 8, 24, 24
NEVER = -2.0  # a threshold: merges nothing


def write_net(
    path: Path, bias: list[float] | None = None, *, net="vgg11", classes=CLASSES, regressor=None,
    width=0.0625, input_size=32, scale=36, seed=0,
) -> Path:  # fmt: skip
    """A net of random weights; with a bias, its output is that wherever it looks."""
    count = {None: len(classes), "scr": 4, "pcr": 4 * len(classes)}[regressor]
    made = vgg.build(net, num_classes=count, width=width, input_size=input_size)
    vgg.initialise(made, "glorot", seed=seed)
    if bias is not None:
        torch.nn.init.zeros_(made.classifier[6].weight)
        made.classifier[6].bias.data = torch.tensor(bias)
    recipe = {"scales": [scale, scale]}
    if regressor:
        recipe |= {"regressor": regressor, "tuned": "all"}
    size = f"width={width},input_size={input_size}"
    card = Card(net=f"{net}:{size}", classes=classes, mean=(90.0, 80.0, 70.0), std=(40.0,) * 3,
                training={"recipe": recipe})  # fmt: skip
    save_file(made.state_dict(), path, card.metadata())
    return path


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    write_net(folder / "classes.safetensors", seed=3)
    write_net(folder / "even.safetensors", [0.0] * 6)
    write_net(folder / "middle.safetensors", MIDDLE, regressor="scr")
    write_net(folder / "random.safetensors", regressor="pcr", seed=1)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three of each class, of 48x36, 36x48 and 40x40 pixels."""
    root = tmp_path_factory.mktemp("pictures")
    write_boxed(root / "val", dict.fromkeys(CLASSES, 3))
    return root


def of_sizes(root: Path, sizes: list[tuple[int, int]]) -> Path:
    """A picture of each size in class ant, all of it its box; one in each other class."""
    for name in CLASSES:
        folder, lines = root / "val" / name, ""
        folder.mkdir(parents=True)
        for i, size in enumerate(sizes if name == "ant" else sizes[:1]):
            rectangle(size, (0, 0, *size), TINTS[name]).save(folder / f"{i}.png")
            lines += line(f"{i}.png", [(0, 0, *size)])
        (folder / f"{name}_boxes.txt").write_text(lines)
    return root


def job(root: Path, cache: Path, *nets: Path, classifier=None, **more) -> localisation.Job:
    return localisation.Job(
        nets=[tuple(NetSpec(weights=str(path)) for path in nets)],
        data=root,
        classifier=(NetSpec(weights=str(classifier)),) if classifier else (),
        folders=folders(cache_dir=cache),
        options={"device": "cpu"} | more.pop("options", {}),
        **more,
    )


def silent(*_) -> None:
    pass


def predicted(one: localisation.Job) -> dict[str, np.ndarray]:
    """Picture -> box, of the only measurement of a job."""
    (measurement,) = localisation.measurements(one)
    return measurement.predict(FeatureSets(one.folders.features), silent).boxes


def only_outcome(one: localisation.Job, out: Path, progress=silent):
    """The record of the only measurement of a job, or its failure."""
    (outcome,) = localisation.localise(one, out, progress)
    return outcome


def only_record(one: localisation.Job, out: Path, progress=silent):
    record = only_outcome(one, out, progress)
    assert not isinstance(record, Failure), record.reason
    return record


def value(record, name: str) -> float:
    return record.metrics[name]["value"]


# The box of a picture


def test_the_centre_crop_tells_a_box_of_the_picture(nets, tmp_path):
    """48x36 at 36 is itself, the crop at (8, 2); at 72 it is 96x72, the crop at (32, 20)."""
    root = of_sizes(tmp_path / "p", [(48, 36), (36, 48)])
    at = {scale: predicted(job(root, tmp_path, nets / "middle.safetensors", scales=[scale]))
          for scale in ("36", "72", "36,72")}  # fmt: skip
    wide, tall = "val/ant/0.png", "val/ant/1.png"
    assert at["36"][wide].tolist() == [16, 10, 32, 26] and at["36"][tall].tolist() == [
        10,
        16,
        26,
        32,
    ]
    assert at["72"][wide].tolist() == [20, 14, 28, 22] and at["72"][tall].tolist() == [
        14,
        20,
        22,
        28,
    ]
    assert at["36,72"][wide].tolist() == [18, 12, 30, 24]


def test_nets_are_averaged_at_scales_of_their_own(nets, tmp_path):
    root = of_sizes(tmp_path / "p", [(48, 36)])
    whole = write_net(tmp_path / "whole.safetensors", [0.0, 0, 1, 1], regressor="scr")
    both = predicted(job(root, tmp_path, nets / "middle.safetensors", whole, scales=["36+72"]))
    mean = (np.array([16, 10, 32, 26]) + [16, 10, 32, 26]) / 2  # the whole crop at 72 is as large
    assert both["val/ant/0.png"].tolist() == mean.tolist()
    each = predicted(job(root, tmp_path, nets / "middle.safetensors", whole, scales=["36"]))
    assert each["val/ant/0.png"].tolist() == [12, 6, 36, 30]


def test_the_box_of_the_true_class_is_taken(tmp_path):
    """Class k predicts a box of k + 1 tenths of the window."""
    root = of_sizes(tmp_path / "p", [(40, 40)])
    bias = [number for k in range(6) for number in (0, 0, (k + 1) / 10, (k + 1) / 10)]
    path = write_net(tmp_path / "pcr.safetensors", bias, regressor="pcr")
    found = predicted(job(root, tmp_path, path, scales=["40"]))
    sides = [found[f"val/{name}/0.png"][2] - found[f"val/{name}/0.png"][0] for name in CLASSES]
    assert sides == pytest.approx([3.2 * (k + 1) for k in range(6)])


def test_pictures_of_a_batch_have_their_own_factors(nets, tmp_path):
    """All are 48x36 at 36."""
    root = of_sizes(tmp_path / "p", [(48, 36), (96, 72), (480, 360)])
    for view in ("centre", "dense"):
        found = predicted(job(root, tmp_path, nets / "middle.safetensors", views=[view],
                         classifier=nets / "even.safetensors"))  # fmt: skip
        one, twice, ten = (found[f"val/ant/{i}.png"] for i in range(3))
        np.testing.assert_allclose(twice, 2 * one)
        np.testing.assert_allclose(ten, 10 * one)


def test_a_box_is_cut_at_the_pictures_edges(tmp_path):
    root = of_sizes(tmp_path / "p", [(48, 36)])
    path = write_net(tmp_path / "wide.safetensors", [0.0, 0.25, 9, 0.5], regressor="scr")
    assert predicted(job(root, tmp_path, path))["val/ant/0.png"].tolist() == [0, 18, 48, 34]


def test_a_single_dense_position_is_the_centre_crop(nets, tmp_path):
    """A square picture at the side of the window."""
    root = of_sizes(tmp_path / "p", [(40, 40), (64, 64)])
    found = [predicted(job(root, tmp_path, nets / "random.safetensors", scales=["32"], views=[view],
                      classifier=nets / "classes.safetensors"))
             for view in ("centre", "dense")]  # fmt: skip
    assert len(np.unique([box[0] for box in found[0].values()])) > 3
    for path, box in found[0].items():
        if box[0] < box[2] and box[1] < box[3]:
            np.testing.assert_allclose(found[1][path], box, atol=1e-4)


@pytest.mark.parametrize("size", [(48, 36), (36, 48), (100, 40)])
@pytest.mark.parametrize("scale", [64, 100])
def test_the_dense_box_lies_where_its_posterior_is_highest(nets, tmp_path, size, scale):
    """Position (i, j) is that of the window at (32 i, 32 j) of the rescaled picture."""
    root = of_sizes(tmp_path / "p", [size])
    for k, name in enumerate(CLASSES):
        write_picture(root / f"val/{name}/0.png", size, seed=k)
    classes = nets / "classes.safetensors"
    found = predicted(job(root, tmp_path, nets / "middle.safetensors", scales=[str(scale)],
                     views=["dense"], classifier=classes, merge_threshold=NEVER))  # fmt: skip
    network, places = load_network(str(classes)), set()
    for k, name in enumerate(CLASSES):
        (array,) = images.load_batch([root / f"val/{name}/0.png"], [scale])
        with torch.no_grad():
            scores = network.output_map(to_input(array, network.statistics, "cpu"))[0]
        posteriors = scores.softmax(dim=0)[k].numpy()
        height, width = array.shape[1:3]
        assert posteriors.shape == (height // 32, width // 32) and posteriors.size > 1
        i, j = np.unravel_index(posteriors.argmax(), posteriors.shape)
        across, down = width / size[0], height / size[1]
        expected = [(32 * j + 8) / across, (32 * i + 8) / down,
                    (32 * j + 24) / across, (32 * i + 24) / down]  # fmt: skip
        np.testing.assert_allclose(found[f"val/{name}/0.png"], expected)
        places.add((i, j))
    assert len(places) > 1


def test_dense_boxes_of_all_positions_are_merged(nets, tmp_path):
    """48x36 at 64 is 85x64 with 2x2 windows; all merged, the box is in the middle of them."""
    root = of_sizes(tmp_path / "p", [(48, 36)])
    found = predicted(job(root, tmp_path, nets / "middle.safetensors", scales=["64"],
                     views=["dense"],
                     classifier=nets / "even.safetensors", merge_threshold=1e9))  # fmt: skip
    expected = np.array([24, 24, 40, 40]) / [85 / 48, 64 / 36, 85 / 48, 64 / 36]
    np.testing.assert_allclose(found["val/ant/0.png"], expected)


def test_boxes_of_several_nets_are_united_before_they_are_merged(nets, tmp_path):
    """Two that agree outvote one that comes first and is as sure."""
    root = of_sizes(tmp_path / "p", [(32, 32)])
    biases = {"far": [-0.25, -0.25, 0.5, 0.5], "a": [0.25, 0.25, 0.5, 0.5],
              "b": [0.125, 0.125, 0.5, 0.5]}  # fmt: skip
    paths = [write_net(tmp_path / f"{name}.safetensors", bias, regressor="scr")
             for name, bias in biases.items()]  # fmt: skip
    found = predicted(job(root, tmp_path, *paths, scales=["32"], views=["dense"],
                     classifier=nets / "even.safetensors"))  # fmt: skip
    assert found["val/ant/0.png"].tolist() == [14, 14, 30, 30]  # of 16 and 12


def test_boxes_of_several_scales_are_united_before_they_are_merged(nets, tmp_path):
    """40x40 at 32 is one window whose box is 10 to 30; at 40 it is 8 to 24 of the left upper."""
    root = of_sizes(tmp_path / "p", [(40, 40)])
    found = predicted(job(root, tmp_path, nets / "middle.safetensors", scales=["32,40"],
                     views=["dense"], classifier=nets / "even.safetensors"))  # fmt: skip
    assert found["val/ant/0.png"].tolist() == [9, 9, 27, 27]


# The error


def test_the_error_is_that_of_posteriors_and_boxes(nets, pictures, tmp_path):
    """Recomputed with numpy and torchvision from what each step leaves."""
    regressor, classifier = nets / "middle.safetensors", nets / "classes.safetensors"
    one = job(pictures, tmp_path, regressor, classifier=classifier, views=["dense"])
    boxes, record = predicted(one), only_record(one, tmp_path / "out")
    asked = classification.Job(
        nets=[(NetSpec(weights=str(classifier)),)], data=pictures, folders=one.folders,
        scales=["multi"], options=one.options, save=tmp_path / "saved",
    )  # fmt: skip
    list(classification.evaluate(asked, tmp_path / "out", silent))
    saved = predictions.read(next((tmp_path / "saved").iterdir()))
    truth, hits, places = with_boxes(open_pictures(pictures / "val")).boxes, [], []
    for i, row, label in zip(saved.about.ids, saved.posteriors, saved.labels, strict=True):
        true = torch.tensor(truth[i.removeprefix("val/")])
        hits.append(bool((box_iou(torch.tensor(boxes[i])[None], true) > 0.5).any()))
        places.append(np.argsort(-row).tolist().index(label))
    hits, places = np.array(hits), np.array(places)
    assert 0 < hits.mean() < 1 and {0, 5} < set(places.tolist())
    assert value(record, "given_class_error") == pytest.approx((~hits).mean())
    for top in (1, 5):
        expected = 1 - (hits & (places < top)).mean()
        assert value(record, f"top{top}_error") == pytest.approx(expected)
    assert record.n_test == [18] and record.metric == "top5_error"
    (net,) = record.nets
    assert (net["regressor"], net["tuned"], net["train_scale"]) == ("scr", "all", "36")


def test_any_of_several_boxes_will_do(nets, tmp_path):
    root = of_sizes(tmp_path / "p", [(48, 36)])
    for name in CLASSES[:3]:
        lists = root / "val" / name / f"{name}_boxes.txt"
        lists.write_text(line("0.png", [(0, 0, 48, 36), (16, 10, 32, 26)]))
    record = only_record(job(root, tmp_path, nets / "middle.safetensors"), tmp_path / "out")
    assert value(record, "given_class_error") == 0.5
    per_class = record.metrics["given_class_error"]["per_class"]
    assert list(per_class.values()) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("view", ["centre", "dense"])
def test_where_every_box_is_empty_all_are_missed(nets, tmp_path, view):
    root = of_sizes(tmp_path / "p", [(48, 36)])
    path = write_net(tmp_path / "inside_out.safetensors", [0.0, 0, -0.5, -0.5], regressor="scr")
    one = job(root, tmp_path, path, views=[view], classifier=nets / "even.safetensors")
    assert value(only_record(one, tmp_path / "out"), "given_class_error") == 1
    assert value(only_record(one, tmp_path / "again"), "given_class_error") == 1  # from the cache


def test_of_a_limit_the_first_pictures_of_each_class_are_measured(nets, pictures, tmp_path):
    one = job(pictures, tmp_path, nets / "middle.safetensors", limit=2)
    record = only_record(one, tmp_path / "out")
    assert record.n_test == [12] and record.limited
    whole = only_record(job(pictures, tmp_path, nets / "middle.safetensors"), tmp_path / "out")
    assert whole.n_test == [18] and not whole.limited


def test_a_limit_is_of_the_same_pictures_for_classes_and_boxes(nets, tmp_path):
    """The first picture of each class has no box."""
    write_boxed(tmp_path / "p/val", dict.fromkeys(CLASSES, 3))
    for lists in (tmp_path / "p/val").rglob("*_boxes.txt"):
        lists.write_text("".join(lists.read_text().splitlines(keepends=True)[1:]))
    one = job(tmp_path / "p", tmp_path, nets / "middle.safetensors", limit=2,
              classifier=nets / "classes.safetensors")  # fmt: skip
    record = only_record(one, tmp_path / "out")
    assert record.n_test == [6] and record.limited
    assert record.notes == ["6 validation pictures have no box and are left out"]


def test_pictures_that_were_trained_on_are_not_tested_on(nets, tmp_path):
    """Of a folder of class folders, which training splits; a net of others is tested on all.

    A picture without a box is not trained on, so that training's list is not the folder's.
    """
    root = write_boxed(tmp_path / "p", dict.fromkeys(CLASSES, 11))
    lists = root / "ant/ant_boxes.txt"
    lists.write_text("".join(lists.read_text().splitlines(keepends=True)[1:]))
    small = {"width": "0.0625", "input_size": "32", "init": "glorot", "epochs": "1"}
    recipe = overridden(box_recipe("vgg11-256-scr"), small | {"start": "none"}, one_stage=True)
    (stage,) = pretrain(PretrainingJob(recipes=[recipe], data=root, out=tmp_path, runtime=FP32))
    held_out = with_boxes(open_pictures(root)).validation
    assert list(predicted(job(root, tmp_path, stage.weights))) == [path for path, _ in held_out]
    assert len(predicted(job(root, tmp_path, nets / "middle.safetensors"))) == 65


# Interrupted, and asked again


def test_a_stopped_run_goes_on_from_its_feature_file(nets, pictures, tmp_path, monkeypatch):
    one = job(pictures, tmp_path, nets / "random.safetensors", options={"batch_size": 1})
    whole = only_record(job(pictures, tmp_path / "other", nets / "random.safetensors"),
                        tmp_path / "other")  # fmt: skip

    with interrupted_at(5):
        list(localisation.localise(one, tmp_path / "out", no_progress))
    (file,) = one.folders.features.glob("*.h5")
    assert store.inspect(file).num_done == 5
    totals = []
    record = only_record(one, tmp_path / "out", lambda what, done, total: totals.append(total))
    assert set(totals) == {13} and record.metrics == whole.metrics
    monkeypatch.setattr(
        "vggfeat.features.pipeline.describe", lambda *_, **__: pytest.fail("a net was run")
    )
    assert only_record(one, tmp_path / "out") == record
    assert only_record(one, tmp_path / "elsewhere").metrics == record.metrics  # from the file


@pytest.mark.parametrize(
    "change", [{"merge_threshold": 0.5}, {"scales": ["40"]}, {"views": ["centre"]}, {"limit": 2}]
)
def test_what_decides_the_number_makes_another_record(nets, pictures, tmp_path, change):
    given = {"views": ["dense"], "classifier": nets / "classes.safetensors"}
    keys = []
    for more in ({}, change):
        (measurement,) = localisation.measurements(
            job(pictures, tmp_path, nets / "middle.safetensors", **given | more)
        )
        keys.append(measurement.key)
    assert keys[0] != keys[1]


def test_a_classifier_of_two_nets_is_named_in_the_users_order(nets, pictures, tmp_path):
    """Keys of records have depended on it from the start."""
    one = job(pictures, tmp_path, nets / "middle.safetensors", views=["dense"],
              classifier=nets / "even.safetensors")  # fmt: skip
    pair = tuple(NetSpec(weights=str(nets / f"{name}.safetensors")) for name in ("even", "classes"))
    forth, back = (
        only_record(replace(one, classifier=classifier), tmp_path / "out")
        for classifier in (pair, pair[::-1])
    )
    assert forth.key != back.key and forth.metrics == back.metrics
    labels = [
        f"vgg11:width=0.0625,input_size=32@{name}.safetensors" for name in ("even", "classes")
    ]
    assert forth.protocol["classifier"] == "+".join(labels)
    assert back.protocol["classifier"] == "+".join(labels[::-1])


def test_other_boxes_are_another_measurement(nets, tmp_path):
    root = of_sizes(tmp_path / "p", [(48, 36)])
    errors = []
    for box in [(0, 0, 48, 36), (16, 10, 32, 26)]:
        for name in CLASSES:
            (root / "val" / name / f"{name}_boxes.txt").write_text(line("0.png", [box]))
        one = job(root, tmp_path, nets / "middle.safetensors")
        errors.append(value(only_record(one, tmp_path / "out"), "given_class_error"))
    assert errors == [1, 0]


def test_a_picture_whose_box_is_outside_is_skipped_by_name(nets, tmp_path):
    root = of_sizes(tmp_path / "p", [(48, 36)])
    (root / "val/bee/bee_boxes.txt").write_text(line("0.png", [(0, 0, 60, 36)]))
    one = job(root, tmp_path, nets / "middle.safetensors", options={"on_error": "skip"})
    record = only_record(one, tmp_path / "out")
    assert list(record.skipped) == ["val/bee/0.png"] and record.n_test == [5]
    assert "is not within the picture of 48x36" in record.skipped["val/bee/0.png"]
    assert record.metrics["given_class_error"]["per_class"]["bee"] is None


@pytest.mark.parametrize("classifier", [None, "classes.safetensors"])
def test_nothing_but_unreadable_pictures_is_told(nets, tmp_path, classifier):
    root = of_sizes(tmp_path / "p", [(48, 36)])
    for picture in root.rglob("*.png"):
        picture.write_bytes(b"broken")
    one = job(root, tmp_path, nets / "middle.safetensors", options={"on_error": "skip"},
              classifier=classifier and nets / classifier)  # fmt: skip
    assert "no picture could be read" in only_outcome(one, tmp_path / "out").reason


def test_a_damaged_feature_file_is_named_and_stops_nothing_else(nets, pictures, tmp_path):
    one = job(pictures, tmp_path, nets / "middle.safetensors", scales=["36", "40"])
    whole = list(localisation.localise(one, tmp_path / "out", silent))
    (file,) = one.folders.features.glob("*.h5")
    file.write_bytes(file.read_bytes()[:2000])
    failures = list(localisation.localise(one, tmp_path / "again", silent))
    assert len(failures) == 2 and all(file.name in failure.reason for failure in failures)
    file.unlink()
    records = localisation.localise(one, tmp_path / "again", silent)
    assert [record.metrics for record in records] == [record.metrics for record in whole]


def test_boxes_of_a_grid_are_extracted_once(nets, pictures, tmp_path, caplog):
    """At all scales and at room for all their positions, although 64 has more than 36."""
    caplog.set_level("DEBUG")
    one = job(pictures, tmp_path, nets / "middle.safetensors", scales=["36", "36,64"],
              views=["centre", "dense"], classifier=nets / "classes.safetensors")  # fmt: skip
    assert len(list(localisation.localise(one, tmp_path / "out", silent))) == 4
    assert caplog.text.count("18 new boxes") == 2  # of the centre crop, of all positions
    assert caplog.text.count("18 new posteriors") == 2  # of the classes, of all positions
    layers = {store.inspect(path).conditions.layer for path in one.folders.features.glob("*.h5")}
    assert sum("of the true class, 4 positions, labels" in layer for layer in layers) == 2


def test_boxes_of_few_pictures_are_of_use_for_all(nets, pictures, tmp_path, caplog):
    caplog.set_level("DEBUG")
    for limit in (2, None):
        one = job(pictures, tmp_path, nets / "middle.safetensors", limit=limit)
        only_record(one, tmp_path / "out")
    assert "12 new boxes" in caplog.text and "6 new boxes" in caplog.text


def test_boxes_of_the_centre_crop_do_not_wait_for_another_classifier(nets, pictures, tmp_path):
    one = job(pictures, tmp_path, nets / "middle.safetensors")
    only_record(one, tmp_path / "out")
    ranked = replace(one, classifier=(NetSpec(weights=str(nets / "classes.safetensors")),))
    labels = []
    record = only_record(ranked, tmp_path / "out", lambda what, *_: labels.append(what))
    assert "top5_error" in record.metrics
    assert set(labels) == {"extracting vgg11:width=0.0625,input_size=32@classes.safetensors"}


def test_a_card_that_promises_other_boxes_is_refused(nets, pictures, tmp_path):
    tells_classes, odd = nets / "classes.safetensors", tmp_path / "odd.safetensors"
    card = replace(read_card(tells_classes), training={"recipe": {"regressor": "pcr"}})
    save_file(checkpoint.read(tells_classes), odd, card.metadata())
    with pytest.raises(WeightsError, match="says pcr of 6 classes, .* last layer has 6 outputs"):
        only_record(job(pictures, tmp_path, odd), tmp_path / "out")


# The command line


@pytest.fixture
def run(run, tmp_path, monkeypatch):
    """A command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run


def test_the_help_tells_the_threshold_that_is_used(run):
    help_text = " ".join(run("localise", "evaluate", "--help").stdout.split())
    assert f"is at most T; {localisation.THRESHOLD:g} by default" in help_text


def test_a_sheet_is_of_one_net_and_a_png(run, nets, pictures):
    net = ("--net", nets / "middle.safetensors")
    show = ("localise", "show", "--data", pictures, *net)
    assert run(*show, *net).exit_code == 2
    result = run(*show, "--to", "sheet.jpg")
    assert result.exit_code == 1 and "name a file that ends in .png" in result.stderr


def test_from_the_command_line_to_a_table(run, nets, pictures):
    arguments = (
        "localise", "evaluate", "--net", nets / "middle.safetensors", "--data", pictures,
        "--views", "centre", "--views", "dense", "--classifier", nets / "classes.safetensors",
        "--scales", "single", "--scales", "36,40",
    )  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    tables = result.stdout.split("Table ")[1:]
    ours = {one[:2].strip(":"): one.count("middle.safetensors") for one in tables}
    assert ours == {"8": 2, "9": 2, "10": 1}  # in the last one the best
    again = run(*arguments)
    assert again.stdout == result.stdout and "4 measured already" in again.stderr


@pytest.mark.parametrize("view", ["centre", "dense"])
def test_a_sheet_of_so_many_pictures(run, nets, pictures, view):
    arguments = ("localise", "show", "--net", nets / "middle.safetensors", "--data", pictures,
                 "--view", view, "--classifier", nets / "classes.safetensors")  # fmt: skip
    widths = []
    for count, new in ((1, 1), (5, 4)):  # the first picture's box is kept
        result = run(*arguments, "--count", count, "--to", f"{count}.png", "--verbose")
        assert result.exit_code == 0 and result.stdout == f"{count}.png\n"
        assert (
            f"extracting vgg11:width=0.0625,input_size=32@middle.safetensors: {new} of {new}"
            in result.stderr
        )
        with Image.open(f"{count}.png") as sheet:
            sheet.load()
            widths.append(sheet.width)
    assert widths[1] > 2 * widths[0]


def test_a_sheet_is_spread_over_the_classes(nets, pictures, tmp_path, monkeypatch):
    from vggfeat.benchmarks.ilsvrc import show

    shown = []
    sheet = show.box_sheet
    monkeypatch.setattr(show, "box_sheet", lambda cells: shown.extend(cells) or sheet(cells))
    one = job(pictures, tmp_path, nets / "middle.safetensors")
    show.show_boxes(one, 6, tmp_path / "boxes.png", silent)
    assert [cell.title for cell in shown] == list(CLASSES)
    show.show_boxes(one, 99, tmp_path / "boxes.png", silent)
    assert len(shown) == 6 + 18


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["show"]])
def test_help(run, command):
    result = run("localise", *command, "--help")
    assert result.exit_code == 0 and ("  --data PATH" in result.stdout) == bool(command)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["localize"], "Did you mean 'localise'?"),
        (["localise", "trian"], "Did you mean 'train'?"),
        (["localise", "evaluate"], "Missing option '--net'"),
        (["localise", "show", "--net", "x", "--view", "crops"], "is not one of"),
        (["localise", "show", "--net", "x", "--count", "0"], "not in the range"),
    ],
)
def test_wrong_usage_is_status_2(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and message in result.stderr


MIDDLE_NET, CLASSIFIER = ("--net", "middle"), ("--classifier", "classes")
DENSE = ("--views", "dense")
CEIL = "vgg11:width=0.0625,input_size=32,ceil_mode=true@classes"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((*MIDDLE_NET, *DENSE), "give it with --classifier"),
        ((*MIDDLE_NET, *DENSE, "--classifier", ""), "give it with --classifier"),
        (
            ("--net", "classes"),
            "does not predict boxes. `vggfeat localise train` makes nets that do",
        ),
        (("--net", "squeezenet1_0@random:0"), "squeezenet1_0@random:0: does not predict boxes"),
        (("--net", "vgg16"), "vgg16"),
        (("--net", "nowhere.safetensors"), "nowhere.safetensors"),
        ((*MIDDLE_NET, "--classifier", "middle"), "predicts boxes, not classes"),
        (("--net", "others"), "was trained on other classes than those of"),
        ((*MIDDLE_NET, "--net", "others"), "was trained on other classes"),
        ((*MIDDLE_NET, "--classifier", "large"), "the nets see windows of 32, 64 pixels"),
        (
            (*MIDDLE_NET, *DENSE, "--classifier", CEIL),
            "Name one of the VGG nets, without ceil_mode",
        ),
        ((*MIDDLE_NET, "--views", "crops"), "Unknown view 'crops'. Known: centre, dense"),
        ((*MIDDLE_NET, "--scales", "31"), "scale 31 is too small for vgg11"),
        ((*MIDDLE_NET, "--scales", "36+40"), "are for 2 nets, and 1 are used"),
        ((*MIDDLE_NET, *CLASSIFIER, "--classifier-scales", "8"), "scale 8 is too small"),
        ((*MIDDLE_NET, "--limit", "0"), "limit must be at least 1; got 0"),
        ((*MIDDLE_NET, *DENSE, *CLASSIFIER, "--merge-threshold", "nan"), "must be finite"),
    ],
)
def test_what_a_user_can_cause_is_one_line_and_status_1(
    run, nets, pictures, tmp_path, arguments, message
):
    write_net(tmp_path / "others.safetensors", MIDDLE, classes=tuple("abcdef"), regressor="scr")
    write_net(tmp_path / "large.safetensors", input_size=64)
    for name in ("classes", "middle"):
        (tmp_path / f"{name}.safetensors").symlink_to(nets / f"{name}.safetensors")
    known = {"classes", "middle", "others", "large", CEIL}
    arguments = [f"{text}.safetensors" if text in known else text for text in arguments]
    result = run("localise", "evaluate", "--data", pictures, "--quiet", *arguments)
    assert result.exit_code == 1 and not result.stdout
    (told_line,) = result.stderr.splitlines()
    assert told_line.startswith("Error: ") and message in told_line


def test_boxes_are_not_scored_by_other_nets(run, tmp_path):
    from torchvision.models import squeezenet1_0

    root = of_sizes(tmp_path / "p", [(224, 224)])
    write_net(tmp_path / "boxes.safetensors", MIDDLE, regressor="scr", input_size=224, scale=224)
    save_file(squeezenet1_0(num_classes=6).state_dict(), tmp_path / "squeeze.safetensors")
    result = run(
        "localise", "evaluate", "--data", root, "--net", "boxes.safetensors", *DENSE, "--quiet",
        "--classifier", "squeezenet1_0@squeeze.safetensors", "--classifier-scales", "224",
    )  # fmt: skip
    assert result.exit_code == 1 and "Name one of the VGG nets" in result.stderr


def test_pictures_without_boxes_are_told(run, nets, pictures, tmp_path):
    for name in CLASSES:
        write_picture(tmp_path / f"p/val/{name}/0.png")
    for command in ("evaluate", "show"):
        result = run("localise", command, "--data", "p", "--net", nets / "middle.safetensors")
        assert result.exit_code == 1 and "p: no validation picture has a box" in result.stderr


def test_an_unreadable_picture_stops_with_advice(run, nets, tmp_path):
    root = of_sizes(tmp_path / "p", [(48, 36)])
    for picture in root.rglob("*.png"):
        picture.write_bytes(b"broken")
    arguments = ("--data", root, "--net", nets / "middle.safetensors")
    result = run("localise", "show", *arguments)
    assert result.exit_code == 1 and "--on-error skip to go on without it" in result.stderr
    skipping = run("localise", "show", *arguments, "--on-error", "skip")
    assert skipping.exit_code == 1 and "no picture could be read" in skipping.stderr


def test_score_maps_are_not_drawn_of_a_regressor(run, nets, pictures):
    picture = pictures / "val/ant/0.png"
    result = run("evaluate", "--net", nets / "random.safetensors", "--show", picture)
    assert result.exit_code == 1 and "predicts boxes, not classes" in result.stderr


def test_several_processes_make_the_records_of_one(pictures, nets, tmp_path, monkeypatch):
    """Of boxes in the centre and everywhere, which posteriors of two kinds are extracted for."""
    run_layer_by_layer(monkeypatch)
    records = {}
    for size in (1, 2):
        one = job(
            pictures, tmp_path / f"{size}", nets / "random.safetensors",
            classifier=nets / "classes.safetensors", views=["centre", "dense"],
        )  # fmt: skip
        out = tmp_path / f"out{size}"
        localise = partial(localisation.localise, one, out, silent)
        records[size], *others = run_together(size, lambda w, by=localise: list(by(workers=w)))
        assert not any(others)
    assert [record.protocol["view"] for record in records[1]] == ["centre", "dense"]
    of_a_run = {"seconds": {}, "time": "", "command": ""}
    alone, together = ([replace(record, **of_a_run) for record in records[n]] for n in (1, 2))
    assert alone == together
