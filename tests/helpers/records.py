"""Records as measurements by the paper's protocol would leave them, to be varied by tests."""

from dataclasses import replace

from vggfeat.records.record import Record

PAPER_PROTOCOL = {
    "version": 1,
    "classes": 102,
    "train_per_class": 30,
    "test_per_class": 50,
    "splits": 3,
    "images": 9144,
    "scales": [256, 384, 512],
    "aggregate": "stack",
    "mirror": True,
    "classifier": "linear SVM",
}


def make_record(**changes) -> Record:
    record = Record(
        schema_version=1,
        key="0123456789abcdef",
        benchmark="caltech101",
        title="Caltech-101",
        protocol=PAPER_PROTOCOL,
        splits_sha256="",
        nets=[{"name": "vgg16", "weights": "released Caffe model", "weights_sha256": "ab"}],
        probe={},
        metric="mean_class_recall",
        metrics={"mean_class_recall": {"value": 0.9182, "spread": 0.011}},
        n_train=[3060] * 3,
        n_test=[2995] * 3,
        skipped={},
        notes=[],
        limited=False,
        seconds={},
        versions={},
        hardware={},
        git=None,
        command="vggfeat bench caltech101",
        time="2026-01-01T00:00:00+00:00",
    )
    return replace(record, **changes)


def transfer_net(name="vgg16", weights="released Caffe model"):
    """What a record of a transfer benchmark says of a net."""
    return {"name": name, "weights": weights, "weights_sha256": "ab"}


def net(name="vgg16", s="256", scales=(256,), **changes):
    """What a record on ILSVRC says of a net."""
    weights = f"{name.partition(':')[0]}-{s}.safetensors"
    return {
        "name": name, "weights": weights, "weights_sha256": "ab", "train_scale": s,
        "scales": list(scales), "images_per_s": {},
    } | changes  # fmt: skip


def errors(**values):
    return {
        name: {"value": value, "spread": None, "per_split": [value], "per_class": {}}
        for name, value in values.items()
    }


def classified(*nets, view="dense", top1=0.267, top5=0.086, protocol=(), **changes):
    """A record of `evaluate`."""
    ilsvrc = {"version": 1, "view": view, "classes": 1000, "images": 50_000, "set": "val"}
    values = {
        "benchmark": "ilsvrc_classification", "title": "ILSVRC-2012", "nets": list(nets or [net()]),
        "protocol": ilsvrc | dict(protocol), "metric": "top1_error",
        "metrics": errors(top1_error=top1, top5_error=top5),
    }  # fmt: skip
    return make_record(**values | changes)
