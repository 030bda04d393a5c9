"""The page on more benchmarks says of each what its definition says."""

import re
from pathlib import Path

import pytest

from vggfeat.benchmarks.datasets.registry import DATASETS
from vggfeat.benchmarks.scales import OfInput

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "more-benchmarks.md").read_text()
MORE = {d.name: d for d in DATASETS if not d.in_paper and hasattr(d.protocol, "splits")}


def rows() -> dict[str, str]:
    """Each benchmark's line of the page's first table."""
    lines = [line for line in PAGE.split("##")[0].splitlines() if line.startswith("| `")]
    return {name: line for line in lines for name in re.findall(r"`(\w+)`", line.split("|")[1])}


@pytest.mark.parametrize("name", MORE)
def test_metric_and_counts_are_those_of_the_definition(name):
    definition, line = MORE[name], rows()[name]
    assert definition.protocol.metric.replace("_", " ") in line
    for of_set in definition.known_counts:
        assert f"{of_set.total:,}" in line, of_set.set


@pytest.mark.parametrize("name", MORE)
def test_small_pictures_are_those_whose_scale_follows_the_net(name):
    section = PAGE.split("## Small pictures")[1]
    named = section[: section.index(" are smaller")].replace("-", "").replace(" and", ",")
    is_small = any(name.startswith(word.strip().lower()) for word in named.split(","))
    assert MORE[name].scales == (OfInput(1.0) if is_small else (256,))
