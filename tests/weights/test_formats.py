"""Every kind of weights file gives back what was written, with its card; bad ones say why."""

import hashlib
import json
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from helpers.net_files import write_net
from safetensors.torch import load_file, save_file
from scipy.io import loadmat, savemat

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.weights import formats
from vggfeat.weights.checkpoint import Card

NET = "vgg11:width=0.0625,input_size=32"
CLASSES = ("ant", "bee", "cat", "dog")
CARD = Card(
    net=NET, classes=CLASSES, mean=(120.5, 110.25, 100.0), std=(1.0, 1.0, 1.0),
    training={"recipe": {"name": "vgg11"}, "data": {"digest": "d"}, "accuracy": {"top1": 0.5}},
)  # fmt: skip
SUFFIXES = (".safetensors", ".pth", ".pt", ".caffemodel", ".mat")
BESIDE = (".pth", ".pt", ".caffemodel")


def make_net(seed=0):
    net = vgg.build("vgg11", num_classes=len(CLASSES), width=0.0625, input_size=32)
    vgg.initialise(net, "glorot", seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, generator=generator)
    return net.eval()


def written(folder, suffix, card=CARD):
    """A file of the kind, and the tensors that it was made of."""
    tensors, path = make_net().state_dict(), folder / f"w{suffix}"
    formats.write(path, tensors, card)
    return path, tensors


def beside(path):
    return path.with_name(f"{path.name}.card.json")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_to_the_last_bit_with_its_card(tmp_path, suffix):
    path, tensors = written(tmp_path, suffix)
    found = formats.read(path)
    assert found.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert found[key].dtype == torch.float32
        assert found[key].numpy().tobytes() == tensor.numpy().tobytes()
    assert formats.read_card(path) == CARD
    assert beside(path).is_file() == (suffix in BESIDE)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_at_the_edges_of_float32_stay_what_they_are(tmp_path, suffix):
    tensors = make_net().state_dict()
    edges = [-0.0, 1e-45, 1.1754944e-38, 3.4028235e38, 1 + 2**-23]
    tensors["classifier.3.bias"][: len(edges)] = torch.tensor(edges)
    formats.write(tmp_path / f"w{suffix}", tensors, CARD)
    found = formats.read(tmp_path / f"w{suffix}")["classifier.3.bias"]
    assert found.numpy().tobytes() == tensors["classifier.3.bias"].numpy().tobytes()


def test_a_card_beside_that_is_not_as_it_was_written_is_refused(tmp_path):
    """Another mean would give other descriptors in silence."""
    path, _ = written(tmp_path, ".pth")
    told = json.loads(beside(path).read_text())
    beside(path).write_text(json.dumps(told | {"mean": [1.0, 2.0, 3.5]}))
    with pytest.raises(WeightsError, match="cannot be understood .*its digest is another"):
        formats.read_card(path)


@pytest.mark.parametrize("suffix", BESIDE)
def test_the_card_beside_is_json_with_the_files_digest(tmp_path, suffix):
    path, _ = written(tmp_path, suffix)
    told = json.loads(beside(path).read_text())
    assert len(told.pop("card_sha256")) == 64
    assert told.pop("sha256") == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told == json.loads(json.dumps(CARD.to_json()))


def test_other_programs_read_what_is_written(tmp_path):
    tensors = make_net().state_dict()
    for suffix in (".safetensors", ".pth", ".mat"):
        formats.write(tmp_path / f"w{suffix}", tensors, CARD)
    by_safetensors = load_file(tmp_path / "w.safetensors")
    by_torch = torch.load(tmp_path / "w.pth", weights_only=True)
    for key, tensor in tensors.items():
        assert torch.equal(by_safetensors[key], tensor) and torch.equal(by_torch[key], tensor)
    first = loadmat(tmp_path / "w.mat")["layers"][0, 0]["weights"][0, 0][0, 0]
    expected = tensors["features.0.weight"].numpy().transpose(2, 3, 1, 0)
    assert np.array_equal(first, expected)


def test_tensors_that_share_memory_are_written(tmp_path):
    """Nets with tied weights, and views of one tensor."""
    whole = torch.arange(12.0).view(3, 4)
    tensors = {"a": whole, "b": whole, "c": whole[1], "d": whole.T, "e": torch.ones(2)}
    formats.write(tmp_path / "w.safetensors", tensors, CARD)
    found = load_file(tmp_path / "w.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_without_its_card_a_caffemodel_says_what_its_format_does(tmp_path):
    path, _ = written(tmp_path, ".caffemodel")
    beside(path).unlink()
    card = formats.read_card(path)
    assert card.net == f"{NET},ceil_mode=true" and card.classes == ()
    assert card.mean == (123.68, 116.779, 103.939) and card.std == (1, 1, 1)
    assert card.training["imported"]["format"] == "Caffe"


def test_without_its_card_a_torch_file_says_nothing(tmp_path):
    path, _ = written(tmp_path, ".pth")
    beside(path).unlink()
    assert formats.read_card(path) is None
    save_file(make_net().state_dict(), tmp_path / "bare.safetensors")
    assert formats.read_card(tmp_path / "bare.safetensors") is None


@pytest.mark.parametrize("suffix", BESIDE)
def test_a_card_that_is_another_files_is_refused(tmp_path, suffix):
    path, _ = written(tmp_path, suffix)
    assert formats.read_card(path) == CARD
    formats.write(tmp_path / f"other{suffix}", make_net(seed=1).state_dict(), CARD)
    shutil.copy(tmp_path / f"other{suffix}", path)
    message = f"w{suffix}.card.json: is not the card of w{suffix} as it is now. Remove the card"
    with pytest.raises(WeightsError, match=message):
        formats.read_card(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[1]",
        lambda text: "null",
        lambda text: '"sha256"',
        lambda text: "[" * 10**5,
        lambda text: text.replace('"sha256"', '"sha1"'),
        lambda text: text.replace('"mean"', '"man"'),
        lambda text: text.replace("120.5", "NaN"),
        lambda text: text.replace(f'"{NET}"', "7"),
        lambda text: json.dumps(json.loads(text) | {"std": [1, 1, 0]}),
        lambda text: json.dumps(json.loads(text) | {"schema_version": 99}),
        lambda text: json.dumps(json.loads(text) | {"classes": 5}),
        lambda text: json.dumps(json.loads(text) | {"training": []}),
        lambda text: json.dumps(json.loads(text) | {"mean": [1, 2, 10**400]}),
    ],
)
def test_a_damaged_card_beside_is_refused_by_its_name(tmp_path, change):
    path, _ = written(tmp_path, ".pth")
    assert formats.read_card(path) == CARD
    # In the same process, and with the weights as they were.
    beside(path).write_text(change(beside(path).read_text()))
    with pytest.raises(WeightsError, match="w.pth.card.json: .*(card|cannot|version)"):
        formats.read_card(path)


def test_a_card_beside_that_is_no_text_is_refused(tmp_path):
    path, _ = written(tmp_path, ".pth")
    beside(path).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsError, match="w.pth.card.json: cannot be understood"):
        formats.read_card(path)


@pytest.mark.parametrize("suffix", [".caffemodel", ".mat"])
@pytest.mark.parametrize(
    "card, message",
    [
        ({"std": (2.0, 2.0, 2.0)}, r"cannot be written for .* divided by \(2.0, 2.0, 2.0\)"),
        ({"std": (1.0, 1.0, 1.0001)}, "cannot be written for .* divided by"),
        ({"net": "resnet18"}, "resnet18.*Known: vgg11, vgg11_lrn, vgg13"),
        ({"net": "vgg11_bn"}, "vgg11_bn.*Known: vgg11, vgg11_lrn, vgg13"),
        ({"net": "vgg13:width=0.0625,input_size=32"}, r"'features|is missing|not those of vgg13"),
    ],
)
def test_what_a_format_cannot_hold_is_not_written(tmp_path, suffix, card, message):
    wrong = Card(**(vars(CARD) | card))
    with pytest.raises(WeightsError, match=message) as error:
        formats.write(tmp_path / f"w{suffix}", make_net().state_dict(), wrong)
    assert f"w{suffix}" in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_other_formats_hold_any_statistics_and_any_net(tmp_path, suffix):
    card = Card(**(vars(CARD) | {"net": "resnet18", "std": (58.395, 57.12, 57.375)}))
    path, _ = written(tmp_path, suffix, card)
    assert formats.read_card(path) == card


@pytest.mark.parametrize("name", ["w.tar", "w", "w.caffe", "w.tar.pth2", ".pth"])
def test_an_unknown_kind_is_told_with_the_known_ones(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    for read in (formats.read, formats.read_card):
        with pytest.raises(WeightsError, match="unknown kind .* Known: .safetensors, .pth, .pt, "):
            read(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_files_and_folders_are_told(tmp_path, suffix):
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"broken{suffix}").symlink_to(tmp_path / "nowhere")
    for name in ("gone", "folder", "broken"):
        for read in (formats.read, formats.read_card):
            with pytest.raises(WeightsError, match=f"{name}{suffix}: no such weights file"):
                read(tmp_path / f"{name}{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused_by_name(tmp_path, suffix, share):
    path, _ = written(tmp_path, suffix)
    if beside(path).is_file():
        beside(path).unlink()
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match=f"w{suffix}") as error:
        formats.read_card(path)
        formats.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "suffix, other",
    [
        (suffix, other)
        for suffix in SUFFIXES
        for other in [*SUFFIXES, "text"]
        if other != suffix and {other, suffix} != {".pth", ".pt"}
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path, suffix, other):
    if other == "text":
        (tmp_path / f"x{suffix}").write_text("these are no weights, but a note on them\n" * 20)
    else:
        path, _ = written(tmp_path, other)
        shutil.copy(path, tmp_path / f"x{suffix}")
    with pytest.raises(WeightsError, match=f"x{suffix}"):
        formats.read_card(tmp_path / f"x{suffix}")
        formats.read(tmp_path / f"x{suffix}")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_code_is_refused_and_not_run_whatever_the_file_is_called(tmp_path, suffix, save):
    content, path = {"a": Bomb(tmp_path / "exploded")}, tmp_path / f"w{suffix}"
    if save == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match=f"w{suffix}"):
        formats.read_card(path)
        formats.read(path)
    assert not (tmp_path / "exploded").exists()


def test_a_net_of_other_layers_in_a_mat_is_refused(tmp_path):
    savemat(tmp_path / "w.mat", {"weights": np.zeros((3, 3)), "net": np.zeros(2)})
    with pytest.raises(WeightsError, match="has no `layers`"):
        formats.read_card(tmp_path / "w.mat")


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path, _ = written(tmp_path, ".pth")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError):
        formats.write(path, make_net(seed=1).state_dict(), CARD)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_what_pretraining_exports_is_read(tmp_path):
    path = write_net(tmp_path / "w.safetensors", training={"recipe": {"name": "x"}})
    assert formats.read_card(path).recipe == {"name": "x"}
    assert len(formats.read(path)["classifier.6.bias"]) == 6


def test_a_file_is_as_readable_as_others(tmp_path):
    """safetensors' own writer would keep it to its owner."""
    net = vgg.build("vgg11", width=0.0625, input_size=32)
    card = Card(net="vgg11:width=0.0625,input_size=32", classes=(), mean=(1.0, 2.0, 3.0),
                std=(1.0, 1.0, 1.0), training={})  # fmt: skip
    (tmp_path / "other").touch()
    formats.write(tmp_path / "w.safetensors", net.state_dict(), card)
    modes = {(tmp_path / name).stat().st_mode for name in ("other", "w.safetensors")}
    assert len(modes) == 1
