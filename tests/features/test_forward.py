"""Passes through a net: precisions, what is kept between passes, and that nothing else changes."""

import ctypes
import resource
import sys

import numpy as np
import pytest
import torch
from helpers.pictures import NARROW
from torch.profiler import ProfilerActivity, profile

from vggfeat import devices
from vggfeat.backbones.load import load_network
from vggfeat.features import allocator, forward
from vggfeat.features.heads.descriptor import Descriptor, in_passes, pooled
from vggfeat.features.heads.head import describe
from vggfeat.input_statistics import InputStatistics

STATISTICS = InputStatistics(mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))


@pytest.mark.parametrize(
    "capabilities, precision",
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"),
     ({"avx512_bf16": False, "avx2": True}, "fp32"), ({}, "fp32")],
)  # fmt: skip
def test_auto_is_bf16_where_the_processor_multiplies_it(monkeypatch, capabilities, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert devices.resolved_precision("auto", "cpu") == precision
    assert devices.resolved_precision("auto", "cuda") == "bf16"
    assert devices.resolved_precision("fp32", "cuda") == "fp32"
    assert devices.resolved_precision("bf16", "cpu") == "bf16"


def test_auto_is_fp32_where_torch_does_not_know_the_processor(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert devices.resolved_precision("auto", "cpu") == "fp32"


def test_pictures_are_normalised_by_channel():
    pictures = np.array([[[[1, 4, 11], [2, 2, 3]]]], dtype=np.uint8)
    batch = forward.to_input(pictures, STATISTICS, "cpu")
    assert batch.shape == (1, 3, 1, 2) and batch.dtype == torch.float32
    assert batch[0, :, 0, 0].tolist() == [0, 1, 2] and batch[0, :, 0, 1].tolist() == [1, 0, 0]
    assert pictures[0, 0, 0].tolist() == [1, 4, 11]


def casts(run) -> int:
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        run()
    return sum(e.count for e in profiled.key_averages() if e.key == "aten::_to_copy")


def test_weights_are_cast_once_in_a_block():
    module = load_network(NARROW).maps
    batch = torch.zeros(1, 3, 48, 48)
    with forward.autocast_for("cpu", "bf16"):
        first = casts(lambda: pooled(module, batch))
        with forward.autocast_for("cpu", "bf16"):
            second = casts(lambda: pooled(module, batch))
        third = casts(lambda: pooled(module, batch))
    assert first > len(list(module.parameters()))
    assert second == third < 4  # of the batch, and of the map that is averaged


def test_a_pass_at_bf16_leaves_the_nets_weights_as_they_are():
    network = load_network(NARROW)
    kind = Descriptor(network)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 40, 52, 3), dtype=np.uint8)
    before = {key: tensor.clone() for key, tensor in kind.module.state_dict().items()}
    alone = describe(kind, kind.module, pictures, mirror=True)
    coarse = describe(kind, kind.module, pictures, mirror=True, precision="bf16")
    after = kind.module.state_dict()
    assert all(after[key].dtype == torch.float32 for key in after)
    assert all(torch.equal(before[key], after[key]) for key in after)
    assert torch.equal(describe(kind, kind.module, pictures, mirror=True), alone)
    assert coarse.dtype == torch.float32 and not torch.equal(coarse, alone)


def test_a_picture_and_its_mirror_in_one_pass_are_as_in_two():
    network = load_network(NARROW)
    kind = Descriptor(network)
    pictures = np.random.default_rng(1).integers(0, 256, (3, 40, 52, 3), dtype=np.uint8)
    mirrored = np.ascontiguousarray(pictures[:, :, ::-1])
    together = describe(kind, kind.module, pictures, mirror=True)
    plain, flipped = (
        describe(kind, kind.module, one, mirror=False) for one in (pictures, mirrored)
    )
    torch.testing.assert_close(together, (plain + flipped) / 2, rtol=1e-4, atol=1e-5)


def test_views_are_joined_as_far_as_they_may():
    views = [torch.full((2, 3, 4, 5), float(n)) for n in range(5)]
    views = [view.to(memory_format=torch.channels_last) for view in views]
    for pixels, counts in ((10_000, [5]), (80, [2, 2, 1]), (1, [1] * 5)):
        joined = list(in_passes(views, pixels))
        assert [len(one) // 2 for one in joined] == counts
        assert torch.equal(torch.cat(joined), torch.cat(views))
        assert all(one.is_contiguous(memory_format=torch.channels_last) for one in joined)


class Libc:
    """Notes what is asked of the allocator."""

    def __init__(self):
        self.asked = []

    def mallopt(self, parameter, value):
        self.asked.append((parameter, value))

    def malloc_trim(self, pad):
        self.asked.append("trim")


def test_memory_is_kept_in_a_block_only_whatever_happens_there(monkeypatch):
    libc = Libc()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    with pytest.raises(KeyError), allocator.kept_memory():
        assert libc.asked == [(allocator.M_MMAP_MAX, 0), (allocator.M_TRIM_THRESHOLD, -1)]
        libc.asked.clear()
        raise KeyError
    assert libc.asked == [
        (allocator.M_MMAP_MAX, 65536),
        (allocator.M_MMAP_THRESHOLD, 2**25),
        (allocator.M_TRIM_THRESHOLD, 2**26),
        "trim",
    ]


def test_the_outermost_of_nested_blocks_decides(monkeypatch):
    libc = Libc()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    with allocator.kept_memory():
        libc.asked.clear()
        with allocator.kept_memory():
            pass
        assert not libc.asked
    assert libc.asked


def test_what_the_user_has_set_is_left(monkeypatch):
    libc = Libc()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    with allocator.kept_memory():
        assert not libc.asked


def test_memory_goes_back_when_the_process_has_grown_much_since_it_last_did(monkeypatch):
    libc, resident = Libc(), iter([100, 164, 165, 90, 154, 155])
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    monkeypatch.setattr(allocator, "MOST_GROWTH", 64)
    monkeypatch.setattr(allocator, "resident", lambda: next(resident))
    with allocator.kept_memory() as memory:
        libc.asked.clear()
        trimmed = []
        for _ in range(6):
            memory.batch_done()
            trimmed.append(libc.asked.count("trim"))
    assert trimmed == [0, 0, 1, 1, 1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says how much memory a process has")
def test_freed_memory_that_is_kept_can_be_handed_back(monkeypatch):
    monkeypatch.setattr(allocator, "MOST_GROWTH", 2**24)
    with allocator.kept_memory() as memory:
        memory.batch_done()
        blocks = [torch.ones(2**21) for _ in range(16)]  # 8 MiB each
        behind = torch.ones(2**10)  # so that they are not at the end of the heap
        del blocks
        kept = allocator.resident()
        memory.batch_done()
        assert allocator.resident() < kept - 2**26
    assert behind.sum() == 2**10


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's page faults are Linux's")
def test_afterwards_blocks_of_some_megabytes_are_used_again():
    """As in any process that has freed large blocks: no page is cleared for each of them."""

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            torch.relu(pictures)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pictures = torch.zeros(1_400_000)
    with allocator.kept_memory():
        pass
    faults()  # the first block is new
    assert faults() < 20 * pictures.numel() * 4 / 4096 / 4


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_without_glibc_memory_is_as_it_is(monkeypatch, platform):
    """The C library is not asked for what it does not have, and the block is run once."""
    asked, runs = [], 0
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: asked.append(name) or object())
    with allocator.kept_memory():
        runs += 1
    assert (runs, allocator._keeping) == (1, 0)
    assert asked == ([None] if platform == "linux" else [])
