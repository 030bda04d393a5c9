"""Options of a training process: which device, and how many pictures go through the net at once."""

from dataclasses import replace

import pytest
import torch
from helpers.training import RECIPE

from vggfeat.errors import OptionError
from vggfeat.pretraining.recipes import recipe
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.processes.world import World

CPU = {"device": "cpu", "precision": "fp32"}


@pytest.mark.parametrize("pass_size, size, expected", [(3, 1, 3), (100, 1, 8), (100, 3, 3)])
def test_a_pass_has_no_more_pictures_than_a_process_has_of_a_batch(pass_size, size, expected):
    """Of batches of 8, of which three processes have 3, 3 and 2."""
    runtime = RuntimeOptions(pass_size=pass_size, **CPU)
    assert runtime.micro_batch_size(RECIPE, World(size=size)) == expected


def test_without_a_pass_size_a_batch_goes_through_at_once_if_it_fits():
    """A picture of 224 of the full-width net keeps 181 MB of fp32 values: 23 in 4 GiB."""
    runtime = RuntimeOptions(**CPU)
    assert runtime.micro_batch_size(RECIPE, World()) == RECIPE.batch_size
    full = recipe("vgg16-256")
    assert runtime.micro_batch_size(full, World()) == 23
    assert replace(runtime, precision="bf16").micro_batch_size(full, World()) == 47


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(OptionError, match="no CUDA device was found"):
        RuntimeOptions(device="cuda")
