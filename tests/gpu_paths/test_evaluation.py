"""Evaluation on ILSVRC with a GPU, from the job to the record: classes in all views, and boxes.

There need be no GPU: tests/helpers/fake_cuda.py is one, and raises where two devices meet.
"""

import pytest
import torch
from helpers.boxed import write_boxed
from helpers.fake_cuda import fake_cuda
from helpers.net_files import CLASSES, write_net
from safetensors.torch import load_file
from torch.utils._python_dispatch import _disable_current_modes

from vggfeat.backbones import network
from vggfeat.backbones.spec import NetSpec
from vggfeat.benchmarks.ilsvrc import classification, localisation
from vggfeat.benchmarks.ilsvrc.views import BOX_VIEWS
from vggfeat.benchmarks.runner import Failure
from vggfeat.storage.folders import folders
from vggfeat.weights import checkpoint

VIEWS = ["dense", "centre"]  # crops take long, and are extracted in test_extraction.py


def load_outside(path):
    """The tensors of a file, which cannot be read where tensors have no values."""
    with _disable_current_modes():
        return load_file(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    write_boxed(root / "val", dict.fromkeys(CLASSES, 1))
    return root


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Specifications of a classifier, of boxes of each class, and of one box for all."""
    folder, nets = tmp_path_factory.mktemp("nets"), {}
    for name, count in (("classes", 6), ("pcr", 24), ("scr", 4)):
        recipe = {"scales": [36, 36]}
        recipe |= {} if name == "classes" else {"regressor": name, "tuned": "all"}
        path = folder / f"{name}.safetensors"
        write_net(path, num_outputs=count, training={"recipe": recipe})
        nets[name] = (NetSpec(weights=str(path)),)
    return nets


def records_of(evaluate, job, out, monkeypatch):
    """The records of a job, and what was waited for."""
    monkeypatch.setattr(checkpoint, "load_file", load_outside)
    for module in (network, checkpoint):
        monkeypatch.setattr(module, "is_blank", lambda weights: False)  # by their values
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU", raising=False)
    with fake_cuda() as gpu:
        records = list(evaluate(job, out, lambda *_: None))
    assert not [record.reason for record in records if isinstance(record, Failure)]
    return records, gpu.waits


def test_classes_in_two_views(pictures, nets, tmp_path, monkeypatch):
    job = classification.Job(
        nets=[nets["classes"]], data=pictures, views=VIEWS, scales=["36"],
        folders=folders(cache_dir=tmp_path / "cache"), options={"device": "cuda"},
    )  # fmt: skip
    records, waits = records_of(classification.evaluate, job, tmp_path / "out", monkeypatch)
    assert len(records) == len(VIEWS) and waits["event"] > 0
    assert all("top5_error" in record.metrics for record in records)


@pytest.mark.parametrize("regressor", ["pcr", "scr"])
def test_boxes_in_all_views(pictures, nets, tmp_path, monkeypatch, regressor):
    job = localisation.Job(
        nets=[nets[regressor]], classifier=nets["classes"], data=pictures, views=list(BOX_VIEWS),
        scales=["36"], folders=folders(cache_dir=tmp_path / "cache"), options={"device": "cuda"},
    )  # fmt: skip
    records, waits = records_of(localisation.localise, job, tmp_path / "out", monkeypatch)
    assert len(records) == len(BOX_VIEWS) and waits["event"] > 0
    assert all("given_class_error" in record.metrics for record in records)
