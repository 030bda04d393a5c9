"""The published numbers are of datasets that there are, by metrics that their records have."""

import pytest

from vggfeat.benchmarks.datasets.registry import DATASETS, TAKEN
from vggfeat.benchmarks.single_label import METRICS
from vggfeat.metrics import AP_RULES
from vggfeat.report.published import read_published

ROWS = read_published()
LATER = [row for row in ROWS if row.kind == "later"]
WITH_ROWS = [d for d in DATASETS if any(row.benchmark == d.name for row in LATER)]


def test_every_number_is_of_a_known_benchmark():
    assert {row.benchmark for row in ROWS} <= TAKEN


@pytest.mark.parametrize("definition", WITH_ROWS, ids=lambda definition: definition.name)
def test_later_numbers_are_of_the_same_metric_pictures_and_classes(definition):
    """Otherwise none could be compared with. EuroSAT has no official split: none is."""
    of_it = [row for row in LATER if row.benchmark == definition.name]
    assert {row.metric for row in of_it} <= {*METRICS, *AP_RULES, "map"}
    if definition.protocol.metric in METRICS:
        assert {row.metric for row in of_it} == {definition.protocol.metric}
    images = {int(row.images) for row in of_it if row.images}
    assert images <= ({15_000} if definition.name == "eurosat" else {definition.num_pictures})
    assert len({row.classes for row in of_it if row.classes}) <= 1
