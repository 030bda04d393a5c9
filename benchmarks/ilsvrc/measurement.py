"""What measurements on ILSVRC share: nets used together in one view, each at its scales."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from vggfeat.backbones.network import Network
from vggfeat.benchmarks.ilsvrc.scales import Scales
from vggfeat.benchmarks.runner import Measurement
from vggfeat.records.record import path_of


@dataclass(frozen=True, kw_only=True, eq=False)
class IlsvrcMeasurement(Measurement):
    """One record of `evaluate` or `localise`, by its benchmark, nets, scales and view."""

    benchmark: ClassVar[str]
    networks: Sequence[Network]
    scales: Sequence[Scales]  # of each net
    view: str
    options: Mapping[str, Any]  # of Extraction
    out: Path = Path()
    command: str = ""

    @property
    @abstractmethod
    def key(self) -> str:
        """The key of the record: a digest of everything that decides its numbers."""

    @property
    def label(self) -> str:
        nets = "+".join(network.label for network in self.networks)
        scales = "+".join(",".join(map(str, of_net)) for of_net in self.scales)
        return f"{self.benchmark}, {nets}, {self.view} at {scales}"

    @cached_property
    def path(self) -> Path:
        nets = "+".join(network.name for network in self.networks)
        return path_of(self.out, self.benchmark, nets, self.key)
