"""--device takes what torch takes, and says what is here and what was never tried."""

import logging

import numpy as np
import pytest
import torch

from vggfeat import devices, provenance
from vggfeat.errors import OptionError
from vggfeat.features.device import Cpu, Cuda, Waiting, device_for
from vggfeat.features.options import Extraction
from vggfeat.pretraining.runtime import RuntimeOptions


@pytest.fixture(autouse=True)
def nothing_was_said():
    devices._warn_of.cache_clear()


@pytest.fixture
def two_gpus(monkeypatch):
    for name, answer in (
        ("is_available", lambda: True),
        ("device_count", lambda: 2),
        ("get_device_name", lambda number=None: f"GPU {number or 0}"),
    ):
        monkeypatch.setattr(torch.cuda, name, answer)


@pytest.fixture
def apple(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


@pytest.mark.parametrize(
    "text", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "CUDA", "", "meta", "cuda: 1", 1]
)
def test_what_names_no_device_is_refused(text):
    with pytest.raises(OptionError, match="one of auto, cpu, cuda, cuda:N, mps, xpu"):
        devices.resolved(text)
    with pytest.raises(OptionError, match="device must be"):
        Extraction(scales=(32,), device=text)


def test_on_the_command_line_that_is_wrong_usage(run):
    result = run("bench", "digits", "--device", "gpu")
    assert result.exit_code == 2 and "cuda:N" in result.stderr


def test_a_device_that_is_not_here_is_told_before_anything_is_fetched(run, tmp_path):
    """The nets' weights are not here either, and would take minutes."""
    for command in (
        ("bench", "digits"),
        ("extract", "--dataset", "digits"),
        ("evaluate", "--data", tmp_path),
        ("localise", "evaluate", "--data", tmp_path, "--net", "vgg16"),
    ):
        result = run(*command, "--device", "mps")
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1].startswith("Error: device mps: not here. Here: cpu")


def test_what_is_not_here_is_refused_with_what_is(two_gpus):
    assert devices.resolved("cuda:1") == "cuda:1" and devices.resolved("auto") == "cuda"
    with pytest.raises(
        OptionError, match=r"cuda:2: there is no such GPU. Here: cpu .*, cuda:0 \(GPU 0\), cuda:1"
    ):
        Extraction(scales=(32,), device="cuda:2")
    with pytest.raises(OptionError, match="xpu: not here"):
        devices.resolved("xpu")


def test_a_number_of_what_there_is_once_is_left_out(apple):
    assert devices.resolved("cpu:0") == "cpu" and devices.resolved("mps:0") == "mps"


def test_what_was_never_tried_is_said_once_and_in_the_record(apple, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            devices.resolved("mps")
    (message,) = caplog.messages
    assert message.startswith("vggfeat on mps: it was never tried; probes are fitted on the CPU")
    assert "never tried" in provenance.hardware("mps")["note"]
    assert "note" not in provenance.hardware("cpu")


def test_auto_is_bf16_only_where_it_is_known_to_be_right(apple, two_gpus):
    assert devices.resolved_precision("auto", "mps") == "fp32"
    assert devices.resolved_precision("auto", "cuda:1") == "bf16"
    assert devices.resolved_precision("bf16", "mps") == "bf16"


def test_probes_are_fitted_where_there_is_float64():
    assert [devices.for_probes(name) for name in ("cpu", "cuda:1", "mps", "xpu:0")] == [
        "cpu", "cuda:1", "cpu", "cpu",
    ]  # fmt: skip


def test_nets_are_trained_on_cpu_and_cuda(apple, two_gpus):
    from vggfeat.processes.world import World

    with pytest.raises(OptionError, match="trained on cpu or cuda"):
        RuntimeOptions(device="mps")
    options = RuntimeOptions(device="cuda:1")
    assert options.torch_device(World()) == torch.device("cuda", 1)
    with pytest.raises(OptionError, match="2 processes have a GPU each"):
        options.torch_device(World(rank=1, size=2, local_rank=1))
    assert RuntimeOptions(device="cuda").torch_device(World(1, 2, 1)) == torch.device("cuda", 1)


def test_each_device_has_its_transfers():
    assert isinstance(device_for("cpu"), Cpu) and isinstance(device_for("mps"), Waiting)
    assert isinstance(device_for("cuda:1"), Cuda) and device_for("cuda:1").name == "cuda:1"


def test_only_the_cpu_runs_the_form_that_is_made_for_it():
    from vggfeat.backbones.load import load_network
    from vggfeat.features.inference import for_inference

    network = load_network("vgg11:width=0.0625,input_size=32@random:0")
    module = network.maps
    assert for_inference(module, network, "cpu", "fp32") is not module
    assert for_inference(module, network, "meta", "fp32") is module


def test_any_device_gives_what_the_cpu_gives(tmp_path):
    """The processor in the role of a device that waits: the same descriptors, and some time."""
    from helpers.pictures import write_picture

    from vggfeat.backbones.load import load_network
    from vggfeat.features.heads.descriptor import Descriptor
    from vggfeat.features.pipeline import ExtractionRun
    from vggfeat.progress import no_progress

    path = write_picture(tmp_path / "a.png", (40, 36))
    head = Descriptor(load_network("vgg11:width=0.0625,input_size=32@random:0"))
    options, given = Extraction(scales=(32, 36), device="cpu"), []

    class Kept:
        dim = head.dim

        def missing(self, pictures):
            return set(pictures)

        def write(self, ids, vectors, *rest):
            given.append(vectors)

    for device in (Cpu(), Waiting("cpu")):
        run = ExtractionRun(head, options, {"a": path}, [Kept()], no_progress, device)
        run.extract(head.module)
        assert all(seconds > 0 for seconds in run.scale_seconds.values())
    np.testing.assert_array_equal(*given)
