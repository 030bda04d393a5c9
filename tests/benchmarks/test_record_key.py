"""Keys of records: what decides a number changes its key."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import NARROW

from vggfeat import load_network
from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.benchmarks.transfer import TransferMeasurement

BENCHMARK = Benchmark(
    name="toy",
    title="Toy",
    version=1,
    classes=("a", "b"),
    pictures={f"{n}.png": Path(f"{n}.png") for n in range(6)},
    labels=np.array([[1, -1], [-1, 1]] * 3, dtype=np.int8),
    splits=(Split(train=np.array([0, 1]), validation=np.array([2, 3]), test=np.array([4, 5])),),
    sets={},
    scales=(32,),
    aggregate="average",
    task=SingleLabel(),
)


@pytest.mark.parametrize("probe", ["svm", "centroid"])
def test_the_metric_is_in_the_key_whether_or_not_something_is_chosen_by_it(probe):
    network = load_network(NARROW)

    def key(metric):
        benchmark = replace(BENCHMARK, task=SingleLabel(metric=metric))
        settings = benchmark.settings(probe=probe)
        measurement = TransferMeasurement(
            benchmark=benchmark, networks=[network], settings=settings
        )
        return measurement.key

    assert key("accuracy") != key("mean_class_recall") == key("mean_class_recall")
