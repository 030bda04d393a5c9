"""Reading weights: nothing runs, everything fits, or one line says what does not."""

import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vggfeat.errors import WeightsError
from vggfeat.weights import checkpoint, formats, torch_file


def net():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Linear(4, 5))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda t: {"state_dict": t, "epoch": 3},
        lambda t: {"model": t, "optimizer": {"lr": 0.1}},
        lambda t: {f"module.{key}": tensor for key, tensor in t.items()},
    ],
)
def test_torch_files_are_read_bare_or_wrapped(tmp_path, wrap):
    source, target = net(), net()
    torch.save(wrap(source.state_dict()), tmp_path / "w.pth")
    checkpoint.load(target, torch_file.read(tmp_path / "w.pth"), tmp_path / "w.pth")
    assert torch.equal(target[1].weight, source[1].weight)


def test_half_precision_weights_become_float32(tmp_path):
    source, target = net().half(), net()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    path = tmp_path / "w.safetensors"
    checkpoint.load(target, checkpoint.read(path), path)
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, source[0].weight.float())


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("1.weight"), r"key '1.weight' is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), r"key 'extra' is not part of the net"),
        (
            lambda t: t.update({"1.weight": torch.zeros(5, 3)}),
            r"'1.weight' has shape 5x3, the net needs 5x4",
        ),
        (lambda t: (t.pop("1.weight"), t.pop("1.bias")), r"and 1 more"),
    ],
)
def test_what_does_not_fit_names_key_shapes_and_file(tmp_path, change, message):
    tensors = dict(net().state_dict())
    change(tensors)
    with pytest.raises(WeightsError, match=message) as error:
        checkpoint.load(net(), tensors, tmp_path / "w.pth")
    assert "w.pth: does not fit the net" in str(error.value)


def test_values_that_are_not_finite_are_refused(tmp_path):
    """torchvision's features-only VGG-16 fills its classifier with NaN."""
    tensors = net().state_dict()
    tensors["1.bias"][2] = torch.nan
    with pytest.raises(WeightsError, match="'1.bias' holds values that are not finite"):
        checkpoint.load(net(), tensors, tmp_path / "w.pth")


class Bomb:
    """Unpickling this creates a file; it must never come to that."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize(
    "save, message",
    [
        (torch.save, "'weight' is no plain tensor"),
        (
            lambda obj, path: path.write_bytes(pickle.dumps(obj)),
            "w.pth: refused.*Nothing in it was run",
        ),
    ],
)
def test_code_in_a_weights_file_is_refused_and_not_run(tmp_path, save, message):
    save({"weight": Bomb(tmp_path / "exploded")}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        torch_file.read(tmp_path / "w.pth")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 10, 200])
def test_truncated_files_are_refused_by_name(tmp_path, suffix, keep):
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(net().state_dict(), path)
    else:
        save_file(net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=f"w{suffix}"):
        formats.read(path)


def test_compressed_torch_files_are_refused(tmp_path):
    """98 kB of them can stand for 100 MB."""
    torch.save(net().state_dict(), tmp_path / "plain.pth")
    path = tmp_path / "w.pth"
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(WeightsError, match="w.pth: refused: it is compressed"):
        torch_file.read(path)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"a": 1},
        torch.zeros(3),
        {"a": torch.zeros(3, device="meta")},
        {"a": torch.zeros(3).to_sparse()},
        {"a": torch.zeros(3, dtype=torch.complex64)},
        {"a": torch.zeros(1).expand(10**12)},
    ],
)
def test_torch_files_without_named_tensors_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="w.pt"):
        torch_file.read(tmp_path / "w.pt")
