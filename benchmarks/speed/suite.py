"""The benchmarks of speed by name, and what `vggfeat bench-speed` does."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vggfeat import devices
from vggfeat.benchmarks.speed import (
    extraction,
    preparation,
    record,
    startup,
    store,
    svm,
    training,
)
from vggfeat.benchmarks.speed.measuring import Asked, Measured
from vggfeat.benchmarks.speed.record import SpeedRecord
from vggfeat.errors import RecordError, UnknownNameError
from vggfeat.provenance import git_state
from vggfeat.storage.files import check_writable

log = logging.getLogger(__name__)

BENCHMARKS: dict[str, Callable[[Asked], Measured]] = {
    "extraction": extraction.measure,
    "preparation": preparation.measure,
    "svm": svm.measure,
    "store": store.measure,
    "startup": startup.measure,
    "training": training.measure,
}
USE_A_GPU = ("extraction", "svm", "training")  # the others measure what a CPU does


def run(
    names: Sequence[str], out: Path, *, device: str, repeats: int, command: str
) -> Iterator[SpeedRecord]:
    """Measure these benchmarks, all without names, yielding each record once it is on disk.

    Raises UnknownNameError, OptionError at a device that is not there, or RecordError at an `out`
    that cannot be written or has a damaged record.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise UnknownNameError("benchmark of speed", name, BENCHMARKS)
    resolved = devices.resolved(device)
    try:
        check_writable(out)
    except OSError as error:
        raise RecordError(
            f"{out}: records cannot be written there ({error.strerror}). Choose another --out."
        ) from error
    git = git_state()  # now: what is changed during hours of measuring does not run
    record.read_all(out)  # a damaged one is better known now than after hours
    for name in dict.fromkeys(names or BENCHMARKS):
        log.info("measuring %s", name)
        began = time.monotonic()
        with TemporaryDirectory(prefix="vggfeat-speed-") as folder:
            asked = Asked(Path(folder), resolved if name in USE_A_GPU else "cpu", repeats)
            measured = BENCHMARKS[name](asked)
        seconds = time.monotonic() - began
        found = record.made(name, measured, asked, command=command, git=git, seconds=seconds)
        log.info("wrote %s", record.write(found, out))
        yield found
