"""Sealed values: whatever changes in them is noticed, however they are laid out."""

import json

import pytest

from vggfeat.storage.checksums import digest_of_json, is_damaged, is_sound, parse_json, sealed


def test_a_digest_is_that_of_the_shortest_sorted_json():
    # printf '{"a":[1.5,"x"],"b":null}' | sha256sum
    digest = "b694d21b9cf496648535f863e027c274a2ebe378336f5c2cc48caeffb0fed1df"
    assert digest_of_json({"b": None, "a": [1.5, "x"]}) == digest


def test_sealed_values_are_sound_in_any_order_and_layout():
    values = sealed({"b": 0.1, "a": {"c": [1, 2]}})
    assert is_sound(json.loads(json.dumps(values, indent=3, sort_keys=True)))


@pytest.mark.parametrize("change", [{"a": 2}, {"sha256": "0" * 64}, {"c": 1}])
def test_changed_values_are_not(change):
    changed = sealed({"a": 1}) | change
    assert is_damaged(changed) and not is_sound(changed)


def test_nor_are_values_without_a_digest():
    assert not is_sound({"a": 1})
    assert not is_damaged({"a": 1})


def test_what_json_changes_is_no_damage():
    """Keys that are numbers become texts, whose order is another; tuples become lists."""
    values = sealed({"by_split": {9: 1, 10: (2, 3)}})
    assert is_sound(json.loads(json.dumps(values)))


def test_json_is_read_to_some_depth():
    assert parse_json('{"a": [1, {"b": [[]]}]}') == {"a": [1, {"b": [[]]}]}
    assert parse_json("[" * 50 + "]" * 50)
    for text in ("[" * 51 + "]" * 51, "[" * 900 + "]" * 900, "[" * 100_000, "{", "\ud800"):
        with pytest.raises(ValueError):
            parse_json(text)
