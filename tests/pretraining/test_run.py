"""`vggfeat pretrain`: chains of stages, what they leave behind, and their messages."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from helpers.training import FP32, write_pictures
from safetensors.torch import load_file

from vggfeat.backbones.load import load_network
from vggfeat.cli import main
from vggfeat.errors import DatasetError, TrainingError
from vggfeat.pretraining import export, train
from vggfeat.pretraining import run as stages
from vggfeat.pretraining.interruption import Interrupted
from vggfeat.pretraining.overrides import select_recipes
from vggfeat.pretraining.run import PretrainingJob, pretrain
from vggfeat.report.render import render
from vggfeat.report.training import read_training_records, table
from vggfeat.storage.files import new_file, sha256_of
from vggfeat.weights.checkpoint import read_card

SMALL = {"width": "0.0625", "input_size": "32", "batch_size": "8", "init": "glorot", "epochs": "1"}
SET = [text for name, value in SMALL.items() for text in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def job(pictures, out, *targets, **changes) -> PretrainingJob:
    recipes = select_recipes(targets, [], SMALL | changes)
    return PretrainingJob(
        recipes=recipes, data=pictures, out=out, runtime=FP32, command="vggfeat pretrain"
    )


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """The whole chain of the 16-layer net, and the first stage of the 19-layer one."""
    out = tmp_path_factory.mktemp("runs")
    return out, list(pretrain(job(pictures, out, "vgg16", "vgg19-256")))


def test_a_chain_trains_its_stages_in_order(trained):
    out, made = trained
    names = ["vgg11-256", "vgg16-256", "vgg16-384", "vgg16-jitter", "vgg19-256"]
    assert [stage.name for stage in made] == names and not any(stage.skipped for stage in made)
    for name in names:
        assert (out / f"{name}.safetensors").is_file() and (out / f"{name}.json").is_file()
        assert (out / name / "log.jsonl").is_file() and (out / name / "best.safetensors").is_file()


def test_a_second_run_skips_what_is_there(trained, pictures):
    out, _ = trained
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    again = list(pretrain(job(pictures, out, "vgg16")))
    assert all(stage.skipped for stage in again) and len(again) == 4
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before


def test_weights_trained_otherwise_are_not_taken_for_these(trained, pictures):
    out, _ = trained
    with pytest.raises(TrainingError, match="recipe.weight_decay was 0.0005, now it is 0.1.*--out"):
        list(pretrain(job(pictures, out, "vgg11-256", weight_decay="0.1")))


def copied(trained, tmp_path):
    """A folder of runs of one's own."""
    return Path(shutil.copytree(trained[0], tmp_path / "runs"))


def test_fewer_epochs_than_are_asked_for_are_not_passed_off(trained, pictures, tmp_path):
    out = copied(trained, tmp_path)
    with pytest.raises(TrainingError, match="trained for 1 epoch, and 2 are asked for. Remove"):
        list(pretrain(job(pictures, out, "vgg11-256", epochs="2")))
    (out / "vgg11-256.safetensors").unlink()
    (stage,) = pretrain(job(pictures, out, "vgg11-256", epochs="2"))
    assert stage.accuracy["epoch"] == 2 and not stage.skipped


def test_weights_that_are_exported_again_are_the_same_to_what_starts_from_them(
    trained, pictures, tmp_path
):
    out = copied(trained, tmp_path)
    before = load_file(out / "vgg11-256.safetensors")
    (out / "vgg11-256.safetensors").unlink()
    made = list(pretrain(job(pictures, out, "vgg16")))
    assert [stage.skipped for stage in made] == [False, True, True, True]
    after = load_file(out / "vgg11-256.safetensors")
    assert all(after[name].equal(before[name]) for name in before)


def test_what_another_command_made_meanwhile_is_taken(trained, pictures, tmp_path, monkeypatch):
    """The lock is free when the other has ended; its weights are there then."""

    @contextmanager
    def waiting(path):
        shutil.copytree(trained[0], tmp_path / "runs", dirs_exist_ok=True)
        yield

    monkeypatch.setattr(stages, "exclusive", waiting)
    (stage,) = pretrain(job(pictures, tmp_path / "runs", "vgg11-256"))
    assert stage.skipped


def test_a_kill_between_record_and_weights_loses_neither(trained, pictures, tmp_path, monkeypatch):
    def killed(path):
        if path.name == "vgg11-256.safetensors":
            raise RuntimeError("as if killed")
        return new_file(path)

    with monkeypatch.context() as patch:
        patch.setattr(export, "new_file", killed)
        with pytest.raises(RuntimeError):
            list(pretrain(job(pictures, tmp_path, "vgg11-256")))
    assert (tmp_path / "vgg11-256.json").is_file()
    (stage,) = pretrain(job(pictures, tmp_path, "vgg11-256"))
    assert not stage.skipped
    ours, theirs = load_file(stage.weights), load_file(trained[0] / "vgg11-256.safetensors")
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_what_is_lost_or_damaged_is_made_again(trained, pictures, tmp_path):
    out = copied(trained, tmp_path)
    (out / "vgg11-256.json").unlink()
    (stage,) = pretrain(job(pictures, out, "vgg11-256"))
    record = json.loads((out / "vgg11-256.json").read_text())
    kept = json.loads((trained[0] / "vgg11-256.json").read_text())
    lost = {"communication", "seconds", "hardware", "versions", "git", "command", "time"}
    assert stage.skipped and record.keys() == kept.keys() - lost
    alike = record.keys() - {"curve", "sha256"}
    assert all(record[name] == kept[name] for name in alike)
    assert len(read_training_records(out)) == len(read_training_records(trained[0]))
    stage.weights.write_bytes(stage.weights.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="not a whole .* Remove it: the same command makes it"):
        list(pretrain(job(pictures, out, "vgg11-256")))
    (out / "colours.json").write_text("{")
    with pytest.raises(DatasetError, match="colours.json: cannot be read .* it is made again"):
        list(pretrain(job(pictures, out, "vgg11-256")))


def test_other_pictures_do_not_change_a_folder_of_runs(trained, tmp_path):
    out = copied(trained, tmp_path)
    before = (out / "colours.json").read_bytes()
    others = write_pictures(tmp_path / "others")
    (others / "train/ant/image_0001.jpg").unlink()
    with pytest.raises(TrainingError, match="is of other pictures than .* Choose another --out"):
        list(pretrain(job(others, out, "vgg11-256")))
    assert (out / "colours.json").read_bytes() == before


def test_a_signal_between_stages_stops_before_the_next(pictures, tmp_path, monkeypatch):
    """It comes while the last checkpoint of a stage is written."""
    saved = train.save_checkpoint

    def save_and_signal(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return saved(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(train, "save_checkpoint", save_and_signal)
        with pytest.raises(Interrupted):
            list(pretrain(job(pictures, tmp_path, "vgg16-256")))
    assert not (tmp_path / "vgg16-256").exists()
    assert len(list(pretrain(job(pictures, tmp_path, "vgg16-256")))) == 2


def test_a_stuck_net_is_stuck_when_asked_again(pictures, tmp_path):
    """And does not train on before it says so."""
    changes = {"init": "normal", "init_std": "1e-4", "stuck_after": "3", "epochs": "5"}
    for _ in range(2):
        with pytest.raises(TrainingError, match="after 3 updates the loss is 1.099"):
            list(pretrain(job(pictures, tmp_path, "vgg11-256", **changes)))
    assert not (tmp_path / "vgg11-256.safetensors").exists()


def test_the_card_tells_how_the_weights_were_made(trained, pictures):
    out, made = trained
    card = read_card(out / "vgg16-384.safetensors")
    assert card.net == "vgg16:width=0.0625,input_size=32" and card.classes == ("ant", "bee", "cat")
    training = card.training
    assert training["recipe"]["scales"] == [55, 55]  # 384 times 32 / 224
    assert training["data"]["train"] == 23 and len(training["data"]["digest"]) == 64
    assert training["accuracy"] == made[2].accuracy and "time" not in training
    record = json.loads((out / "vgg16-384.json").read_text())
    digest = sha256_of(out / "vgg16-384.safetensors")
    assert record["weights"]["sha256"] == digest
    (line,), (lasting,) = record["curve"], training["curve"]
    assert line.keys() - lasting.keys() == {"seconds"} and line | lasting == line


def test_the_same_training_twice_gives_weights_of_one_identity(trained, pictures, tmp_path):
    """Whatever the clock said, and wherever they lie."""
    out, _ = trained
    list(pretrain(job(pictures, tmp_path, "vgg11-256")))
    first, second = (load_network(str(folder / "vgg11-256.safetensors"))
                     for folder in (out, tmp_path))  # fmt: skip
    assert first.weights_identity == second.weights_identity
    assert (
        first.weights_identity != load_network(str(out / "vgg16-384.safetensors")).weights_identity
    )


def test_exported_weights_are_used_at_once(trained):
    out, _ = trained
    network = load_network(str(out / "vgg19-256.safetensors"))
    assert network.statistics.std == (1.0, 1.0, 1.0)
    weights = load_file(out / "vgg19-256.safetensors")
    assert network.maps.dense.fc7.bias.equal(weights["classifier.3.bias"])


def test_records_make_a_table_beside_table_3(trained):
    out, _ = trained
    text = render(table(read_training_records(out)), "md")
    line = next(line for line in text.splitlines() if "vgg16-384" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[0] == "vgg16:width=0.0625,input_size=32" and cells[1] == "37 to 73"
    assert cells[2] == "vgg16-384" and cells[-1] == "25.6 / 8.1 x"
    assert "vgg11-256, Glorot" in text


def test_a_stage_needs_what_it_starts_from(pictures, tmp_path):
    recipes = select_recipes([], ["vgg16-256"], SMALL)
    with pytest.raises(TrainingError, match="starts from vgg11-256.*is not there.*start=none"):
        list(pretrain(PretrainingJob(recipes=recipes, data=pictures, out=tmp_path, runtime=FP32)))


def test_a_net_that_learns_nothing_leaves_a_record_and_no_weights(pictures, tmp_path):
    changes = {"init": "normal", "init_std": "1e-4", "stuck_after": "3", "epochs": "5"}
    with pytest.raises(TrainingError, match="after 3 updates the loss is"):
        list(pretrain(job(pictures, tmp_path, "vgg11-256", **changes)))
    assert not (tmp_path / "vgg11-256.safetensors").exists()
    (record,) = read_training_records(tmp_path)
    assert record["weights"] is None and "stuck" in record["ended"]
    assert "1 (stuck)" in render(table([record]), "md")


def test_given_colours_are_used(pictures, trained, tmp_path):
    out, _ = trained
    values = json.loads((out / "colours.json").read_text()) | {"mean": [9.0, 8.0, 7.0]}
    (tmp_path / "mine.json").write_text(json.dumps(values))
    with pytest.raises(DatasetError, match="not as it was written.*remove its sha256"):
        list(
            pretrain(replace(job(pictures, tmp_path, "vgg11-256"), colours=tmp_path / "mine.json"))
        )
    del values["sha256"]
    (tmp_path / "mine.json").write_text(json.dumps(values))
    given = replace(job(pictures, tmp_path, "vgg11-256"), colours=tmp_path / "mine.json")
    list(pretrain(given))
    assert read_card(tmp_path / "vgg11-256.safetensors").mean == (9.0, 8.0, 7.0)


# The command line


def run(*arguments):
    return CliRunner().invoke(main, ["pretrain", *map(str, arguments)])


def test_from_the_command_line_to_a_benchmark(pictures, tmp_path, monkeypatch):
    """The table of a net trained a moment ago, its weights named alone."""
    monkeypatch.chdir(tmp_path)
    result = run("vgg11-256", "--data", pictures, "--device", "cpu", *SET)
    assert result.exit_code == 0, result.stderr
    assert "vgg11-256: trained, top-1 error" in result.stdout
    assert "epoch 1 of 1, batch 3 of 3, loss" in result.stderr
    again = run("vgg11-256", "--data", pictures, "--device", "cpu", *SET)
    assert "vgg11-256: was there" in again.stdout
    bench = CliRunner().invoke(
        main,
        ["bench", "digits", "--net", "runs/vgg11-256.safetensors", "--scales", "32", "--splits",
         "1", "--limit", "6", "--cache-dir", str(tmp_path / "cache")],
    )  # fmt: skip
    assert bench.exit_code == 0, bench.stderr
    assert "vgg11:width=0.0625,input_size=32@vgg11-256.safetensors" in bench.stdout
    table = CliRunner().invoke(main, ["table", "--runs", "runs"])
    assert "Glorot" in table.stdout
    plotted = run("--plot", tmp_path / "runs" / "vgg11-256")
    assert plotted.exit_code == 0, plotted.stderr
    assert (tmp_path / "runs/vgg11-256/curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_plan_says_what_is_there_and_what_will_be_trained(pictures, trained):
    out, _ = trained
    result = run("vgg16", "vgg13-256", "--data", pictures, "--out", out, *SET, "--dry-run")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].endswith("3 classes, 23 training and 7 validation pictures")
    assert lines[1].startswith("vgg11-256: ") and lines[1].endswith(" is there")
    assert "vgg13:width=0.0625,input_size=32, from vgg11-256, Glorot, S 37" in lines[5]
    assert "at most 1 epoch: 23 images, 3 updates" in lines[5]
    assert not (out / "vgg13-256").exists()
    assert lines[-1].startswith("in all about ") and "measured just now on this CPU (" in lines[-1]
    # What training would refuse is refused.
    otherwise = run("vgg16", "--data", pictures, "--out", out, "--dry-run")
    assert otherwise.exit_code == 1 and "was trained otherwise than asked" in otherwise.stderr
    alone = run("--stage", "vgg16-384", "--data", pictures, "--out", out / "new", "--dry-run")
    assert alone.exit_code == 1 and "starts from vgg16-256" in alone.stderr


def test_a_plan_says_whose_speed_it_goes_by(pictures, tmp_path):
    fixed = ("vgg11-256", "--data", pictures, "--out", tmp_path, "--dry-run")
    if not torch.cuda.is_available():
        told = run(*fixed, *SET, "--gpus", 4).stdout
        assert "on 4 devices, if each is as fast as this CPU (" in told
        assert "No GPU is here" in told and "--images-per-second" in told
    shared = run(*fixed, *SET, "--gpus", 4, "--device", "cpu").stdout
    assert "whose cores the 4 processes share" in shared
    # 23 images and a third of 7 for validation, 0.1 a second on each of two devices: 127 s.
    given = run(*fixed, *SET, "--gpus", 2, "--images-per-second", 0.1).stdout
    assert "about 2 min (10.0 s an image as given)" in given
    assert given.endswith("in all about 2 min on 2 devices of 0.1 images per second, as given\n")
    wrong = run(*fixed, *SET, "--images-per-second", 0)
    assert wrong.exit_code == 1 and "must be more than 0; got 0" in wrong.stderr
    assert run(*fixed[:-1], *SET, "--images-per-second", 5).exit_code == 2


def test_check_data_names_every_corrupt_picture(tmp_path):
    root = write_pictures(tmp_path / "pictures")
    sound = run("vgg11-256", "--data", root, "--check-data", "--dry-run", *SET)
    assert sound.exit_code == 0 and "all 30 pictures can be read" in sound.stdout
    (root / "train/ant/image_0002.jpg").write_bytes(b"broken")
    good = (root / "val/cat/image_0001.jpg").read_bytes()
    (root / "val/cat/image_0001.jpg").write_bytes(good[: len(good) // 2])
    result = run("--data", root, "--check-data")
    assert result.exit_code == 1 and "2 of 30 pictures cannot be used" in result.stderr
    assert "image_0002.jpg" in result.stdout and "val/cat/image_0001.jpg" in result.stdout
    out = ("--out", tmp_path / "runs", "--device", "cpu", *SET)
    skipping = run("vgg11-256", "--data", root, "--check-data", "--on-error", "skip", *out)
    assert skipping.exit_code == 0, skipping.stderr
    record = json.loads((tmp_path / "runs" / "vgg11-256.json").read_text())
    assert len(record["data"]["unreadable"]) == 2


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["vgg17"], 1, "Unknown recipe 'vgg17'. Did you mean"),
        (["--stage", "vgg16"], 1, "vgg16 is a net; its stages are vgg16-256"),
        (["--stage", "vgg16-25"], 1, "Unknown stage 'vgg16-25'. Did you mean 'vgg16-256'"),
        (["vgg16", "--stage", "vgg16-256"], 2, "Name RECIPES or --stage, not both"),
        (["--set", "epochs"], 2, "--set takes FIELD=VALUE; got 'epochs'"),
        (["--set", "epoch=3"], 1, "Unknown field of a recipe 'epoch'"),
        (["--data", "nowhere"], 1, "nowhere: no such folder"),
        ([], 1, "ILSVRC2012: not there. Put ILSVRC-2012 there"),
        (["--plot", "nowhere"], 1, "nowhere: holds no log.jsonl"),
        (["--device", "cuda", "--data", "x"], 1, "no CUDA device was found"),
    ],
)
def test_mistakes_are_errors_of_one_line(home, arguments, status, message):
    result = run(*arguments)
    assert result.exit_code == status and message in result.stderr, result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, status",
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_saves_and_the_same_command_goes_on(pictures, tmp_path, number, status):
    command = [
        sys.executable, "-m", "vggfeat", "pretrain", "--stage", "vgg11-256", "--data", pictures,
        "--out", tmp_path, *SET, "--set", "epochs=300", "--set", "learning_rate=1e-4",
        "--set", "patience=300", "--device", "cpu",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "vgg11-256" / "best.safetensors").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        messages = process.communicate()[1]
    assert process.returncode == status and "the same command goes on from there" in messages
    assert list((tmp_path / "vgg11-256" / "checkpoints").glob("*.safetensors"))
    assert not (tmp_path / "vgg11-256.safetensors").exists()


@pytest.mark.slow
def test_gpus_starts_processes_that_train_together(pictures, tmp_path):
    command = [
        sys.executable, "-m", "vggfeat", "pretrain", "--stage", "vgg11-256", "--data", pictures,
        "--out", tmp_path, *SET, "--gpus", "2", "--device", "cpu",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("vgg11-256: trained") == 1
    assert "2 processes: each sends" in result.stderr
    record = json.loads((tmp_path / "vgg11-256.json").read_text())
    assert record["processes"] == 2 and record["communication"]["gradient_bytes"] > 0
    broken = subprocess.run([*command, "--data", "nowhere"], capture_output=True, text=True)
    assert broken.returncode == 1 and broken.stderr.count("no such folder") == 1
    assert "Traceback" not in broken.stderr
