"""A record as a measurement by the paper's protocol would leave it, to be varied by tests."""

from dataclasses import replace

from vggfeat.records import Record

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
