"""Extraction and evaluation on a GPU: one batch behind, and nothing else is waited for.

There need be no GPU: tests/helpers/fake_cuda.py is one, and raises where two devices meet.
"""

import json

import pytest
import torch.distributed as dist
from helpers.fake_cuda import fake_cuda
from helpers.net_files import write_net
from helpers.pictures import NARROW, write_picture

from vggfeat.backbones.load import load_network
from vggfeat.features import batch_pixels, store
from vggfeat.features.extract import extract
from vggfeat.features.heads.box import CentreBox, DenseBoxes, DensePosteriors, Labels
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.posterior import Centre, Crops, Dense
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.processes.workers import Workers

LABELS = Labels({f"{number}": number for number in range(4)}, "digest")
SCALES = (32, 33)


EVERY_HEAD = pytest.mark.parametrize(
    "head, mirror",
    [
        (Descriptor, True),
        (Dense, True),
        (Crops, True),
        (Centre, False),
        (lambda network: CentreBox(network, LABELS), False),
        (lambda network: DenseBoxes(network, LABELS, 9), False),
        (lambda network: DensePosteriors(network, LABELS, 9), False),
    ],
    ids=["descriptor", "dense", "crops", "centre", "box", "boxes", "posteriors of the class"],
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return {f"{i}": write_picture(folder / f"{i}.png", (64, 48), seed=i) for i in range(4)}


@pytest.fixture(scope="module")
def boxes_net(tmp_path_factory):
    folder = tmp_path_factory.mktemp("net")
    return str(write_net(folder / "net.safetensors", num_outputs=20, input_size=32))


def waits_for(pictures, net, folder, head, *, mirror, batch_size=1):
    """What an extraction waits for."""
    network = load_network(net)
    assert head(network).module  # is kept; no file can be read where tensors have no values
    with fake_cuda() as gpu:
        asked = Extraction(scales=SCALES, mirror=mirror, device="cuda", batch_size=batch_size)
        done = extract("test", pictures, network, asked, folder=folder, head=head)
    assert store.read(done.path, list(pictures), SCALES).shape[:2] == (len(pictures), len(SCALES))
    return +gpu.waits


@EVERY_HEAD
def test_a_batch_waits_only_for_the_one_before_it(pictures, boxes_net, tmp_path, head, mirror):
    """Its vectors are read while the GPU computes the next one: an event of earlier work for each
    batch but the last. All else, the net and the last batch, is waited for once however many.
    """
    net = boxes_net if head not in (Descriptor, Dense, Crops, Centre) else NARROW
    waits = {}
    for count in (2, 4):
        some = dict(list(pictures.items())[:count])
        waits[count] = waits_for(some, net, tmp_path / f"{count}", head, mirror=mirror)
        assert waits[count].pop("earlier event") == count - 1
    assert waits[2] == waits[4]


@pytest.mark.parametrize("head", [Descriptor, lambda network: DenseBoxes(network, LABELS, 9)])
def test_batches_are_sized_by_a_measurement(pictures, boxes_net, tmp_path, monkeypatch, head):
    monkeypatch.setattr(batch_pixels, "BATCH_PIXELS", 2**11)
    waits = waits_for(pictures, boxes_net, tmp_path, head, mirror=False, batch_size=None)
    assert waits["event"] > 2  # of the measurement, and the last batch


def test_the_leading_process_sizes_the_batches_of_all(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_pixels, "BATCH_PIXELS", 2**11)
    kept = dist.HashStore()
    network = load_network(NARROW)
    assert Descriptor(network).module
    features = FeatureSets(tmp_path, workers=Workers(0, 2, 0, kept))
    with fake_cuda():
        options = Extraction(scales=SCALES, device="cuda")
        one = FeatureRequest(dataset="test", pictures=pictures, network=network, options=options)
        features.extract_together([one])
        (part, *_) = tmp_path.glob("*.parts/*.h5")
        extracted = features.extract(one)
    said = json.loads(kept.get("said/features#1/0"))
    assert said["batch_pixels"] == store.batch_pixels(extracted.path) > 0
    assert extracted.num_new == len(pictures) and not part.exists()
