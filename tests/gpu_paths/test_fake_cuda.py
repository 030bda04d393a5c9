"""The GPU that is not there: what it refuses, and what it counts as waiting."""

import numpy as np
import pytest
import torch
from helpers.fake_cuda import fake_cuda
from helpers.python_backward import backward
from torch import nn

ON_CPU = torch.ones(4)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda on_gpu: on_gpu + torch.zeros(4),
        lambda on_gpu: on_gpu + torch.from_numpy(np.zeros(4)),
        lambda on_gpu: on_gpu + ON_CPU,
        lambda on_gpu: torch.cat([on_gpu, torch.zeros(4)]),
        lambda on_gpu: nn.Linear(4, 2)(on_gpu),
        lambda on_gpu: on_gpu.numpy(),
        lambda on_gpu: torch.zeros(4)[on_gpu > 0],
        lambda on_gpu: torch.zeros(4)[on_gpu.long()],
        lambda on_gpu: torch.rand(4, generator=torch.Generator(), device="cuda"),
        lambda on_gpu: torch.rand(4, generator=torch.Generator("cuda")),
    ],
    ids=[
        "new",
        "of NumPy",
        "from before",
        "cat",
        "parameters",
        "to NumPy",
        "mask",
        "index",
        "drawn there",
        "drawn here",
    ],
)
def test_two_devices_do_not_meet(mixed):
    with fake_cuda(), pytest.raises((RuntimeError, TypeError)):
        mixed(torch.zeros(4, device="cuda"))


WAITS = {
    "item": (lambda t: t.sum().item(), "_local_scalar_dense"),
    "bool": (lambda t: bool((t > 0).all()), "_local_scalar_dense"),
    "tolist": (lambda t: t.tolist(), "tolist"),
    "equal": (lambda t: torch.equal(t, t), "equal"),
    "nonzero": (lambda t: t.nonzero(), "nonzero"),
    "mask": (lambda t: t[t > 0], "mask as an index"),
    "mask set": (lambda t: t.__setitem__(t > 0, 0), "mask as an index"),
    "select": (lambda t: t.masked_select(t > 0), "masked_select"),
    "cpu": (lambda t: t.cpu(), "copy to the CPU"),
    "copy_": (lambda t: torch.zeros(4).copy_(t), "copy to the CPU"),
    "not pinned": (lambda t: torch.zeros(4).copy_(t, non_blocking=True), "copy to the CPU"),
    "to the GPU": (lambda t: torch.zeros(4).to("cuda"), "copy to the GPU"),
    "pageable": (lambda t: torch.zeros(4).to("cuda", non_blocking=True), "copy to the GPU"),
    "created from a list": (lambda t: torch.tensor([1.0], device="cuda"), "copy to the GPU"),
    "index": (lambda t: t[torch.arange(2)], "copy to the GPU"),
}


@pytest.mark.parametrize("name", WAITS)
def test_each_way_to_wait_is_counted(name):
    wait, counted = WAITS[name]
    with fake_cuda() as gpu:
        wait(torch.zeros(4, device="cuda"))
    assert +gpu.waits == {counted: 1}


def test_what_does_not_wait_is_not_counted():
    with fake_cuda() as gpu:
        pixels = torch.from_numpy(np.zeros(4, np.float32)).pin_memory()
        on_gpu = pixels.to("cuda", non_blocking=True) + torch.arange(4, device="cuda")
        torch.zeros(4, pin_memory=True).copy_(on_gpu, non_blocking=True)
        on_gpu.to("cpu", non_blocking=True)
        torch.where(on_gpu > 0, on_gpu, 0)[torch.arange(2, device="cuda")].sum()
        torch.zeros(4)[torch.zeros(4) > 0].tolist()  # on the CPU
        torch.cuda.Event().record()
    assert not +gpu.waits


def test_a_gpu_that_has_more_to_do_does_not_stand_still():
    with fake_cuda() as gpu:
        tensor = torch.zeros(4, device="cuda")
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        event.synchronize()
        assert +gpu.waits == {"event": 1}
        tensor.add_(1)
        event.synchronize()
        assert +gpu.waits == {"event": 1, "earlier event": 1}


def test_masks_from_numpy_choose_what_they_do_and_others_a_half():
    mask = np.array([True, False, True, True, True])
    with fake_cuda():
        values = torch.zeros(5, 2, device="cuda")
        on_gpu = torch.from_numpy(mask).to("cuda")
        assert values[on_gpu].shape == (4, 2) == values[torch.from_numpy(mask)].shape
        assert values[values[:, 0] > 0].shape == (2, 2)


def test_afterwards_all_is_as_before():
    before = torch.cuda.is_available(), torch.Generator, nn.Module.to, torch.Tensor.backward
    with fake_cuda():
        nn.Linear(2, 2).to("cuda")
    assert (torch.cuda.is_available(), torch.Generator, nn.Module.to, torch.Tensor.backward) == (
        before
    )
    parameter = torch.ones(2, requires_grad=True)
    (parameter**2).sum().backward()
    assert parameter.grad.tolist() == [2, 2] and torch.ones(2).numpy().sum() == 2


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_its_backward_pass_is_torchs(precision):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 7 * 7, 5),
    )  # fmt: skip
    images, labels = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    gradients = []
    for pass_ in (torch.Tensor.backward, backward):
        net.zero_grad()
        for _ in range(2):  # gradients are added up
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
                scores = net(images)
            pass_(nn.functional.cross_entropy(scores.float(), labels) / 2)
        gradients.append([parameter.grad.clone() for parameter in net.parameters()])
    assert all(map(torch.equal, *gradients))
