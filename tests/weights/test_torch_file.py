"""Torch files read as data: bit for bit what torch reads; nothing that a pickle wants is done."""

import argparse
import collections
import io
import os
import pickle
import struct
import sys
import time
import zipfile

import numpy as np
import pytest
import torch

from vggfeat.errors import WeightsError
from vggfeat.weights import formats, torch_file
from vggfeat.weights.inert_pickle import NotReadable, Unknown, read
from vggfeat.weights.state_dicts import find_tables

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_type_and_view_are_what_torch_reads(tmp_path, zipped):
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(0, 100, (6, 4), generator=generator)
    table = {str(dtype): numbers.to(dtype) for dtype in DTYPES}
    shared = torch.randn(5, 7, generator=generator)
    table |= {
        "whole": shared, "part": shared[1:3, ::2], "turned": shared.T, "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3), "parameter": torch.nn.Parameter(shared[2]),
    }  # fmt: skip
    path = tmp_path / "w.pth"
    torch.save(table, path, _use_new_zipfile_serialization=zipped)
    expected = torch.load(path, weights_only=True)
    found = torch_file.read(path)
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype and found[key].shape == tensor.shape
        assert torch.equal(found[key], tensor.detach())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle_is_read(tmp_path, protocol):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "w.pth", pickle_protocol=protocol)
    assert torch_file.read(tmp_path / "w.pth")["a"].tolist() == [0, 1, 2]


def test_the_other_byte_order_is_turned(tmp_path):
    """Files of machines that store the high byte first."""
    torch.save({"a": torch.tensor([1.5, -2.0]), "b": torch.tensor([258])}, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as little,
        zipfile.ZipFile(tmp_path / "big.pth", "w", zipfile.ZIP_STORED) as big,
    ):
        for name in little.namelist():
            content = little.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            elif "/data/" in name:
                code = "2f" if len(content) == 8 and content[:2] == b"\0\0" else "1q"
                content = struct.pack(">" + code, *struct.unpack("<" + code, content))
            big.writestr(name, content)
    found = torch_file.read(tmp_path / "big.pth")
    assert found["a"].tolist() == [1.5, -2.0] and found["b"].tolist() == [258]


def test_files_that_torch_wrote_without_checksums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "w.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch_file.read(tmp_path / "w.pth")["a"].tolist() == [1, 1, 1]


def test_what_trainers_write_beside_the_tensors_does_no_harm(tmp_path):
    args = argparse.Namespace(arch="resnet18", lr=0.1)
    default = collections.defaultdict(list, {"a": [1]})
    beside = {
        "args": args, "acc": np.float64(71.2), "seen": {1, 2}, "losses": np.zeros(3),
        "meters": default, "device": torch.device("cpu"), "dtype": torch.float16,
    }  # fmt: skip
    for zipped in (True, False):
        torch.save(
            {"state_dict": {"a": torch.ones(2)}, **beside}, tmp_path / "w.pth",
            _use_new_zipfile_serialization=zipped,
        )  # fmt: skip
        assert torch_file.read(tmp_path / "w.pth")["a"].tolist() == [1, 1]
        tables, unknown = formats.read_tables(tmp_path / "w.pth")
        assert list(tables) == ["state_dict"]
        assert "args (argparse.Namespace)" in unknown


class Call:
    """Unpickling this calls a function; it must never come to that."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
def test_code_beside_the_tensors_is_not_run(tmp_path, zipped):
    exploded = tmp_path / "exploded"
    content = {
        "evil": Call(os.mkdir, str(exploded)),
        "too": Call(eval, f"__import__('os').mkdir({str(exploded)!r})"),
        "a": torch.ones(1),
    }
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    tables, unknown = formats.read_tables(tmp_path / "w.pth")
    assert formats.load(tmp_path / "w.pth", tables[""])["a"].item() == 1
    assert unknown == ["evil (posix.mkdir)", "too (__builtin__.eval)"]
    assert not exploded.exists()


def test_no_module_that_a_pickle_names_is_imported():
    name = "antigravity"
    assert name not in sys.modules
    value = read(b"\x80\x02c" + name.encode() + b"\nfly\n)R}X\x01\x00\x00\x00aK\x01sb.")
    assert isinstance(value, Unknown) and value.of == "antigravity.fly"
    assert value.state == {"a": 1}
    assert name not in sys.modules


HOSTILE = {
    "a place in the memo of 4 billion": b"\x80\x02Nr\xff\xff\xff\xff.",
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "text of 4 GB": b"\x80\x02X\xff\xff\xff\xffx.",
    "a number of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7fx.",
    "a number of 10,000 digits": b"I" + b"9" * 10_000 + b"\n.",
    "no values": b"\x80\x02.",
    "no end": b"\x80\x02N",
    "nothing": b"",
    "no mark": b"\x80\x02NNt.",
    "an extension": b"\x80\x02\x82\x01.",
    "too few": b"\x80\x02\x87.",
    "a persistent name": b"Pevil\n.",
    "a tensor of nothing": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "a tensor of negative sides": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
    b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01t"
    b"QK\x00J\xff\xff\xff\xff\x85K\x01\x85tR.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_end_in_one_error(name):
    begin = time.perf_counter()
    if name == "a place in the memo of 4 billion":
        assert read(HOSTILE[name]) is None  # costs what a place costs
    else:
        with pytest.raises(NotReadable):
            read(HOSTILE[name])
    assert time.perf_counter() - begin < 2


def test_nested_values_cost_what_they_weigh():
    """64 tuples of twice the one before: as a key Python would hash it 2^64 times."""
    doubled = b"\x80\x02}N" + b"2\x86" * 64 + b"K\x01s."
    assert read(doubled) == {}
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    assert isinstance(read(deep), list)


def test_a_dict_within_itself_is_searched_once(tmp_path):
    content = {"a": torch.ones(1)}
    content["self"] = content
    torch.save(content, tmp_path / "w.pth")
    tables, _ = formats.read_tables(tmp_path / "w.pth")
    assert list(tables) == [""]


def test_values_that_hold_each_other_are_searched_for_a_while_only():
    """Two modules that are each other's children, twice each: 2^depth ways lead down."""
    module = Unknown("a.Net")
    module.state = {"_modules": {"a": module, "b": module}, "_parameters": {}}
    table = {"a": torch.ones(1)}
    circle = {"good": table, "net": module, **{str(number): table for number in range(100)}}
    circle |= {f"again{number}": circle for number in range(100)}
    begin = time.perf_counter()
    assert find_tables(circle)["good"].keys() == {"a"}
    assert time.perf_counter() - begin < 5


def rewritten(path, change):
    """A torch file with its parts changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in change(parts).items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: {n: c for n, c in parts.items() if "/data/" not in n},
        lambda parts: {n: c[:3] if "/data/" in n else c for n, c in parts.items()},
        lambda parts: {n: c[:9] if n.endswith("pkl") else c for n, c in parts.items()},
        lambda parts: {n: c for n, c in parts.items() if not n.endswith("pkl")},
        lambda parts: parts | {"b/data.pkl": b"N."},
        lambda parts: {n: c.replace(b"FloatStorage", b"EvilsStorage") for n, c in parts.items()},
    ],
)
def test_parts_that_lack_or_lie_are_one_line(tmp_path, change):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(4)}, path)
    rewritten(path, change)
    with pytest.raises(WeightsError, match=r"^\S+w.pth: .*"):
        torch_file.read(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_flipped_bit_and_no_cut_ends_in_another_error(tmp_path, zipped):
    buffer = io.BytesIO()
    torch.save(
        {"state_dict": {"a": torch.arange(8.0)}, "args": argparse.Namespace(lr=1)}, buffer,
        _use_new_zipfile_serialization=zipped,
    )  # fmt: skip
    content, path = buffer.getvalue(), tmp_path / "w.pth"
    generator = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for position in generator.integers(0, len(content), generator.integers(1, 4)):
            damaged[position] ^= 1 << int(generator.integers(0, 8))
        if generator.random() < 0.2:
            damaged = damaged[: generator.integers(0, len(content))]
        path.write_bytes(damaged)
        try:
            torch_file.read(path)
        except WeightsError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_cut_file_is_never_read(tmp_path, zipped):
    torch.save({"a": torch.ones(64)}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "w.pth").read_bytes()
    for keep in range(0, len(content) - 1, 7):
        (tmp_path / "cut.pth").write_bytes(content[:keep])
        with pytest.raises(WeightsError, match="cut.pth"):
            torch_file.read(tmp_path / "cut.pth")


@pytest.mark.parametrize("name", ["w.PTH", "w.pth.tar", "w.ckpt", "w.bin", "w.Pt.Tar", "w.t7"])
def test_torch_files_are_known_by_many_names(tmp_path, name):
    torch.save({"a": torch.ones(2)}, tmp_path / name)
    assert formats.read(tmp_path / name)["a"].tolist() == [1, 1]
    assert formats.read_card(tmp_path / name) is None


def test_a_net_saved_as_an_object_is_the_tensors_that_it_holds(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save({"model": net, "epoch": 3}, tmp_path / "w.pth")
    tables, _ = formats.read_tables(tmp_path / "w.pth")
    found = formats.load(tmp_path / "w.pth", tables["model"])
    expected = net.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_plain_pickle_is_no_torch_file(tmp_path):
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(WeightsError, match="refused: it does not begin as torch's files do"):
        formats.read(tmp_path / "w.pth")
