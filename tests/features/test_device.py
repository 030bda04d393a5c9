"""The device that an extraction computes on: the CPU's, where everything has happened on return."""

import numpy as np
import torch

from vggfeat.features.device import device_for


def test_a_cpu_has_everything_at_once_and_copies_nothing():
    device, pictures = device_for("cpu"), np.zeros((2, 4, 5, 3), dtype=np.uint8)
    earlier = device.timer()
    there = device.upload(device.staged(pictures))
    back, later = device.download(there), device.timer()
    later.wait()
    assert np.shares_memory(back.numpy(), pictures) and back.dtype == torch.uint8
    assert 0 <= later.seconds_since(earlier) < 60
