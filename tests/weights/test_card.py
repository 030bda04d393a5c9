"""The card in a weights file: what a net is and how its input is prepared."""

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from vggfeat import vgg
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec, parse_fusion
from vggfeat.cli import main
from vggfeat.errors import UnknownNameError, WeightsError
from vggfeat.weights.checkpoint import KEY, Card, read_card

NET = "vgg11:width=0.0625,input_size=32"
CARD = Card(
    net=NET, classes=("ant", "bee"), mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0),
    training={"stage": "vgg11-256"},
)  # fmt: skip


def write(path, metadata=None):
    net = vgg.build("vgg11", num_classes=2, width=0.0625, input_size=32)
    save_file(net.state_dict(), path, CARD.metadata() if metadata is None else metadata)
    return path


def test_it_goes_through_a_file(tmp_path):
    assert read_card(write(tmp_path / "a.safetensors")) == CARD
    assert read_card(write(tmp_path / "b.safetensors", {})) is None


def test_it_is_shown(tmp_path):
    shown = CliRunner().invoke(main, ["inspect", str(write(tmp_path / "a.safetensors"))])
    assert json.loads(shown.stdout) == json.loads(json.dumps(CARD.to_json()))
    bare = CliRunner().invoke(main, ["inspect", str(write(tmp_path / "b.safetensors", {}))])
    assert bare.exit_code == 1 and "has no card" in bare.stderr


def test_a_file_alone_is_enough_to_name_a_net(tmp_path):
    path = write(tmp_path / "mine.safetensors")
    network = load_network(str(path))
    assert network.label == f"{NET}@mine.safetensors"
    assert network.statistics.mean == (1.0, 2.0, 3.0)
    assert network.module(torch.zeros(1, 3, 32, 32)).shape == (1, 256, 1, 1)
    assert load_network(f"{NET}@{path}").label == network.label
    assert str(NetSpec.parse(str(path)).with_option("relu", False)) == f"{path}:relu=false"


def test_options_that_do_not_change_the_weights_may_be_given_with_the_net(tmp_path):
    path = write(tmp_path / "mine.safetensors")
    assert load_network(f"{NET},relu=false@{path}").statistics.mean == (1.0, 2.0, 3.0)


def test_files_can_be_used_together(tmp_path):
    one, other = NetSpec(weights="a.safetensors"), NetSpec(weights="runs/a.safetensors")
    assert parse_fusion("a.safetensors+runs/a.safetensors") == (one, other)
    assert parse_fusion("vgg11@random:0+runs/a.safetensors") == (
        NetSpec("vgg11", "random:0"), other,
    )  # fmt: skip
    assert parse_fusion("vgg11@my+own.pth") == (NetSpec("vgg11", "my+own.pth"),)


@pytest.mark.parametrize(
    "name", ["vgg16:width=0.0625,input_size=32", "vgg11:width=0.0625", "vgg11"]
)
def test_a_file_of_another_net_is_refused(tmp_path, name):
    path = write(tmp_path / "mine.safetensors")
    with pytest.raises(WeightsError, match=f"holds weights of {NET}. Name the file alone"):
        load_network(f"{name}@{path}")


def test_a_file_without_a_card_needs_its_net_named(tmp_path):
    path = write(tmp_path / "bare.safetensors", {})
    with pytest.raises(WeightsError, match="does not say which net it belongs to. Write NET@"):
        load_network(str(path))
    assert load_network(f"{NET}@{path}").statistics.mean[0] == 123.675
    with pytest.raises(WeightsError, match="no such weights file"):
        load_network(str(tmp_path / "missing.safetensors"))


GOOD = CARD.to_json()


@pytest.mark.parametrize(
    "values, message",
    [
        ("{", "cannot be understood"),
        ("[]", "cannot be understood"),
        (json.dumps(GOOD | {"schema_version": 99}), "has schema version 99"),
        (json.dumps(GOOD | {"mean": [1, 2]}), "cannot be understood"),
        (json.dumps(GOOD | {"std": [1, 0, 1]}), "cannot be understood"),
        (json.dumps(GOOD | {"mean": [1, 2, float("nan")]}), "cannot be understood"),
        (json.dumps(GOOD | {"net": 3}), "cannot be understood"),
        (json.dumps(GOOD | {"unknown": 3}), "cannot be understood"),
        (json.dumps(GOOD | {"classes": None}), "cannot be understood"),
        (json.dumps(GOOD | {"classes": "abc"}), "cannot be understood .*'abc' is no list"),
        (json.dumps(GOOD | {"mean": "123"}), "cannot be understood .*'123' is no list"),
        (json.dumps(GOOD | {"std": {"1": 1}}), "cannot be understood .* is no list"),
        ("[" * 100_000, "cannot be understood .*recursion"),
        (
            json.dumps(GOOD | {"training": {"x": 0}}).replace(
                ": 0}", f": {'[' * 900}{']' * 900}}}"
            ),
            "cannot be understood .*recursion",
        ),
    ],
)
def test_a_card_that_is_none_is_refused(tmp_path, values, message):
    path = write(tmp_path / "odd.safetensors", {KEY: values})
    with pytest.raises(WeightsError, match=message):
        read_card(path)


def test_a_card_cannot_name_more_than_a_net(tmp_path):
    odd = json.dumps(GOOD | {"net": "vgg99:width=1"})
    with pytest.raises(UnknownNameError, match="vgg99"):
        load_network(str(write(tmp_path / "odd.safetensors", {KEY: odd})))


def test_a_card_cannot_choose_code_that_is_run(tmp_path, monkeypatch):
    """A function in the current folder is called only if the user names it."""
    (tmp_path / "trap.py").write_text("def spring():\n    open('sprung', 'w')\n")
    monkeypatch.chdir(tmp_path)
    save_file({"w": torch.zeros(1)}, "w.safetensors", replace(CARD, net="trap:spring").metadata())
    for net in ("w.safetensors", "w.safetensors:layer=x"):
        with pytest.raises(WeightsError, match="its card names a function, trap:spring. Write"):
            load_network(net)
    assert not (tmp_path / "sprung").exists()
