"""Nets of users on a GPU: their own modules and exported programs, with all that these create.

There need be no GPU: tests/helpers/fake_cuda.py is one, and raises where two devices meet.
"""

import sys

import numpy as np
import pytest
import torch
from helpers.fake_cuda import fake_cuda

from vggfeat.backbones import repeatable
from vggfeat.backbones.exported.on_device import follow
from vggfeat.backbones.load import load_network
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import describe

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("kept", torch.ones(4, 1, 1))
        self.register_buffer("derived", torch.ones(4, 1, 1), persistent=False)

    def forward(self, images):
        maps = self.norm(self.conv(images)) * self.kept * self.derived
        positions = torch.arange(maps.shape[3], device=images.device, dtype=images.dtype)
        return maps + positions + torch.zeros(4, 1, 1, device=images.device)


class WithConstant(Net):
    def __init__(self):
        super().__init__()
        self.constant = torch.full((1, 4, 1, 1), 2.0)  # no buffer

    def forward(self, images):
        return super().forward(images) * self.constant
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The module of the nets above, and its folder."""
    (tmp_path / "gpu_path_nets.py").write_text(NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(repeatable, "ONCE_MORE", 2.0)  # tensors without values differ by 1
    monkeypatch.setattr(repeatable, "BESIDE_OTHERS", 2.0)
    yield __import__("gpu_path_nets")
    del sys.modules["gpu_path_nets"]


def check_on_gpu(text):
    """A batch on the CPU, and then one on the GPU."""
    network = load_network(text)
    head, pictures = Descriptor(network), np.zeros((2, 32, 40, 3), np.uint8)
    module = head.module
    describe(head, module, pictures, mirror=True)
    with fake_cuda():
        module = module.to("cuda", memory_format=torch.channels_last)
        vectors = describe(head, module, pictures, mirror=True, device="cuda", precision="bf16")
    assert vectors.device.type == "cuda" and tuple(vectors.shape) == (2, 4)


def test_a_module_with_buffers(nets):
    check_on_gpu("gpu_path_nets:Net:input_size=32,mean=0/0/0,std=1/1/1")


def test_an_exported_program(nets, tmp_path):
    """It was exported on a CPU, and says so wherever it creates a tensor."""
    sides = {axis: torch.export.Dim.AUTO for axis in (0, 2, 3)}
    example = torch.zeros(2, 3, 32, 40)
    program = torch.export.export(nets.WithConstant().eval(), (example,), dynamic_shapes=(sides,))
    assert sum("cpu" in str(node.kwargs.get("device")) for node in program.graph.nodes) == 2
    torch.export.save(program, tmp_path / "net.pt2")
    check_on_gpu(f"{tmp_path / 'net.pt2'}:mean=0/0/0,std=1/1/1")


@torch.no_grad()
def test_a_program_that_follows_its_input_computes_the_same(nets):
    images = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    net = nets.WithConstant().eval()
    program = torch.export.unflatten(torch.export.export(net, (images,)))
    follow(program, images.device)
    torch.testing.assert_close(program(images), net(images))
