"""Vectors of every head and view on a device against the CPU: fp32 alike, bf16 within bounds.

TF32 is off in fp32, so that only the order of sums differs.
"""

from functools import partial

import numpy as np
import pytest
from helpers.interrupts import interrupted_at
from helpers.net_files import write_net
from helpers.pictures import NARROW, write_picture

from vggfeat.backbones.load import load_network
from vggfeat.costs.forward_calibration import forward_rates
from vggfeat.features import store
from vggfeat.features.extract import extract
from vggfeat.features.heads.box import CentreBox, DenseBoxes, DensePosteriors, Labels
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import describe
from vggfeat.features.heads.posterior import Centre, Crops, Dense
from vggfeat.features.options import Extraction

FP32, BF16 = 1e-4, 3e-2  # bounds of the distance over the length; bf16 has 8 bits
IDS = ("a", "b", "c")
LABELS = Labels({"a": 0, "b": 3, "c": 5}, "abc")
SIZES = ((48, 36), (40, 60))


def viewed(view: str) -> str:
    return NARROW.replace("@", f",view={view}@")


DESCRIPTORS = {
    "the whole picture": NARROW,
    "a layer within": NARROW.replace("@", ",layer=pool4@"),
    "the centre crop": viewed("centre"),
    "five crops": viewed("corners"),
    "a square": viewed("resized"),
    "batch normalisation": "resnet18@random:0",
}
OF_CLASSES = {
    "posterior, dense": (Dense, 6),
    "posterior, crops": (Crops, 6),
    "posterior, centre": (Centre, 6),
    "box, centre": (partial(CentreBox, labels=LABELS), 24),
    "boxes, dense": (partial(DenseBoxes, labels=LABELS, num_positions=8), 24),
    "posteriors, dense": (partial(DensePosteriors, labels=LABELS, num_positions=8), 6),
}


def assert_like_the_cpu(head, device: str, size: tuple[int, int], *, mirror: bool) -> None:
    """Compare the head's vectors [3, D] of noise in both precisions with the CPU's in fp32."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    module = head.module
    expected = describe(head, module, pixels, ids=IDS, mirror=mirror).numpy()
    assert np.isfinite(expected).all() and np.ptp(expected, axis=0).any()
    module = module.to(device)
    for precision, bound in (("fp32", FP32), ("bf16", BF16)):
        vectors = describe(
            head, module, pixels, ids=IDS, mirror=mirror, device=device, precision=precision
        )
        assert vectors.device.type == device
        away = np.linalg.norm(vectors.cpu().numpy() - expected) / np.linalg.norm(expected)
        assert away < bound, precision


@pytest.mark.parametrize("net", DESCRIPTORS.values(), ids=DESCRIPTORS)
def test_descriptors_are_like_those_of_the_cpu(device, net):
    size = (40, 40) if "resized" in net else (64, 72)
    assert_like_the_cpu(Descriptor(load_network(net)), device, size, mirror=True)


def test_several_layers_in_one_pass_are_like_those_of_the_cpu(device):
    first, second = (
        load_network(NARROW.replace("@", f",layer={layer}@")) for layer in ("pool5", "fc7")
    )
    assert_like_the_cpu(Descriptor(first, [second]), device, (40, 64), mirror=True)


@pytest.mark.parametrize("head, outputs", OF_CLASSES.values(), ids=OF_CLASSES)
def test_posteriors_and_boxes_are_like_those_of_the_cpu(device, tmp_path, head, outputs):
    network = load_network(str(write_net(tmp_path / "net.safetensors", num_outputs=outputs)))
    made = head(network)
    assert_like_the_cpu(made, device, (40, 64), mirror=getattr(made, "mirror", False))


@pytest.fixture
def pictures(tmp_path):
    """Nine pictures in two shapes, id -> path."""
    return {
        f"{i}": write_picture(tmp_path / "pictures" / f"{i}.png", SIZES[i % 2], seed=i)
        for i in range(9)
    }


def run(pictures, folder, device, *, scales=(32, 48), **options):
    options = Extraction(
        **({"scales": scales, "device": device, "precision": "fp32", "batch_size": 2} | options)
    )
    network = load_network(NARROW)
    return extract("test", pictures, network, options, folder=folder)


def stored(extracted, pictures, scales=(32, 48)):
    return store.read(extracted.path, list(pictures), scales)


def assert_near(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


def test_an_extraction_of_several_batches_is_like_that_of_the_cpu(device, tmp_path, pictures):
    """Buffers that are used again too early, or results that are read too early, would show."""
    there = run(pictures, tmp_path / "there", device)
    here = run(pictures, tmp_path / "here", "cpu")
    assert_near(stored(there, pictures), stored(here, pictures))
    assert there.num_new == 9 and all(seconds > 0 for seconds in there.scale_seconds.values())
    assert store.inspect(there.path).damaged == []


def test_an_interrupted_extraction_goes_on(device, tmp_path, pictures):
    with interrupted_at(5):  # of ten passes
        run(pictures, tmp_path / "torn", device)
    rest = run(pictures, tmp_path / "torn", device)
    assert 0 < rest.num_new < 9
    whole = run(pictures, tmp_path / "whole", device)
    assert_near(stored(rest, pictures), stored(whole, pictures))


def test_a_scale_that_is_stored_stays_as_it_is(device, tmp_path, pictures):
    alone = run(pictures, tmp_path, device, scales=(48,))
    both = run(pictures, tmp_path, device)
    assert np.array_equal(stored(both, pictures, (48,)), stored(alone, pictures, (48,)))


def test_a_damaged_picture_costs_itself_alone(device, tmp_path, pictures):
    pictures["4"].write_bytes(pictures["4"].read_bytes()[:120])
    extracted = run(pictures, tmp_path, device, on_error="skip")
    assert list(extracted.skipped) == ["4"] and extracted.num_new == 8


def test_the_time_of_a_megapixel_is_measured(device):
    options = Extraction(scales=(64,), device=device)
    rates, _ = forward_rates(load_network(NARROW), options, [(64, 48)], seconds=0.1)
    assert 0 < rates[64].megapixel_s < 60
