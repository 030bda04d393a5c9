"""Records: written whole, read strictly, found by what they measured."""

import json
import os

import pytest
from helpers.records import make_record

from vggfeat.errors import RecordError
from vggfeat.records import record as records


def test_a_record_survives_writing_and_reading(tmp_path):
    record = make_record(notes=["Künstler ± 1"])
    path = records.write(record, tmp_path)
    assert path == tmp_path / "caltech101" / "vgg16-0123456789abcdef.json"
    assert records.read(path) == record
    assert records.read_all(tmp_path) == [record]


@pytest.mark.parametrize(
    "seconds, told",
    [
        (
            {"extract": 100.0, "decode": 12.1, "prepare": 8.0, "forward": 95.2, "store": 0.4,
             "choose_C": 20.0, "fit": 2.0, "score": 0.1},
            "decode 12.1 s, prepare 8.0 s, forward 95.2 s, store 0.4 s, fit 22.0 s, score 0.1 s;"
            " most: forward 69 %",
        ),
        # Of records that do not say what extraction was made of.
        ({"extract": 3.0, "choose_C": 0.5, "fit": 0.5, "score": 0.0},
         "extract 3.0 s, fit 1.0 s; most: extract 75 %"),
        # Where all descriptors were there.
        ({"extract": 0.0, "choose_C": 0.6, "fit": 0.3, "score": 0.1},
         "fit 0.9 s, score 0.1 s; most: fit 90 %"),
        ({"boxes": 1.0}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_record_tells_where_the_time_went(seconds, told):
    record = make_record(seconds=seconds)
    assert record.timing == told
    assert record.seconds == seconds


def test_a_crash_while_writing_leaves_the_old_record(tmp_path, monkeypatch):
    path = records.write(make_record(), tmp_path)
    before = path.read_bytes()

    def power_cut(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError):
        records.write(make_record(title="another"), tmp_path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_long_net_names_stay_within_file_name_limits(tmp_path):
    net = make_record().nets[0] | {"name": "vgg16:width=0.125,input_size=32"}
    assert records.write(make_record(nets=[net] * 20), tmp_path).is_file()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda content: content.pop("metrics"), "lacks field 'metrics'"),
        (lambda content: content.update(extra=1), "has an unknown field 'extra'"),
        (lambda content: content.update(schema_version=2), "not a record of schema version 1"),
        (lambda content: content.update(metric="map"), "no value for its metric 'map'"),
        (lambda content: content.update(metrics=3), "field 'metrics' is int, not dict"),
        (lambda content: content.update(nets=[3]), "nets or metrics are malformed"),
        (
            lambda content: content["metrics"]["mean_class_recall"].update(value="0.5"),
            "nets or metrics are malformed",
        ),
        (lambda content: content.update(nets="vgg16"), "field 'nets' is str, not list"),
        (lambda content: content.update(nets=[]), "nets or metrics are malformed"),
        (
            lambda content: content["metrics"]["mean_class_recall"].pop("spread"),
            "nets or metrics are malformed",
        ),
        (
            lambda content: content["metrics"].update(mean_class_recall=5),
            "nets or metrics are malformed",
        ),
        (lambda content: content["nets"][0].update(scales=[None]), "nets or metrics are malformed"),
        (
            lambda content: content["metrics"].update(accuracy={"value": None, "spread": None}),
            "nets or metrics are malformed",
        ),
        (lambda content: content.update(probe=None), "field 'probe' is NoneType, not dict"),
        (lambda content: content.update(splits_sha256=[]), "field 'splits_sha256' is list, not"),
        (lambda content: content.update(n_test=5), "field 'n_test' is int, not list"),
        (lambda content: content.update(n_test=[]), "counts of pictures are malformed"),
        (lambda content: content.update(n_test=["x"]), "counts of pictures are malformed"),
        (lambda content: content["protocol"].update(scales=256), "scales are malformed"),
        (lambda content: content["protocol"].update(splits="3"), "splits are malformed"),
    ],
)
def test_what_is_no_record_is_refused_by_name(tmp_path, change, message):
    path = records.write(make_record(), tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=message) as error:
        records.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\x00"])
def test_what_is_no_json_is_refused_by_name(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(RecordError, match="r.json"):
        records.read(tmp_path / "r.json")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(RecordError, match="no such results folder"):
        records.read_all(tmp_path / "gone")


def test_keys_follow_the_conditions_and_not_their_order():
    key = records.key_of({"a": 1, "b": [2]})
    assert key == records.key_of({"b": (2,), "a": 1}) and len(key) == 16
    assert key != records.key_of({"a": 1, "b": [3]})


def test_no_flipped_bit_gives_another_record(tmp_path):
    """Every third bit: it is refused, or what changed is no part of the record."""
    record = make_record()
    path = records.write(record, tmp_path)
    content, read_as_it_was = path.read_bytes(), 0
    for bit in range(0, 8 * len(content), 3):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert records.read(path) == record
            read_as_it_was += 1  # a space, or the digit E of a number
        except RecordError:
            pass
    assert read_as_it_was < len(content) // 10


def test_a_record_without_a_digest_is_read_as_ever(tmp_path):
    record = make_record()
    path = records.write(record, tmp_path)
    values = json.loads(path.read_text())
    assert len(values.pop("sha256")) == 64
    path.write_text(json.dumps(values))
    assert records.read(path) == record
