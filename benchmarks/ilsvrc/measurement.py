"""What is to be measured on ILSVRC: nets used together, the scales of each, a view."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vggfeat.backbones.network import Network
from vggfeat.benchmarks.ilsvrc.scales import Scales, used_together
from vggfeat.records import record as records
from vggfeat.records.record import Record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurement:
    """One number of a grid."""

    networks: Sequence[Network]
    scales: Sequence[Scales]
    view: str

    @property
    def net(self) -> str:
        """The nets without their weights, as in a record."""
        return "+".join(network.name for network in self.networks)


def every(
    fusions: Sequence[Sequence[Network]], scales: Sequence[str], views: Sequence[str]
) -> list[Measurement]:
    """Every fusion at every list of scales in every view. Raises OptionError."""
    return [
        Measurement(*used_together(text, networks), view)
        for networks in fusions
        for text in scales
        for view in views
    ]


def each_once(
    grid: Sequence[Measurement],
    key_of: Callable[[Measurement], str],
    out: Path,
    benchmark: str,
    *,
    may_skip: bool,
) -> Iterator[tuple[Measurement, str, Path, Record | None]]:
    """Each measurement once, however it is asked for: its key, the path of its record, the record.

    The record is None if it is to be made, see records.made. Raises RecordError.
    """
    for key, measurement in {key_of(one): one for one in grid}.items():
        path = records.path_of(out, benchmark, measurement.net, key)
        record = records.find_record(path, may_skip=may_skip)
        if record:
            log.info("measured already: %s (move it away to measure again)", path)
        yield measurement, key, path, record
