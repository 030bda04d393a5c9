"""Records of training as a table beside Table 3."""

import json
from pathlib import Path

import pytest

from vggfeat.errors import RecordError
from vggfeat.report.training import read_training_records, table
from vggfeat.storage.checksums import sealed

RUNS = Path(__file__).resolve().parents[2] / "results" / "pretraining" / "runs"


def written(folder, **changes):
    """A record of the 16-layer net at S=384, changed."""
    record = json.loads((RUNS / "vgg16-384.json").read_text())
    record |= {name: record[name] | value for name, value in changes.items()}
    (folder / "vgg16-384.json").write_text(json.dumps(record))
    return folder


def last_row(folder):
    *_, row = table(read_training_records(folder)).rows
    return [str(cell) for cell in row]


FULL_SIZE = {"width": 1.0, "input_size": 224}
IMAGENET = {"classes": 1000, "train": 1_281_167, "validation": 50_000}


@pytest.mark.parametrize(
    "recipe, data, mark",
    [
        (FULL_SIZE, IMAGENET, "~"),
        (FULL_SIZE | {"width": 0.25}, IMAGENET, "x"),
        (FULL_SIZE | {"input_size": 64}, IMAGENET, "x"),
        (FULL_SIZE, IMAGENET | {"classes": 200}, "x"),
        (FULL_SIZE, IMAGENET | {"train": 1_000_000}, "x"),
    ],
)
def test_the_centre_crop_of_the_papers_net_is_near_and_all_else_not_comparable(
    tmp_path, recipe, data, mark
):
    assert last_row(written(tmp_path, recipe=recipe, data=data))[-1] == f"26.8 / 8.7 {mark}"


def test_a_net_that_the_paper_does_not_have_stands_beside_nothing(tmp_path):
    assert last_row(written(tmp_path, recipe={"published": None}))[-1] == ""


@pytest.mark.parametrize(
    "recipe, begins_with",
    [
        ({"start": None}, "N(0, 0.01)"),
        ({"start": None, "init": "glorot"}, "Glorot"),
        ({"start": "vgg16-256"}, "vgg16-256"),
        ({"start": "vgg11-256"}, "vgg11-256, N(0, 0.01)"),
    ],
)
def test_what_training_began_with(tmp_path, recipe, begins_with):
    usual = {"init": "normal", "init_std": 0.01}
    assert last_row(written(tmp_path, recipe=usual | recipe))[2] == begins_with


def test_the_net_is_named_as_the_command_line_takes_it(tmp_path):
    folder = written(tmp_path, recipe=FULL_SIZE)
    assert last_row(folder)[0] == "vgg16"
    assert last_row(written(tmp_path, recipe={"input_size": 64}))[0].endswith("input_size=64")


@pytest.mark.parametrize("content", ["{", '{"stage": "vgg16-384"}', "[]"])
def test_what_is_no_record_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "vgg16-384.json").write_text(content)
    with pytest.raises(RecordError, match=r"vgg16-384.json: |holds no records"):
        read_training_records(tmp_path)


@pytest.mark.parametrize("changes", [{"recipe": {"scales": 3}}, {"accuracy": {"epoch": "one"}}])
def test_a_damaged_record_is_refused_by_name(tmp_path, changes):
    with pytest.raises(RecordError, match="vgg16-384.json: not a record of training"):
        read_training_records(written(tmp_path, **changes))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"stage": ' * 100_000, "\udcff", "NaN"],
)
def test_a_file_that_is_no_json_is_named(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RecordError, match="run.json: cannot be read|holds no records of trained"):
        read_training_records(tmp_path)


@pytest.mark.parametrize(
    "path, value",
    [
        (["time"], 5),
        (["recipe"], "vgg16"),
        (["recipe", "scales"], "256"),
        (["recipe", "scales"], [256]),
        (["recipe", "published"], [1]),
        (["recipe", "published"], "ab"),
        (["recipe", "start"], ["vgg16-256"]),
        (["recipe", "width"], [1]),
        (["data", "classes"], {}),
        (["accuracy"], []),
        (["accuracy", "epoch"], "9"),
        (["seconds"], "long"),
        (["best"], None),
        (["ended"], 7),
    ],
)
def test_a_value_of_another_kind_is_named(tmp_path, path, value):
    record = json.loads((RUNS / "vgg16-384.json").read_text())
    place = record
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "other.json").write_text((RUNS / "vgg16-384.json").read_text())
    try:
        str(table(read_training_records(tmp_path)))
    except RecordError as error:
        assert "run.json: not a record of training" in str(error)


def test_no_flipped_bit_gives_another_row(tmp_path):
    """Every 11th bit of a record as `pretrain` writes it; none drops it from the table either."""
    record = sealed(json.loads((RUNS / "vgg16-384.json").read_text()))
    path = tmp_path / "vgg16-384.json"
    path.write_text(json.dumps(record, indent=1))
    content, row, refused = path.read_bytes(), last_row(tmp_path), 0
    for bit in range(0, 8 * len(content), 11):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert last_row(tmp_path) == row
        except RecordError:
            refused += 1
    assert refused > 8 * len(content) / 11 * 0.6
