"""`vggfeat evaluate`: top-1 and top-5 errors of nets on labelled pictures, and what is refused."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.interrupts import interrupted_at
from helpers.net_files import CLASSES, write_net
from helpers.pictures import write_classes, write_picture
from helpers.records import make_record
from helpers.training import FP32
from PIL import Image

from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import parse_fusion
from vggfeat.benchmarks.ilsvrc.classification import BENCHMARK, Job, evaluate
from vggfeat.benchmarks.ilsvrc.predictions import read
from vggfeat.benchmarks.ilsvrc.sheets import PANEL
from vggfeat.benchmarks.runner import Failure
from vggfeat.cli import main
from vggfeat.features import store
from vggfeat.pretraining import run as stages
from vggfeat.pretraining.overrides import select_recipes
from vggfeat.records import record as records
from vggfeat.records.scores import read_scores
from vggfeat.storage.folders import folders

COUNTS = dict(zip(CLASSES, (4, 3, 2, 2, 2, 2), strict=True))  # pictures to test on
NUM_PICTURES = 15
SIDE = 32  # pixels of the nets' input


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Pictures to train and to test on, of six classes."""
    root = tmp_path_factory.mktemp("data") / "pictures"
    write_classes(root / "train", dict.fromkeys(CLASSES, 4))
    write_classes(root / "val", COUNTS)
    return root


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """Weights that `pretrain` left behind after one epoch."""
    narrow = {"width": "0.0625", "input_size": "32", "batch_size": "8", "init": "glorot"}
    recipes = select_recipes(["vgg11-256"], [], narrow | {"epochs": "1", "learning_rate": "1e-3"})
    out = tmp_path_factory.mktemp("runs")
    job = stages.PretrainingJob(recipes=recipes, data=root, out=out, runtime=FP32, command="")
    (stage,) = stages.pretrain(job)
    return stage.weights


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two nets with random weights, which err often."""
    folder = tmp_path_factory.mktemp("nets")
    jitter = {"recipe": {"scales": [36, 44]}}
    return [
        str(write_net(folder / "a.safetensors", seed=1)),
        str(write_net(folder / "b.safetensors", seed=2, training=jitter)),
    ]


@pytest.fixture
def measure(root, tmp_path):
    """Measure in the test's own folders."""

    def measure(*nets, data=root, out="out", progress=lambda *_: None, options=None, **rest):
        job = Job(
            nets=[parse_fusion(net) for net in nets], data=data,
            folders=folders(cache_dir=tmp_path / "cache"),
            options={"precision": "fp32"} | (options or {}), **rest,
        )  # fmt: skip
        return list(evaluate(job, tmp_path / out, progress))

    return measure


def value(record, metric):
    return record.metrics[metric]["value"]


# Numbers.


@torch.inference_mode()
def slow_dense(network, net, path, scale):
    """The net as it was trained, on each window of its features; in float64, with the mirror."""
    picture = Image.open(path).convert("RGB")
    size = [side * scale // min(picture.size) for side in picture.size]
    pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float64)
    image = torch.from_numpy((pixels - network.statistics.mean) / network.statistics.std)
    posteriors = []
    for one in (image, image.flip(1)):
        pool5 = net.features(one.permute(2, 0, 1)[None])
        scores = net.classifier(pool5[0].flatten(1).T).mean(dim=0).numpy()  # windows of 1 x 1
        posteriors.append(np.exp(scores) / np.exp(scores).sum())
    return np.mean(posteriors, axis=0)


def slow_errors(posteriors, truth):
    """Top-1 and top-5 errors by sorting, a picture at a time."""
    ranked = [sorted(range(6), key=lambda k: (-one[k], k)) for one in posteriors]
    return [
        np.mean([t not in best[:top] for best, t in zip(ranked, truth, strict=True)])
        for top in (1, 5)
    ]


def test_errors_of_two_nets_at_their_scales_are_those_computed_slowly(
    measure, root, nets, tmp_path
):
    (record,) = measure("+".join(nets), scales=["32+36,44"], save=tmp_path / "saved")
    loaded = [load_network(net) for net in nets]
    one, other = [(network, network.net().double()) for network in loaded]
    pictures = sorted((root / "val").rglob("*.jpg"))
    truth = [CLASSES.index(path.parent.name) for path in pictures]
    posteriors = [
        (
            slow_dense(*one, path, 32)
            + (slow_dense(*other, path, 36) + slow_dense(*other, path, 44)) / 2
        )
        / 2
        for path in pictures
    ]
    top1, top5 = slow_errors(posteriors, truth)
    assert (value(record, "top1_error"), value(record, "top5_error")) == (top1, top5)
    assert 0 < top5 < top1 < 1
    of_ant = slow_errors(posteriors[:4], truth[:4])
    assert [record.metrics[f"top{n}_error"]["per_class"]["ant"] for n in (1, 5)] == of_ant
    # Not only the errors: the posteriors themselves.
    (path,) = (tmp_path / "saved").iterdir()
    saved = read(path)
    assert saved.about.ids == [str(path.relative_to(root)) for path in pictures]
    np.testing.assert_allclose(saved.posteriors, posteriors, atol=1e-3)


def test_the_centre_crop_errs_as_often_as_training_said(measure, trained):
    """Training reports it at the middle of S; another code measured it."""
    card = load_network(str(trained)).card
    (record,) = measure(str(trained), views=["centre"])
    assert record.nets[0]["scales"] == [37]
    assert 1 - value(record, "top1_error") == pytest.approx(card.training["accuracy"]["top1"])
    assert 1 - value(record, "top5_error") == pytest.approx(card.training["accuracy"]["top5"])


def test_both_and_fusion_are_means_of_posteriors(measure, nets, tmp_path):
    def saved(*nets, **grid):
        measure(*nets, scales=["32,34"], save=tmp_path / "saved", **grid)
        return [read(path) for path in (tmp_path / "saved").iterdir()]

    parts = saved(*nets, views=["dense", "crops"])
    posteriors = {(p.about.nets[0]["weights"], p.about.view): p.posteriors for p in parts}
    different = list(posteriors.values())
    assert np.min([np.abs(different[0] - one).max() for one in different[1:]]) > 2e-3
    shutil.rmtree(tmp_path / "saved")
    for fused in saved(nets[0], "+".join(nets), views=["both"]):
        names = [net["weights"] for net in fused.about.nets]
        expected = [posteriors[name, view] for name in names for view in ("dense", "crops")]
        np.testing.assert_allclose(fused.posteriors, np.mean(expected, axis=0), atol=5e-4)


def test_a_record_says_what_was_measured_on_what(measure, nets, root):
    (record,) = measure(nets[1], views=["both"], scales=["33,34"])
    assert record.benchmark == BENCHMARK and record.title == "pictures"
    assert record.protocol == {
        "version": 1, "view": "both", "classes": 6, "images": NUM_PICTURES, "set": "val",
        "crops": "5x5, mirrored",
    }  # fmt: skip
    (net,) = record.nets
    assert net["name"] == "vgg11:width=0.0625,input_size=32" and net["weights"] == "b.safetensors"
    assert net["train_scale"] == "36-44" and net["scales"] == [33, 34]
    assert set(net["images_per_s"]) == {"dense", "crops"}
    assert all(rate > 0 for rate in net["images_per_s"].values())
    assert record.n_test == [NUM_PICTURES] and not record.limited and not record.skipped


def test_a_net_without_a_card_is_noted(measure, tmp_path):
    path = write_net(tmp_path / "bare.safetensors", has_card=False)
    (record,) = measure(f"vgg11:width=0.0625,input_size=32@{path}")
    assert record.nets[0]["train_scale"] is None and record.nets[0]["scales"] == [37]
    assert "bare.safetensors: the weights do not name their classes" in record.notes[0]


def test_a_net_is_tested_on_what_was_held_out_when_it_was_trained_on_the_folder(
    measure, root, nets, tmp_path
):
    tree = tmp_path / "tree"
    shutil.copytree(root / "train", tree)
    digest = stages.open_pictures(tree).digest
    path = write_net(tmp_path / "c.safetensors", training={"data": {"digest": digest}})
    (stranger,) = measure(nets[0], data=tree)
    (owner,) = measure(str(path), data=tree)
    assert (stranger.n_test, owner.n_test) == ([24], [6])
    assert owner.notes == ["6 of 24 pictures held out to validate"]
    # Nets side by side are tested on the same pictures.
    assert [one.n_test for one in measure(nets[0], str(path), data=tree)] == [[6], [6]]


def test_the_scores_of_a_record_are_its_posteriors(measure, nets, tmp_path):
    """From which its errors can be computed again."""
    (record,) = measure(nets[0])
    (path,) = (tmp_path / "out" / BENCHMARK).glob("*.scores.h5")
    scores = read_scores(path, record.scores_sha256)
    assert scores.classes == CLASSES and scores.labels.sum(axis=1).tolist() == [-4] * NUM_PICTURES
    truth = scores.labels.argmax(axis=1).tolist()
    assert [CLASSES[number] for number in truth] == [i.split("/")[1] for i in scores.ids]
    top1, top5 = slow_errors(scores.scores, truth)
    assert (value(record, "top1_error"), value(record, "top5_error")) == (top1, top5)
    np.testing.assert_allclose(scores.scores.sum(axis=1), 1, atol=1e-5)


# Once and no more.


def test_a_second_call_measures_nothing(measure, nets, monkeypatch, caplog):
    first = measure(nets[0], views=["dense", "crops"])
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("a picture was opened"))
    monkeypatch.setattr(
        "vggfeat.records.record.write", lambda *_: pytest.fail("a record was written")
    )
    caplog.set_level("INFO")
    second = measure(nets[0], views=["dense", "crops"])
    assert [one.key for one in second] == [one.key for one in first]
    assert "2 measured already" in caplog.text


def test_other_conditions_make_another_record(measure, nets, root, tmp_path):
    changed = tmp_path / "pictures"
    shutil.copytree(root, changed)
    (first,) = measure(nets[0])
    others = [
        measure(nets[1]), measure("+".join(nets)), measure(nets[0], views=["centre"]),
        measure(nets[0], scales=["multi"]), measure(nets[0], limit=2),
    ]  # fmt: skip
    write_picture(changed / "val" / "ant" / "another.jpg")
    others.append(measure(nets[0], data=changed))
    assert len({first.key, *(record.key for (record,) in others)}) == 7


def test_a_grid_extracts_each_net_and_view_once(measure, nets, tmp_path, caplog):
    caplog.set_level("DEBUG")
    grid = dict(views=["dense", "both"], scales=["32", "32,34"])
    found = measure(nets[0], "+".join(nets), **grid)
    assert len(found) == 2 * 2 * 2 == len(list((tmp_path / "out" / BENCHMARK).glob("*.json")))
    assert caplog.text.count(f"{NUM_PICTURES} new posteriors") == 4  # 2 nets, 2 readings
    files = [store.inspect(path) for path in (tmp_path / "cache").rglob("*.h5")]
    assert [one.conditions.scales for one in files] == [(32, 34)] * 4


def test_what_is_named_twice_is_measured_once(measure, nets):
    """S of the second net is 36-44, so that single is 40."""
    net = nets[1]
    assert len(measure(net, net, views=["dense", "dense"], scales=["single", "40"])) == 1


def test_in_another_order_it_is_the_same_measurement(measure, nets):
    (first,) = measure("+".join(nets), scales=["32,34"])
    (again,) = measure("+".join(reversed(nets)), scales=["34,32"])
    assert (again.key, again.time) == (first.key, first.time)


def test_one_measurement_that_fails_does_not_stop_the_others(measure, root, nets, tmp_path):
    """Of a damaged feature file only what needs it fails; the next run does the rest."""
    measure(nets[0])
    damaged = next((tmp_path / "cache").rglob("*.h5"))
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[: len(sound) // 2])
    first, second = measure(*nets, out="again")
    assert isinstance(first, Failure) and "a.safetensors, dense at 37" in first.label
    assert damaged.name in first.reason and second.nets[0]["weights"] == "b.safetensors"
    damaged.write_bytes(sound)
    assert not any(isinstance(item, Failure) for item in measure(*nets, out="again"))


def test_predictions_that_cannot_be_saved_leave_the_record(measure, nets, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "saved")

    monkeypatch.setattr("vggfeat.benchmarks.ilsvrc.classification.write", full)
    record, failure = measure(nets[0], save=tmp_path / "saved")
    assert record.n_test == [NUM_PICTURES]
    assert failure.label.endswith(", the predictions") and "No space left" in failure.reason


def test_a_place_that_cannot_be_written_to_is_found_before_the_work(measure, nets, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        measure(nets[0], save=tmp_path / "file" / "inside", progress=lambda *_: pytest.fail("work"))


def test_an_interrupted_extraction_goes_on(measure, nets, caplog, tmp_path):
    options = {"batch_size": 2}
    with interrupted_at(2):
        measure(nets[0], options=options)
    assert not list((tmp_path / "out").rglob("*.json"))
    caplog.set_level("DEBUG")
    (rest,) = measure(nets[0], options=options)
    assert f"{NUM_PICTURES - 4} new posteriors" in caplog.text
    shutil.rmtree(tmp_path / "cache")
    (whole,) = measure(nets[0], options=options, out="other")
    assert rest.metrics == whole.metrics and rest.key == whole.key


# Parts of the pictures.


def test_limit_takes_the_first_pictures_of_each_class_and_is_stamped(measure, nets, tmp_path):
    (record,) = measure(nets[0], limit=3, save=tmp_path / "saved")
    assert record.limited and record.n_test == [14] and record.protocol["images"] == 14
    (path,) = (tmp_path / "saved").iterdir()
    assert "val/ant/image_0003.jpg" in read(path).about.ids
    assert "val/ant/image_0004.jpg" not in read(path).about.ids
    (whole,) = measure(nets[0], limit=4)
    assert not whole.limited  # it cuts nothing


def test_pictures_that_cannot_be_read_stop_or_are_named(measure, nets, root, tmp_path):
    data = shutil.copytree(root, tmp_path / "pictures")
    (data / "val/bee/image_0002.jpg").write_bytes(b"broken")
    (failure,) = measure(nets[0], data=data)
    assert re.search("image_0002.jpg: cannot be read.*--on-error skip", failure.reason)
    (record,) = measure(
        nets[0], data=data, views=["both"], scales=["32"], options={"on_error": "skip"}
    )
    assert list(record.skipped) == ["val/bee/image_0002.jpg"]
    assert record.n_test == [14] and record.protocol["images"] == NUM_PICTURES


def test_a_picture_that_is_put_right_is_the_only_one_to_be_extracted(
    measure, nets, root, tmp_path, caplog
):
    data = shutil.copytree(root, tmp_path / "pictures")
    path = data / "val/bee/image_0002.jpg"
    sound = path.read_bytes()
    path.write_bytes(b"broken")
    measure(nets[0], data=data, options={"on_error": "skip"})
    path.write_bytes(sound)
    caplog.set_level("DEBUG")
    (record,) = measure(nets[0], data=data)
    assert record.n_test == [NUM_PICTURES] and ": 1 new posteriors" in caplog.text


def test_a_skipped_picture_is_told_once_for_each_net_and_view(
    measure, nets, root, tmp_path, caplog
):
    data = shutil.copytree(root, tmp_path / "pictures")
    (data / "val/bee/image_0002.jpg").write_bytes(b"broken")
    grid = dict(views=["dense", "both"], scales=["32", "32,34"])
    found = measure(nets[0], data=data, options={"on_error": "skip"}, **grid)
    assert [list(one.skipped) for one in found] == [["val/bee/image_0002.jpg"]] * 4
    assert caplog.text.count("skipped: ") == 2


def test_what_is_left_of_a_grid_is_found_in_its_feature_file_despite_a_skipped_picture(
    measure, nets, root, tmp_path, caplog
):
    """Such a file is never complete; it has the scales of records that are there, too."""
    data = shutil.copytree(root, tmp_path / "pictures")
    (data / "val/bee/image_0002.jpg").write_bytes(b"broken")
    grid = dict(data=data, scales=["32", "34"], options={"on_error": "skip"})
    _, second = measure(nets[0], **grid)
    records.path_of(tmp_path / "out", second.benchmark, second.net, second.key).unlink()
    caplog.set_level("DEBUG")
    measure(nets[0], **grid)
    assert ": 0 new posteriors" in caplog.text
    assert len(list((tmp_path / "cache").rglob("*.h5"))) == 1


# The command line.


@pytest.fixture
def run(home, root, tmp_path):
    def run(*arguments, data=root, command="evaluate"):
        given = [command, *arguments, "--out", tmp_path / "out"]
        if command == "evaluate":
            given += ["--device", "cpu"] + ([] if data is None else ["--data", data])
        result = CliRunner().invoke(main, list(map(str, given)))
        # A traceback would be an error of ours: only click's way out is allowed.
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return run


def test_the_papers_tables_are_printed_with_the_measured_lines(run, nets):
    result = run("--net", nets[0], "--limit", 2)
    assert result.exit_code == 0, result.stderr
    assert "Table 3: one scale" in result.stdout and "a.safetensors" in result.stdout
    assert re.search(r"\d LIMITED", result.stdout)
    again = run("--net", nets[0], "--limit", 2)
    assert "measured already" in again.stderr and again.stdout == result.stdout


def test_json_is_a_list_of_the_records(run, nets):
    result = run("--net", nets[0], "--net", "+".join(nets), "--format", "json")
    assert [len(record["nets"]) for record in json.loads(result.stdout)] == [1, 2]


def test_saved_predictions_are_fused_as_the_nets_are(run, nets, tmp_path):
    apart, at = [text for net in nets for text in ("--net", net)], ("--scales", "33")
    run(*apart, "--views", "dense", "--views", "crops", *at, "--save", tmp_path / "saved")
    dense = [p for p in (tmp_path / "saved").iterdir() if read(p).about.view == "dense"]
    for view, files in (("dense", dense), ("both", list((tmp_path / "saved").iterdir()))):
        fused = run("--net", "+".join(nets), "--views", view, *at, "--format", "json")
        (expected,) = json.loads(fused.stdout)
        names = [text for path in files for text in ("--predictions", path)]
        result = run(*names, "--format", "json", data=None)
        assert result.exit_code == 0, result.stderr
        *each, together = json.loads(result.stdout)
        assert len(each) == len(files)
        assert {net["weights"] for net in together["nets"]} == {"a.safetensors", "b.safetensors"}
        assert together["protocol"] == expected["protocol"]
        assert together["metrics"] == expected["metrics"]


def test_predictions_that_do_not_belong_together_leave_no_record(run, nets, tmp_path):
    run("--net", nets[0], "--save", tmp_path / "saved")
    run("--net", nets[0], "--limit", 2, "--save", tmp_path / "saved")
    shutil.rmtree(tmp_path / "out")
    names = [text for path in (tmp_path / "saved").iterdir() for text in ("--predictions", path)]
    refused(run(*names, data=None), "is not of the same pictures and classes as")
    assert not list((tmp_path / "out").rglob("*.json"))


def test_table_shows_records_on_ilsvrc_apart_from_the_others(run, nets, tmp_path):
    printed = run("--net", nets[0]).stdout
    only = run("--ilsvrc", command="table")
    assert only.exit_code == 0 and only.stdout == printed
    none = run(command="table")
    assert none.exit_code == 1 and "with --ilsvrc others are shown" in none.stderr
    records.write(make_record(), tmp_path / "out")
    others = run(command="table")
    assert others.exit_code == 0 and "Caltech-101" in others.stdout
    assert "top-5" not in others.stdout
    assert run("--ilsvrc", command="table").stdout == printed
    (record,) = json.loads(run("--ilsvrc", "--format", "json", command="table").stdout)
    assert record["benchmark"] == BENCHMARK
    shutil.rmtree(tmp_path / "out" / BENCHMARK)
    none = run("--ilsvrc", command="table")
    assert none.exit_code == 1 and "without --ilsvrc others are shown" in none.stderr


def refused(result, *messages):
    """One line on stderr names value and remedy; the status is 1."""
    assert result.exit_code == 1, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    for message in messages:
        assert re.search(message, line), line
    assert not result.stdout


@pytest.mark.parametrize(
    "arguments, messages",
    [
        (("--views", "danse"), ("Unknown view 'danse'. Did you mean 'dense'",)),
        (("--scales", "big"), ("whole numbers such as 256,384,512; got 'big'",)),
        (("--scales", "32+36"), ("are for 2 nets, and 1 are used together",)),
        (("--scales", "40,31"), ("scale 31 is too small for vgg11.*: dense needs at least 32",)),
        (("--scales", "31", "--views", "crops"), ("crops needs at least 32",)),
        (("--scales", "-5"), ("scale -5 is too small",)),
        (("--scales", "36,36"), ("a scale is given twice",)),
        (("--scales", "99999"), ("scales must be from 1 to",)),
        (("--limit", "0"), ("limit must be at least 1; got 0",)),
    ],
)
def test_options_that_make_no_sense_are_told_in_one_line(run, nets, arguments, messages):
    refused(run("--net", nets[0], *arguments), *messages)


def test_data_that_is_not_there_or_has_too_few_classes(run, nets, tmp_path):
    refused(run("--net", nets[0], data="nowhere"), "nowhere: no such folder.*--data")
    refused(run("--net", nets[0], data=None), "ILSVRC2012: not there. Put ILSVRC-2012 there")
    few = write_classes(tmp_path / "few", dict.fromkeys(CLASSES[:4], 1))
    net = write_net(tmp_path / "few.safetensors", CLASSES[:4])
    refused(run("--net", net, data=few), "few: has 4 classes; .*top-5.* at least 5")


def test_a_flat_validation_set_without_ground_truth(run, nets, tmp_path):
    write_picture(tmp_path / "flat" / "val" / "ILSVRC2012_val_00000001.JPEG")
    refused(run("--net", nets[0], data=tmp_path / "flat"), "Put the devkit's folder at")


@pytest.mark.parametrize(
    "net, messages",
    [
        (dict(classes=[*CLASSES[:5], "gnu"]), ("its class 5 is 'gnu', there 'fox'",)),
        (dict(classes=CLASSES[::-1]), ("its class 0 is 'fox', there 'ant'. Name the pictures",)),
        (dict(classes=CLASSES[:5]), ("it has 5 classes, there are 6",)),
        (dict(num_outputs=7), ("odd.safetensors", "7")),
        (dict(has_card=False, num_outputs=7), ("is a net of 7 classes, and .* has 6",)),
        (dict(training={"recipe": {"regressor": "pcr"}}), ("predicts boxes, not classes. `vggf",)),
        (dict(training={"recipe": {"regressor": "pcr"}}, classes=CLASSES[:2], num_outputs=8),
         ("predicts boxes, not classes",)),
    ],
)  # fmt: skip
def test_nets_of_other_classes_are_refused(run, tmp_path, net, messages):
    path = write_net(tmp_path / "odd.safetensors", **net)
    refused(run("--net", f"vgg11:width=0.0625,input_size=32@{path}"), *messages)
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("training", [{"recipe": None}, {"recipe": 3}, {"begun_with": None}])
def test_a_card_that_says_little_of_its_training_is_enough(measure, tmp_path, training):
    path = write_net(tmp_path / "net.safetensors", training=training)
    assert measure(str(path))[0].nets[0]["train_scale"] is None


def test_random_weights_have_the_number_of_classes_of_ilsvrc(run):
    refused(run("--net", "vgg11:width=0.0625,input_size=32@random:0"), "a net of 1000 classes")


def test_the_first_error_comes_before_any_work(run, nets, tmp_path):
    odd = write_net(tmp_path / "odd.safetensors", CLASSES[:5])
    refused(run("--net", nets[0], "--net", odd), "odd.safetensors")
    refused(run("--net", nets[0], "--scales", "40", "--scales", "20"), "scale 20 is too small")
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("name", ["missing.safetensors", "missing.json"])
def test_a_file_of_predictions_that_is_not_there(run, tmp_path, name):
    refused(run("--predictions", tmp_path / name, data=None), f"{name}: no such file of predictio")


@pytest.mark.parametrize("name", ["odd.safetensors", "odd.pkl", "odd"])
def test_what_is_no_file_of_predictions(run, tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04nonsense")
    refused(run("--predictions", tmp_path / name, data=None), f"{name}: not a whole file of predi")


@pytest.mark.parametrize("option", ["--net", "--views", "--scales", "--limit", "--save", "--show"])
def test_predictions_stand_alone(run, option):
    """What would not be used is not accepted."""
    result = run("--predictions", "a.safetensors", option, "3", data=None)
    assert result.exit_code == 2 and "--predictions takes files that are there" in result.stderr


# Score maps.


def test_score_maps_are_drawn_for_each_net_of_a_fusion(run, nets, root, tmp_path):
    """Also where the nets have the same name: D trained at 256 and at 384."""
    again = write_net(tmp_path / "again.safetensors", seed=5)
    picture = root / "val/ant/image_0001.jpg"
    drawn = run("--net", f"{nets[0]}+{again}", "--show", picture, "--scales", "32+48", data=None)
    assert drawn.exit_code == 0, drawn.stderr
    paths = drawn.stdout.split()
    assert len(set(paths)) == 2  # the first is not overwritten
    for path in paths:
        with Image.open(path) as sheet:
            assert sheet.format == "PNG" and sheet.width > 4 * PANEL  # the picture, three classes


def test_what_score_maps_cannot_be_drawn_of_is_told(run, nets, tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    refused(run("--net", nets[0], "--show", tmp_path / "a.jpg", data=None), "a.jpg: cannot be read")
    refused(run("--net", nets[0], "--show", tmp_path / "b.jpg", data=None), "b.jpg: no such pict")
    picture = write_picture(tmp_path / "c.jpg")
    small = run("--net", nets[0], "--show", picture, "--scales", "20", data=None)
    refused(small, "scale 20 is too small")
    squeezenet = run("--net", "squeezenet1_0@random:0", "--show", picture, data=None)
    refused(squeezenet, "score maps are drawn of the VGG nets only")
    boxes = write_net(
        tmp_path / "boxes.safetensors", training={"recipe": {"regressor": "pcr"}}, num_outputs=24
    )
    refused(run("--net", boxes, "--show", picture, data=None), "predicts boxes, not classes")


def test_offline_is_offline_for_score_maps_too(run, tmp_path):
    picture = write_picture(tmp_path / "a.jpg")
    result = run("--net", "vgg16", "--offline", "--show", picture, data=None)
    refused(result, "--offline")
