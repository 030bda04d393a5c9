"""--device cuda:1: all that an extraction queues is on that GPU, whichever is the current one."""

from contextlib import contextmanager

import pytest
import torch
from helpers.fake_cuda import fake_cuda
from helpers.pictures import write_picture

from vggfeat.backbones.load import load_network
from vggfeat.features.device import Cuda, device_for
from vggfeat.features.forward import to_input
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import describe


@pytest.fixture
def current(monkeypatch):
    """The GPUs that were made the current one for a while."""
    entered = []

    @contextmanager
    def device(number):
        entered.append(number)
        yield

    monkeypatch.setattr(torch.cuda, "device", device)
    return entered


def test_a_forward_pass_stays_on_it(tmp_path, current):
    write_picture(tmp_path / "a.png", (40, 40))
    head = Descriptor(load_network("vgg11:width=0.0625,input_size=32@random:0"))
    module = head.module
    with fake_cuda():
        device = device_for("cuda:1")
        moved = module.to(device.name)
        pictures = device.upload(torch.empty(2, 40, 40, 3, dtype=torch.uint8))
        vectors = describe(head, moved, pictures, mirror=True, device=device.name, precision="bf16")
        assert pictures.device == vectors.device == torch.device("cuda", 1)
        assert device.download(vectors).device.type == "cpu"
        before, after = device.timer(), device.timer()
        assert after.seconds_since(before) == 0.001
    assert current == [1, 1]  # for the two events


def test_the_current_gpu_is_used_where_none_is_numbered(current):
    with fake_cuda():
        assert Cuda().upload(torch.empty(1, dtype=torch.uint8)).is_cuda
        Cuda().timer()
    assert current == []


def test_statistics_are_kept_for_each_gpu():
    network = load_network("vgg11:width=0.0625,input_size=32@random:0")
    with fake_cuda():
        for number in (0, 1):
            pictures = torch.empty(1, 8, 8, 3, dtype=torch.uint8, device=f"cuda:{number}")
            batch = to_input(pictures, network.statistics, f"cuda:{number}")
            assert batch.device.index == number
