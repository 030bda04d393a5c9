"""Files of tensors with their own digest: weights, checkpoints and predictions of other bits."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vggfeat.benchmarks.ilsvrc import predictions
from vggfeat.benchmarks.ilsvrc.predictions import About, Predictions
from vggfeat.errors import DatasetError, WeightsError
from vggfeat.storage import checksums
from vggfeat.weights import checkpoint
from vggfeat.weights.checkpoint import Card, identity_of, read_card

CARD = Card(net="vgg11", classes=("ant", "bee"), mean=(1.0, 2.0, 3.0), std=(1.0,) * 3, training={})
TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def flips(path, step):
    """The file's content with one bit flipped, every `step`-th of them."""
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), step):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


def test_the_digest_is_that_of_the_file_with_zeros_in_its_place(tmp_path):
    checkpoint.write(tmp_path / "w.safetensors", TENSORS, CARD)
    content = (tmp_path / "w.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    told = json.loads(content[8 : 8 + length])["__metadata__"]["sha256"]
    assert content.count(told.encode()) == 1
    assert hashlib.sha256(content.replace(told.encode(), b"0" * 64)).hexdigest() == told


def test_no_flipped_bit_gives_other_weights_or_another_card(tmp_path):
    checkpoint.write(path := tmp_path / "w.safetensors", TENSORS, CARD)
    damaged, read = tmp_path / "damaged.safetensors", 0
    for content in flips(path, 1):
        damaged.write_bytes(content)
        checksums._metadata_of.cache_clear()  # times of files are too coarse here
        try:
            card, tensors = read_card(damaged), checkpoint.read(damaged)
        except WeightsError:
            continue
        read += 1  # the digest's own name may change without harm
        assert card == CARD and all(t.equal(TENSORS[name]) for name, t in tensors.items())
    assert read <= 8 * len("sha256")


def test_no_flipped_bit_gives_other_predictions(tmp_path):
    net = {"name": "n", "weights": "w", "train_scale": None, "scales": [32]}
    about = About(title="t", data="d", limited=False, classes=list("abcde"), ids=["1", "2"],
                  skipped={}, view="dense", notes=[], nets=[net])  # fmt: skip
    posteriors = np.full((2, 5), 0.2, np.float32)
    predictions.write(path := tmp_path / "p.safetensors",
                      Predictions(about, posteriors, np.array([0, 1])))  # fmt: skip
    damaged = tmp_path / "damaged.safetensors"
    for content in flips(path, 7):
        damaged.write_bytes(content)
        checksums._metadata_of.cache_clear()
        with pytest.raises(DatasetError, match=r"damaged.safetensors"):
            predictions.read(damaged)


def test_weights_of_equal_values_have_one_identity_whatever_else_is_said_of_them(tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in "abcd"]
    told = Card(**(vars(CARD) | {"training": {"time": "later"}}))
    other_input = Card(**(vars(CARD) | {"mean": (1.0, 2.0, 4.0)}))
    checkpoint.write(paths[0], TENSORS, CARD)
    checkpoint.write(paths[1], dict(reversed(TENSORS.items())), told)
    checkpoint.write(paths[2], TENSORS, other_input)
    checkpoint.write(paths[3], TENSORS | {"a.bias": torch.zeros(2)}, CARD)
    identities = [identity_of(path) for path in paths]
    assert identities[0] == identities[1] and len(set(identities)) == 3


def test_files_of_others_have_neither(tmp_path):
    save_file(TENSORS, path := tmp_path / "w.safetensors", CARD.metadata())
    assert identity_of(path) is None and read_card(path) == CARD
    assert load_file(path).keys() == checkpoint.read(path).keys()


def test_a_key_of_our_name_in_others_files_is_theirs(tmp_path):
    save_file(TENSORS, path := tmp_path / "w.safetensors", {"sha256": "f" * 64})
    assert checkpoint.read(path).keys() == TENSORS.keys() and identity_of(path) is None


def test_assumed_statistics_are_another_identity(tmp_path):
    """Or what was measured with one would be told of the other without the note."""
    assumed = Card(**(vars(CARD) | {"training": {"imported": {"statistics": "assumed"}}}))
    checkpoint.write(tmp_path / "a.safetensors", TENSORS, CARD)
    checkpoint.write(tmp_path / "b.safetensors", TENSORS, assumed)
    assert identity_of(tmp_path / "a.safetensors") != identity_of(tmp_path / "b.safetensors")
