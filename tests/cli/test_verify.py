"""`vggfeat verify`: what is as it was written, what is not, and what a record was made from."""

import copy
import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.net_files import CLASSES, write_net
from helpers.pictures import NARROW, write_classes

from vggfeat.records.scores import read_scores, scores_path, write_scores
from vggfeat.storage.checksums import sealed
from vggfeat.storage.files import sha256_of
from vggfeat.weights import checkpoint

PROMISES = Path(__file__).resolve().parents[1] / "data" / "promises"


@pytest.fixture
def told(run, monkeypatch):
    """A function: run a command as the terminal has it, and return its result."""

    def told(*arguments):
        monkeypatch.setattr(sys, "argv", ["vggfeat", *map(str, arguments)])
        return run(*arguments)

    return told


@pytest.fixture
def benched(told, caltech_dir, tmp_path):
    """The record of a bench, its scores, its feature file and its pictures."""
    command = ("bench", "caltech101", "--net", NARROW, "--scales", "32", "--splits", "1",
               "--precision", "fp32")  # fmt: skip
    folders = ("--data-dir", caltech_dir, "--cache-dir", tmp_path / "cache")
    result = told(*command, *folders, "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 0, result.stderr
    (record,) = (tmp_path / "out").glob("*/*.json")
    (features,) = (tmp_path / "cache" / "features").glob("*.h5")
    return record, features


def test_the_chain_of_a_record_is_followed(benched, told):
    record, features = benched
    result = told("verify", record)
    assert result.exit_code == 0, result.stdout + result.stderr
    assert f"{features}: sound, 5 rows computed again differ by " in result.stdout
    for line in (
        f"{record}: sound",
        f"{scores_path(record)}: sound, the metrics of the record follow from it",
        f"{record}: sound, weights, pictures, splits and settings have its key",
        f"{features}: sound, the descriptors are those of the record",
    ):
        assert line in result.stdout.splitlines()


def test_a_folder_is_walked_through(benched, told, tmp_path):
    result = told("verify", tmp_path / "out", tmp_path / "cache")
    assert result.exit_code == 0 and "no damage in the files verified (3)" in result.stderr
    assert result.stdout.count(": sound") == 4  # record, scores twice, features


def test_only_damaged_rows_are_extracted_again_after_a_repair(benched, told, tmp_path):
    record, features = benched
    damaged = bytearray(features.read_bytes())
    with h5py.File(features) as file:
        place, whole = file["descriptors"].id.get_offset(), file["descriptors"][()]
    damaged[place + 5] ^= 16
    features.write_bytes(damaged)
    result = told("verify", record)
    assert result.exit_code == 1
    assert f"{features}: damaged, 1 row is not as written" in result.stdout
    repaired = told("verify", "--repair", features)
    assert "1 row is extracted again at the next use" in repaired.stdout
    assert told("verify", features).exit_code == 0
    again = told(*json_command(record))
    assert ": 1 new descriptor, " in again.stdout
    with h5py.File(features) as file:
        np.testing.assert_array_equal(file["descriptors"][1:], whole[1:])
        np.testing.assert_allclose(file["descriptors"][0], whole[0], rtol=1e-4, atol=1e-6)


def json_command(record):
    """`extract` of what the record's bench used."""
    words = json.loads(record.read_text())["command"].replace(" --splits 1", "").split()
    out = words.index("--out")
    del words[out : out + 2]
    return ["extract", "--dataset", *words[2:]]


def test_a_file_that_cannot_be_read_is_put_aside(benched, told):
    _, features = benched
    features.write_bytes(features.read_bytes()[:3000])
    result = told("verify", "--repair", features.parent)
    assert result.exit_code == 1 and f"put aside as {features.name}.damaged" in result.stdout
    assert not features.exists()


def test_another_picture_of_the_same_size_is_told(benched, told, caltech_dir):
    record, features = benched
    path = caltech_dir / "101_ObjectCategories" / "accordion" / "image_0001.jpg"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    result = told("verify", record)
    if "accordion/image_0001.jpg" in features.read_bytes().decode("latin-1"):
        assert result.exit_code == 1
        assert "1 picture is another now, 'accordion/image_0001.jpg' among them" in result.stdout


def test_other_splits_are_told(benched, told, caltech_dir):
    record, _ = benched
    write_classes(caltech_dir / "101_ObjectCategories", {"accordion": 40})
    result = told("verify", record)
    assert result.exit_code == 1
    assert "its command measures something else now: its splits are others" in result.stdout


def test_a_metric_that_does_not_follow_from_the_scores_is_told(benched, told):
    """A record and scores that were sealed, but not of one measurement."""
    record, _ = benched
    path, values = scores_path(record), json.loads(record.read_text())
    scores = read_scores(path)
    values["scores_sha256"] = write_scores(path, scores)
    values["metrics"]["accuracy"]["value"] += 0.01
    record.write_text(json.dumps(sealed(values)))
    result = told("verify", record)
    assert result.exit_code == 1 and "follows from the scores" in result.stdout


def test_scores_of_another_record_are_told(benched, told):
    record, _ = benched
    path = scores_path(record)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    result = told("verify", record)
    assert result.exit_code == 1 and "not the scores of its record" in result.stdout


def test_what_was_written_before_there_were_checksums_says_so(told, tmp_path):
    for path in ("cache/features", "results/caltech101", "runs"):
        source = PROMISES / path
        shutil.copytree(source, tmp_path / path)
    result = told("verify", tmp_path)
    assert result.exit_code == 0, result.stdout
    assert "damaged" not in result.stdout and result.stdout.count("no checksums") > 5


def test_weights_that_changed_are_told(told, tmp_path):
    path = write_net(tmp_path / "foreign.safetensors", seed=1)
    checkpoint.write(
        tmp_path / "own.safetensors", checkpoint.read(path), checkpoint.read_card(path)
    )
    first = told("verify", tmp_path)
    assert (
        f"{path}: no checksums, seen for the first time: SHA-256 {sha256_of(path)}" in first.stdout
    )
    assert f"{tmp_path / 'own.safetensors'}: sound" in first.stdout
    for name in ("foreign", "own"):
        content = bytearray((tmp_path / f"{name}.safetensors").read_bytes())
        content[-3] ^= 1
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    again = told("verify", tmp_path)
    assert again.exit_code == 1 and "damage in 2 of the files verified (2)" in again.stderr
    assert f"{path}: damaged, is not the file that was seen first" in again.stdout


def test_a_record_of_evaluate_is_followed_too(told, tmp_path):
    root = tmp_path / "pictures"
    write_classes(root / "val", dict.fromkeys(CLASSES, 2))
    net = write_net(tmp_path / "a.safetensors", seed=1)
    result = told(
        "evaluate", "--net", net, "--data", root, "--views", "centre", "--scales", "32",
        "--cache-dir", tmp_path / "cache", "--out", tmp_path / "out", "--precision", "fp32",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    (record,) = (tmp_path / "out").glob("*/*.json")
    followed = told("verify", record)
    assert followed.exit_code == 0, followed.stdout
    assert "rows computed again differ by" in followed.stdout


@pytest.mark.parametrize(
    "command", ["vggfeat demo", "rm -rf /", "vggfeat bench x --net a.b:c", '"']
)
def test_a_command_that_cannot_be_followed_is_not_run(benched, told, command):
    record, _ = benched
    values = json.loads(record.read_text()) | {"command": command}
    record.write_text(json.dumps(sealed(values)))
    result = told("verify", record)
    assert result.exit_code == 0 and ": not checked, its chain: " in result.stdout


def test_files_of_others_are_neither_judged_nor_moved(told, tmp_path):
    """`--repair` renamed any HDF5 file that it could not read."""
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["weights"] = [1.0]
    (tmp_path / "package.json").write_text('{"sha256": "of something else"}')
    (tmp_path / "deep.json").write_text("[" * 5000 + "]" * 5000)
    before = sorted(tmp_path.iterdir())
    result = told("verify", "--repair", tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert "model.h5: not checked, no feature file of vggfeat" in result.stdout
    assert "package.json: not checked" in result.stdout
    assert result.exit_code == 1 and "deep.json: damaged, it is nested" in result.stdout


def test_a_file_that_was_put_aside_before_is_not_written_over(benched, told):
    _, features = benched
    for expected in (".damaged", ".damaged.1"):
        features.write_bytes(b"\x89HDF")
        assert (
            f"put aside as {features.name}{expected}:"
            in told("verify", "--repair", features).stdout
        )


def test_scores_named_alone_are_compared_with_their_record(benched, told):
    path = scores_path(benched[0])
    assert told("verify", path).stdout == f"{path}: sound, its digest is that of its record\n"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    result = told("verify", path)
    assert result.exit_code == 1 and "not the scores of its record" in result.stdout


def test_archives_are_read_to_their_end_before_their_digest_is_kept(told, tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(PROMISES / "runs", "runs")
    content = bytearray((tmp_path / "a.tar.gz").read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "a.tar.gz").write_bytes(content)
    for _ in range(2):
        result = told("verify", tmp_path)
        assert result.exit_code == 1 and "a.tar.gz: damaged" in result.stdout


def test_weights_that_are_not_those_of_the_record_of_training_are_told(told, tmp_path):
    shutil.copytree(PROMISES / "runs", tmp_path / "runs")
    path = tmp_path / "runs" / "vgg11-256.safetensors"
    assert f"{path}: sound, its digest is that of vgg11-256.json" in told("verify", tmp_path).stdout
    shutil.copy(tmp_path / "runs" / "vgg16-256.safetensors", path)
    result = told("verify", tmp_path)
    assert result.exit_code == 1 and f"{path}: damaged, is not the file that" in result.stdout


def test_damaged_weights_behind_a_record_are_damage(told, caltech_dir, tmp_path):
    own = tmp_path / "w.safetensors"
    foreign = write_net(tmp_path / "made.safetensors", seed=1)
    checkpoint.write(own, checkpoint.read(foreign), checkpoint.read_card(foreign))
    folders = (
        "--data-dir",
        caltech_dir,
        "--cache-dir",
        tmp_path / "cache",
        "--out",
        tmp_path / "out",
    )
    told(
        "bench", "caltech101", "--net", own, "--scales", "32", "--splits", "1", *folders, "--quiet"
    )
    (record,) = (tmp_path / "out").glob("*/*.json")
    content = bytearray(own.read_bytes())
    content[-3] ^= 1
    own.write_bytes(content)
    result = told("verify", record)
    assert result.exit_code == 1 and "damaged, its chain: " in result.stdout
    own.unlink()
    result = told("verify", record)
    assert result.exit_code == 0 and "not checked, its chain: " in result.stdout


def test_a_record_under_the_name_of_another_is_told(benched, told):
    record, _ = benched
    other = record.with_name(record.name.replace(record.stem[-16:], "0123456789abcdef"))
    shutil.copy(record, other)
    shutil.copy(scores_path(record), scores_path(other))
    result = told("verify", other)
    assert result.exit_code == 1 and "its name is that of another record" in result.stdout


def test_an_onnx_graph_cannot_have_files_elsewhere_looked_at(told, tmp_path):
    """Nor written beside, nor a device read without end."""
    onnx = pytest.importorskip("onnx")
    (tmp_path / "side.bin").write_bytes(bytes(64))
    for name, location in (("up", "../side.bin"), ("device", "/dev/zero")):
        tensor = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=1)
        tensor.external_data.add(key="location", value=location)
        graph = onnx.helper.make_graph([], "g", [], [], [tensor])
        path = tmp_path / "inside" / f"{name}.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    result = told("verify", tmp_path / "inside")
    assert result.exit_code == 1 and result.stdout.count(".onnx: damaged, ") == 2
    assert not (tmp_path / "side.bin.sha256").exists()


def test_an_archive_whose_entries_are_one_is_refused_at_once(told, tmp_path):
    """Each of its 60 entries would unpack to 20 MB."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(20_000_000))
        first = archive.infolist()[0]
        for number in range(60):
            again = copy.copy(first)
            again.filename = again.orig_filename = f"y{number}"
            archive.filelist.append(again)
    result = told("verify", tmp_path)
    assert (
        result.exit_code == 1 and "a.zip: damaged, refused: several of its entries" in result.stdout
    )


def test_nothing_to_verify_is_no_success(told, tmp_path):
    assert told("verify", tmp_path / "away.h5").exit_code == 2
    result = told("verify", tmp_path)
    assert result.exit_code == 1 and "there is no file here" in result.stderr
