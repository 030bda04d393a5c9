"""Every probe on a benchmark of several labels; tests/cli/test_probes.py has single labels."""

import numpy as np
import pytest
from helpers.pictures import NARROW

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.errors import DatasetError
from vggfeat.layouts.options import DataOptions
from vggfeat.probes.registry import PROBES, load_probe
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    options = DataOptions(num_splits=1, limit=12)
    places = Folders(folder, folder)
    return load_benchmark("synthetic_scenes", options=options, places=places, offline=True), folder


@pytest.mark.parametrize("name", PROBES)
def test_each_class_has_a_choice_of_its_own(scenes, name):
    benchmark, folder = scenes
    settings = benchmark.settings(scales=(32,), probe=name)
    record = benchmark.run([load_network(NARROW)], settings, folder=folder)
    assert 0 < record.metrics[record.metric]["value"] <= 1
    assert record.probe["difficult_in_training"] == "ignore"
    hyperparameter = load_probe(name).hyperparameter.lower()
    if not hyperparameter:
        assert "validation" not in record.probe
        return
    (chosen,) = record.probe[hyperparameter]
    assert set(chosen) <= set(benchmark.classes)
    assert set(chosen.values()) <= set(record.probe[f"{hyperparameter}_grid"])


def labelled(signs):
    """Vectors, labels [n, K] and a split: half validates, all is tested."""
    n = len(signs)
    rows = np.arange(n)
    vectors = np.random.default_rng(0).normal(size=(n, 5))
    split = Split(train=rows[: n // 2], validation=rows[n // 2 :], test=rows)
    return vectors, np.array(signs), split


def test_a_probe_with_nothing_to_choose_needs_no_positive_to_validate_on():
    vectors, labels, split = labelled([[1, -1], [-1, 1]] + [[-1, -1]] * 4)
    task, classes = MultiLabel(metric="map_area"), ["a", "b"]
    with pytest.raises(DatasetError, match="k can be chosen for 2 of 2 classes"):
        task.fit(vectors, labels, split, classes=classes, probe=load_probe("knn"))
    fitted = task.fit(vectors, labels, split, classes=classes, probe=load_probe("centroid"))
    assert fitted.chosen is None and not fitted.borrowed and fitted.trained.all()
    with pytest.raises(DatasetError, match="no class has positive and negative pictures"):
        nothing = -np.ones_like(labels)
        task.fit(vectors, nothing, split, classes=classes, probe=load_probe("centroid"))
