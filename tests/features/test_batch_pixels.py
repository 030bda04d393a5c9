"""Batches for a GPU by measurement: on a device whose rate and memory follow from a formula."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers.pictures import NARROW, write_picture

from vggfeat.backbones.load import load_network
from vggfeat.features import batch_pixels, store
from vggfeat.features.batch_pixels import fastest_batch_pixels
from vggfeat.features.batches import BATCH_PIXELS, plan_batches
from vggfeat.features.device import Cpu, DeviceTimer
from vggfeat.features.extract import extract
from vggfeat.features.options import Extraction

PICTURE = 2**18  # pixels: BATCH_PIXELS has four of them
MANY = 10**6


@dataclass
class Moment(DeviceTimer):
    at: float

    def wait(self) -> None:
        pass

    def seconds_since(self, earlier) -> float:
        return self.at - earlier.at


class Modelled(Cpu):
    """A device of its own memory, on which a batch takes overhead + count seconds.

    Its memory is for `room` pictures, of which it keeps what a batch has used until it is released.
    """

    def __init__(self, overhead=0.0, room=MANY):
        self.overhead, self.room, self.kept, self.clock, self.counts = overhead, room, 0, 0.0, []

    def batch_of(self, count):
        def queue():
            self.counts.append(count)
            if count > self.room:
                raise torch.OutOfMemoryError
            self.kept = count
            self.clock += self.overhead + count

        return queue

    def timer(self):
        return Moment(self.clock)

    def free_bytes(self):
        return self.room - self.kept

    def release_memory(self):
        self.kept = 0

    def fastest(self, num_pictures=MANY):
        return fastest_batch_pixels(self, self.batch_of, PICTURE, num_pictures)


@pytest.mark.parametrize("overhead, count", [(0, 4), (0.2, 4), (0.5, 8), (2, 32)])
def test_the_smallest_batch_is_taken_that_is_nearly_as_fast_as_any(overhead, count):
    device = Modelled(overhead)
    assert device.fastest() == count * PICTURE
    rates = {n: n / (overhead + n) for n in device.counts}
    near = [n for n, rate in rates.items() if rate >= 0.95 * max(rates.values())]
    assert min(near) == count and device.kept == 0


def test_doubling_ends_soon_where_it_brings_nothing():
    device = Modelled()
    device.fastest()
    assert sorted(set(device.counts)) == [4, 8, 16]


def test_a_batch_is_never_larger_than_memory_or_there_is_use_for():
    slow_alone = 1000.0  # of twice as many pictures the rate is nearly twice as high
    assert Modelled(slow_alone).fastest() == batch_pixels.MAX_BATCH_PIXELS
    assert Modelled(slow_alone).fastest(num_pictures=9) == 16 * PICTURE
    # 16 pictures would take half of the memory at least.
    halved = Modelled(slow_alone, room=31)
    assert halved.fastest() == 8 * PICTURE and max(halved.counts) == 8
    full = Modelled(slow_alone, room=3)
    assert full.fastest() == BATCH_PIXELS and full.kept == 0


class LikeAGpu(Cpu):
    """A CPU that has, it says, memory of its own."""

    def free_bytes(self):
        return 10**9


@pytest.fixture
def gpu(monkeypatch):
    """Extractions take the processor for a GPU; the number of pictures of each measurement."""
    calls = []

    def fastest(device, batch_of, picture_pixels, num_pictures):
        batch_of(2)()  # so that it is known to work
        calls.append(num_pictures)
        return 4096

    for module in ("batch_pixels", "pipeline"):
        monkeypatch.setattr(f"vggfeat.features.{module}.device_for", lambda name: LikeAGpu())
    monkeypatch.setattr(batch_pixels, "fastest_batch_pixels", fastest)
    return calls


@pytest.fixture
def pictures(tmp_path):
    return {f"{n}": write_picture(tmp_path / f"{n}.png", (40, 32), seed=n) for n in range(9)}


def run(pictures, folder, **options):
    options = Extraction(scales=(32,), precision="fp32", device="cpu", **options)
    return extract("test", pictures, load_network(NARROW), options, folder=folder)


def batches_of(monkeypatch):
    """The lengths of batches that are planned from now on."""
    lengths = []

    def planned(*arguments, **options):
        batches = plan_batches(*arguments, **options)
        lengths.extend(map(len, batches))
        return batches

    monkeypatch.setattr("vggfeat.features.pipeline.plan_batches", planned)
    return lengths


def test_a_file_remembers_how_its_batches_were_cut(tmp_path, pictures, gpu, monkeypatch):
    lengths = batches_of(monkeypatch)
    few = dict(list(pictures.items())[:4])
    path = run(few, tmp_path).path
    assert store.batch_pixels(path) == 4096 and lengths == [2, 2]  # 40 x 32 x 3 <= 4096
    before = store.inspect(path)
    lengths.clear()
    assert run(pictures, tmp_path).num_new == 5 and lengths == [3, 3, 3]
    assert gpu == [4] and store.batch_pixels(path) == 4096
    assert store.inspect(path).conditions == before.conditions
    alone = run(pictures, tmp_path / "alone", batch_size=1)
    np.testing.assert_allclose(
        store.read(path, list(pictures), [32]), store.read(alone.path, list(pictures), [32]),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_the_users_batch_size_and_a_file_that_says_nothing_win(
    tmp_path, pictures, gpu, monkeypatch
):
    lengths = batches_of(monkeypatch)
    few = dict(list(pictures.items())[:4])
    path = run(few, tmp_path, batch_size=2).path
    run(pictures, tmp_path)
    assert gpu == [] and store.batch_pixels(path) is None and lengths == [2, 2, 9]


def test_a_cpus_batches_are_not_measured(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(batch_pixels, "fastest_batch_pixels", lambda *_: pytest.fail("measured"))
    assert store.batch_pixels(run(pictures, tmp_path).path) is None
