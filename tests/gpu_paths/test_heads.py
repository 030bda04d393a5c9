"""Vectors of pictures on a GPU: every tensor is there, and Python waits for none of them.

There need be no GPU: tests/helpers/fake_cuda.py is one, and raises where two devices meet.
"""

import numpy as np
import pytest
import torch
from helpers.fake_cuda import fake_cuda
from helpers.net_files import write_net
from helpers.pictures import NARROW

from vggfeat.backbones.load import load_network
from vggfeat.features.device import device_for
from vggfeat.features.heads.box import CentreBox, DenseBoxes, DensePosteriors, Labels
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import describe
from vggfeat.features.heads.posterior import Centre, Crops, Dense

LABELS = Labels({"a": 0, "b": 3, "c": 5}, "digest")


def narrow(**options):
    """The narrow net of random weights, with these options."""
    stated = "".join(f",{name}={value}" for name, value in options.items())
    return load_network(NARROW.replace("@", f"{stated}@"))


def check_on_gpu(head, *, shape=(48, 64), mirror=False, precision="bf16"):
    """Two batches through a head: vectors [3, D] on the GPU, and no waiting for the second."""
    module, pictures = head.module, np.zeros((3, *shape, 3), np.uint8)
    with fake_cuda() as gpu:
        module = module.to("cuda", memory_format=torch.channels_last)
        device = device_for("cuda")
        batch = device.staged(pictures)
        for _ in range(2):
            gpu.waits.clear()  # of the first batch: mean and deviation of the input are sent once
            vectors = describe(
                head, module, device.upload(batch), ids=list("abc"), mirror=mirror,
                device="cuda", precision=precision,
            )  # fmt: skip
    assert (vectors.device.type, vectors.dtype) == ("cuda", torch.float32)
    assert tuple(vectors.shape) == (3, head.dim)
    assert not +gpu.waits
    computed_in = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    assert gpu.dtypes["aten.convolution.default"] == {computed_in}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("mirror", [False, True])
def test_whole_pictures_and_their_mirror_images(mirror, precision):
    check_on_gpu(Descriptor(narrow()), mirror=mirror, precision=precision)


@pytest.mark.parametrize("view", ["centre", "corners", "resized"])
def test_crops_and_squares(view):
    check_on_gpu(Descriptor(narrow(view=view)), mirror=True)


def test_several_layers_in_one_pass():
    check_on_gpu(Descriptor(narrow(), [narrow(layer="fc6")]))


def test_a_net_of_torchvision():
    check_on_gpu(Descriptor(load_network("squeezenet1_1@random:0")))


def test_a_vision_transformer():
    timm = pytest.importorskip("timm")
    assert "vit_tiny_patch16_224" in timm.list_models("vit_tiny*")
    net = load_network("timm/vit_tiny_patch16_224:layer=blocks.1@random:0")
    check_on_gpu(Descriptor(net), shape=(224, 224))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("head, mirror", [(Dense, True), (Crops, True), (Centre, False)])
def test_posteriors(head, mirror, precision):
    check_on_gpu(head(narrow()), shape=(33, 33), mirror=mirror, precision=precision)


@pytest.mark.parametrize("num_outputs", [4, 24], ids=["one for all classes", "one for each class"])
def test_boxes(tmp_path, num_outputs):
    path = write_net(tmp_path / "net.safetensors", num_outputs=num_outputs, input_size=32)
    check_on_gpu(CentreBox(load_network(str(path)), LABELS))
    check_on_gpu(DenseBoxes(load_network(str(path)), LABELS, num_positions=9))


def test_posteriors_of_each_pictures_class():
    check_on_gpu(DensePosteriors(narrow(), LABELS, num_positions=9))
