"""Training of box regressors: what they start from, what they learn from, and that they learn."""

import json
import logging
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.boxed import line, rectangle, write_both, write_boxed
from helpers.training import COLOURS, FP32, run, same_bits, weights
from safetensors.torch import load_file

from vggfeat import boxes
from vggfeat.cli import main
from vggfeat.errors import OptionError, PictureError, TrainingError, UnknownNameError, WeightsError
from vggfeat.layouts.boxes import with_boxes
from vggfeat.layouts.imagenet import open_pictures
from vggfeat.pretraining import plan
from vggfeat.pretraining.augmentation import draw, place
from vggfeat.pretraining.box_recipes import box_recipe
from vggfeat.pretraining.data_loader import Loader
from vggfeat.pretraining.initialisation import initial_net
from vggfeat.pretraining.interruption import Interrupted
from vggfeat.pretraining.objective import NO_LABEL
from vggfeat.pretraining.overrides import overridden
from vggfeat.pretraining.recipes import recipe
from vggfeat.pretraining.run import PretrainingJob, pretrain
from vggfeat.processes.world import World
from vggfeat.weights.checkpoint import read_card

SMALL = {"width": "0.0625", "input_size": "32", "batch_size": "8", "init": "glorot", "epochs": "1"}
SET = [text for name, value in SMALL.items() for text in ("--set", f"{name}={value}")]
CLASSES = ("ant", "bee", "cat")


def small(name: str, **changes):
    return overridden(box_recipe(name), SMALL | changes, one_stage=True)


ALONE = small("vgg11-256-pcr-fc", start="none")  # from random weights


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """23 to train on, in batches of 8, 8 and 7."""
    root = tmp_path_factory.mktemp("pictures")
    write_boxed(root / "train", {"ant": 8, "bee": 8, "cat": 7})
    write_boxed(root / "val", dict.fromkeys(CLASSES, 2), seed=1)
    return root


# Recipes


def test_a_recipe_is_its_starts_with_the_papers_changes():
    start, ours = recipe("vgg16-384"), box_recipe("vgg16-384-pcr")
    assert (ours.name, ours.start, ours.scales) == ("vgg16-384-pcr", "vgg16-384", (384, 384))
    assert (ours.learning_rate, ours.regressor, ours.tuned) == (1e-3, "pcr", "all")
    assert (ours.net, ours.batch_size, ours.momentum) == ("vgg16", start.batch_size, start.momentum)
    scr = box_recipe("vgg16-256-scr-fc")
    assert (scr.regressor, scr.tuned, scr.trains_convolutions) == ("scr", "fc", False)
    assert ours.objective(1000).num_outputs == 4000 and scr.objective(1000).num_outputs == 4


@pytest.mark.parametrize("name", ["vgg16-256", "vgg16-pcr", "vgg16-256-par", "vgg61-256-pcr", ""])
def test_an_unknown_regressor_is_refused(name):
    with pytest.raises(UnknownNameError, match=f"Unknown regressor {name!r}.*vgg16-384-pcr"):
        box_recipe(name)


@pytest.mark.parametrize("field", ["regressor", "tuned"])
def test_what_makes_a_regressor_is_in_its_name(field):
    with pytest.raises(UnknownNameError, match=f"field of a recipe {field!r}"):
        small("vgg16-256-pcr", **{field: "scr"})


# What it starts from


def classes_net(num_classes: int = 3) -> dict[str, torch.Tensor]:
    plain = overridden(recipe("vgg11-256"), SMALL, one_stage=True)
    return initial_net(replace(plain, seed=5), num_classes, None).state_dict()


@pytest.mark.parametrize("name, outputs", [("vgg11-256-scr", 4), ("vgg11-256-pcr-fc", 12)])
def test_the_last_layer_is_new_and_all_others_are_the_starts(name, outputs):
    start = classes_net()
    net = initial_net(small(name), outputs, ("vgg11", start)).state_dict()
    new = {"classifier.6.weight", "classifier.6.bias"}
    assert all(net[key].equal(start[key]) for key in net.keys() - new)
    assert net["classifier.6.weight"].shape == (outputs, 256)
    assert net["classifier.6.weight"].abs().min() > 0


def test_twelve_classes_are_not_three_boxes():
    """The last layer of a net of 12 classes has the shape that is needed, and is not taken."""
    start = classes_net(12)
    net = initial_net(small("vgg11-256-pcr"), 12, ("vgg11", start)).state_dict()
    assert not net["classifier.6.weight"].equal(start["classifier.6.weight"])


@pytest.mark.parametrize("name", ["vgg11-256-scr", "vgg11-256-scr-fc"])
def test_only_what_is_to_be_tuned_changes(pictures, tmp_path, name):
    start = classes_net()
    trained = weights(run(pictures, tmp_path, small(name), start=("vgg11", start)).net)
    for key, value in trained.items():
        tuned = not name.endswith("-fc") or key.startswith("classifier.")
        assert np.array_equal(value, start[key].numpy()) != tuned


def test_a_start_of_another_width_is_refused():
    with pytest.raises(WeightsError, match="vgg11-256: features.0.weight has shape.*same width"):
        initial_net(small("vgg11-256-scr", width="0.125"), 4, ("vgg11", classes_net()))


# What it learns from


def one_object(root, box, size=(48, 36)):
    """Two classes of one training picture each, whose object is there."""
    for name in ("ant", "bee"):
        for part in ("train", "val"):
            folder = root / part / name
            folder.mkdir(parents=True)
            rectangle(size, box).save(folder / "0.png")
            (folder / f"{name}_boxes.txt").write_text(line("0.png", [box]))
    return with_boxes(open_pictures(root))


def crops(pictures, recipe, epochs):
    """Label and box of the first picture in each epoch, and its augmentation."""
    loader = Loader(pictures, recipe, COLOURS, World(), micro_batch_size=8)
    for epoch in range(epochs):
        batch = loader.training_crops(epoch, np.array([0]), slice(0, 1), 1)
        drawn = draw(recipe.seed, epoch, 0, recipe.scales, mirror=True, colour_std=0.1)
        yield batch.labels[0], batch.boxes[0, 0], drawn


def test_crops_that_show_less_than_half_of_the_object_are_not_trained_on(tmp_path):
    """Of 64x48 pixels, the left upper 32x24 of which are the object."""
    pictures = one_object(tmp_path, (0, 0, 24, 18))
    labels = []
    for label, _, drawn in crops(pictures, replace(ALONE, scales=(48, 48)), 40):
        left, upper = place((48, 36), 48, drawn.corner, 32)
        seen = (32 - left) * (24 - upper) / (32 * 24)
        assert label == (0 if seen >= 0.5 else NO_LABEL)
        labels.append(label)
    assert 5 < labels.count(0) < 35


def test_a_crop_is_trained_on_the_box_it_shows_most_of(tmp_path):
    one_object(tmp_path, (0, 0, 12, 12))
    for part in ("train", "val"):
        lists = tmp_path / part / "ant" / "ant_boxes.txt"
        lists.write_text(line("0.png", [(0, 0, 12, 12), (36, 24, 48, 36)]))
    sides = set()
    for label, box, drawn in crops(with_boxes(open_pictures(tmp_path)), ALONE, 20):
        left, upper = place((48, 36), 37, drawn.corner, 32)
        if label != NO_LABEL:
            assert boxes.visible(box, 32) >= 0.5
            sides.add((left < 8, (box[0] < 16) != drawn.mirror))
    assert sides == {(True, True), (False, False)}  # the left one where the crop is on the left


def test_validation_knows_all_boxes_of_a_picture(tmp_path):
    one_object(tmp_path, (0, 0, 24, 18))
    both = line("0.png", [(0, 0, 24, 18), (24, 18, 48, 36)])
    (tmp_path / "val/bee/bee_boxes.txt").write_text(both)
    loader = Loader(
        with_boxes(open_pictures(tmp_path)), ALONE, COLOURS, World(), micro_batch_size=8
    )
    (batch,) = loader.validation()
    assert batch.labels.tolist() == [0, 1]
    assert np.isnan(batch.boxes[:, 1]).all(axis=1).tolist() == [True, False]


def test_it_learns_where_things_are(tmp_path):
    """Of the rectangles in validation crops a constant box, the mean of all, hits few."""
    write_both(tmp_path / "pictures", 30, 10, CLASSES)
    ours = small("vgg11-256-scr", start="none", epochs="8", learning_rate="0.003", dropout="0")
    trained = run(tmp_path / "pictures", tmp_path / "run", ours)
    loader = Loader(with_boxes(open_pictures(tmp_path / "pictures")), ours, COLOURS, World(), 64)
    true = np.concatenate([batch.boxes[:, 0] for batch in loader.validation()])
    constant = (boxes.iou(true.mean(axis=0), true) > 0.5).mean()
    assert constant < 0.4 < 0.6 < trained.position.curve[-1]["localised"]


# What goes wrong on the way


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    return run(pictures, tmp_path_factory.mktemp("whole"), replace(ALONE, epochs=2))


@pytest.mark.parametrize("update", [2, 3])
def test_after_an_interruption_it_ends_bit_equal(pictures, whole, tmp_path, update):
    """With convolutions that have no momentum to be saved."""
    reports = []

    def report(status):
        reports.append(status)
        if len(reports) == update:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(pictures, tmp_path, replace(ALONE, epochs=2), report=report)
    resumed = run(pictures, tmp_path, replace(ALONE, epochs=2))
    assert same_bits(weights(resumed.net), weights(whole.net))
    for ours, theirs in zip(resumed.position.curve, whole.position.curve, strict=True):
        assert ours | {"seconds": 0} == theirs | {"seconds": 0}


def with_bad_pictures(root):
    """One whose box is outside, one that cannot be read."""
    write_both(root, 4, 2, CLASSES)
    lists = root / "train/bee/bee_boxes.txt"
    lists.write_text(lists.read_text() + line("1.png", [(0, 0, 40, 50)]))
    (root / "train/cat/2.png").write_bytes(b"no picture")
    return root


def test_skipped_pictures_are_named_and_teach_nothing(tmp_path, caplog):
    root = with_bad_pictures(tmp_path / "pictures")
    with caplog.at_level(logging.WARNING):
        trained = run(root, tmp_path / "a", ALONE, runtime=replace(FP32, on_error="skip"))
    warnings = sorted(r.message for r in caplog.records if "skipped" in r.message)
    assert "bee/1.png: the box (0, 0, 40, 50) is not within the picture of 36x48" in warnings[0]
    assert "cat/2.png: cannot be read" in warnings[1] and len(warnings) == 2
    assert trained.position.curve[0]["unreadable"] == 2
    assert all(np.isfinite(values).all() for values in weights(trained.net).values())


def test_a_box_outside_its_picture_stops_with_advice(tmp_path):
    root = with_bad_pictures(tmp_path / "pictures")
    (root / "train/cat/2.png").unlink()
    with pytest.raises(PictureError, match="bee/1.png: the box .*--check-data.*--on-error skip"):
        run(root, tmp_path / "a", ALONE)


# In a folder of runs


@pytest.fixture(scope="module")
def runs(pictures, tmp_path_factory):
    """Classes first, then boxes, of a folder some pictures of which have no box."""
    root = tmp_path_factory.mktemp("runs")
    write_both(root / "pictures", 4, 2)
    lists = root / "pictures/train/ant/ant_boxes.txt"
    lists.write_text("".join(lists.read_text().splitlines(keepends=True)[:2]))
    classes = overridden(recipe("vgg11-256"), SMALL, one_stage=True)
    for recipes in ([classes], [small("vgg11-256-pcr"), small("vgg11-256-scr-fc")]):
        list(
            pretrain(
                PretrainingJob(
                    recipes=recipes, data=root / "pictures", out=root / "out", runtime=FP32
                )
            )
        )
    return root


def test_classes_and_boxes_share_the_colours_of_a_folder(runs):
    colours = json.loads((runs / "out/colours.json").read_text())
    assert colours["data"] == open_pictures(runs / "pictures").digest
    cards = [read_card(runs / "out" / f"vgg11-256{kind}.safetensors") for kind in ("", "-pcr")]
    assert cards[0].mean == cards[1].mean
    assert cards[0].training["data"]["train"] == 24 and cards[1].training["data"]["train"] == 22


def test_boxes_may_come_first(runs, tmp_path):
    """Their folder's colours are those of all pictures, as if classes had been first."""
    ours = small("vgg11-256-scr", start="none")
    list(
        pretrain(PretrainingJob(recipes=[ours], data=runs / "pictures", out=tmp_path, runtime=FP32))
    )
    assert (tmp_path / "colours.json").read_bytes() == (runs / "out/colours.json").read_bytes()


def test_the_card_says_what_was_trained(runs):
    card = read_card(runs / "out/vgg11-256-scr-fc.safetensors")
    training = card.training
    assert (training["recipe"]["regressor"], training["recipe"]["tuned"]) == ("scr", "fc")
    assert "2 training pictures have no box and are left out" in training["data"]["notes"]
    assert set(training["accuracy"]) == {"localised", "epoch"} and card.classes[0] == "ant"
    weights = load_file(runs / "out/vgg11-256-scr-fc.safetensors")
    assert len(weights["classifier.6.weight"]) == 4


def test_what_is_there_is_not_trained_again_unless_its_boxes_are_others(runs, tmp_path):
    def job(name, data):
        return PretrainingJob(recipes=[small(name)], data=data, out=runs / "out", runtime=FP32)

    (stage,) = pretrain(job("vgg11-256-pcr", runs / "pictures"))
    assert stage.skipped
    lists = runs / "pictures/train/bee/bee_boxes.txt"
    before = lists.read_text()
    lists.write_text("".join(before.splitlines(keepends=True)[1:]))
    try:
        with pytest.raises(TrainingError, match="was trained otherwise than asked: other pictures"):
            list(pretrain(job("vgg11-256-pcr", runs / "pictures")))
    finally:
        lists.write_text(before)


# The command line


def command(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def train_command(*arguments):
    return command("localise", "train", *arguments, "--device", "cpu", *SET)


def test_a_table_of_runs_has_no_line_of_regressors(runs):
    result = command("table", "--runs", runs / "out", "--format", "md")
    lines = [line for line in result.stdout.splitlines() if "vgg11" in line]
    assert result.exit_code == 0 and len(lines) == 1 and "Glorot" in lines[0]


def test_from_the_command_line_with_curves(runs, monkeypatch):
    monkeypatch.setattr(plan, "TIMED_S", 0.0)
    arguments = ("vgg11-256-scr", "--data", runs / "pictures", "--out", runs / "out")
    planned = train_command(*arguments, "--dry-run")
    assert planned.exit_code == 0, planned.stderr
    assert "22 training and 12 validation pictures" in planned.stdout
    assert "vgg11-256-scr: vgg11:width=0.0625,input_size=32, from vgg11-256" in planned.stdout
    result = train_command(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "vgg11-256-scr: trained, localisation error, class given, " in result.stdout
    plotted = command("pretrain", "--plot", runs / "out/vgg11-256-scr")
    assert plotted.exit_code == 0, plotted.stderr


def test_check_data_finds_boxes_outside(tmp_path):
    root = with_bad_pictures(tmp_path)
    result = train_command("vgg11-256-pcr", "--data", root, "--check-data")
    assert result.exit_code == 1 and "2 of 18 pictures cannot be used" in result.stderr
    assert "bee/1.png: the box" in result.stdout and "cat/2.png" in result.stdout


@pytest.mark.parametrize(
    "names, data, message",
    [
        (["vgg11-256-prc"], "pictures", "Unknown regressor 'vgg11-256-prc'. Did you mean"),
        (["vgg16-256-pcr"], "pictures", "vgg16-256-pcr starts from vgg16-256, and"),
        (["vgg11-256-pcr"], "none", "no training picture has a box"),
        (["vgg11-256-pcr", "--on-error", "stop"], "bad", "bee/1.png: the box (0, 0, 40, 50)"),
        (["vgg11-256-pcr"], "nowhere", "no such folder"),
    ],
)
def test_mistakes_are_errors_of_one_line(runs, tmp_path, names, data, message):
    if data == "none":
        write_both(tmp_path / data, 2, 2, CLASSES)
        for lists in (tmp_path / data).rglob("*_boxes.txt"):
            lists.unlink()
    elif data == "bad":
        with_bad_pictures(tmp_path / data)
        (tmp_path / "bad/train/cat/2.png").unlink()
    root = runs / data if data == "pictures" else tmp_path / data
    out = ["--set", "start=none"] if data == "bad" else []
    result = train_command(*names, "--data", root, "--out", tmp_path / "out", *out)
    assert result.exit_code == 1, result.stderr
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert message in error and isinstance(result.exception, SystemExit)


def test_the_start_of_several_regressors_is_not_one_option():
    with pytest.raises(OptionError, match="start belongs to one stage: name that one alone"):
        overridden(box_recipe("vgg16-256-pcr"), {"start": "none"}, one_stage=False)
