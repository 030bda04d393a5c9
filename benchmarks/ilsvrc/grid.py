"""The grid that is measured: every fusion of nets at every list of scales in every view."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vggfeat.backbones.network import Network
from vggfeat.benchmarks.ilsvrc.scales import Scales, used_together


@dataclass(frozen=True)
class Cell:
    """Nets used together, the scales of each, and the view."""

    networks: Sequence[Network]
    scales: Sequence[Scales]
    view: str


def cells(
    fusions: Sequence[Sequence[Network]], scales: Sequence[str], views: Sequence[str]
) -> Iterator[Cell]:
    """Every fusion at every list of scales in every view. Raises OptionError."""
    for networks in fusions:
        for text in scales:
            for view in views:
                yield Cell(*used_together(text, networks), view)
