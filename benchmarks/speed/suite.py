"""The benchmarks of speed by name, and `run`, which `vggfeat bench-speed` calls."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vggfeat import devices
from vggfeat.benchmarks.speed import (
    extraction,
    light,
    preparation,
    probes,
    record,
    startup,
    store,
    svm,
    training,
)
from vggfeat.benchmarks.speed.measuring import Setup, SpeedResult
from vggfeat.benchmarks.speed.record import SpeedRecord
from vggfeat.errors import RecordError, UnknownNameError
from vggfeat.provenance import git_state
from vggfeat.storage.files import check_writable

log = logging.getLogger(__name__)

BENCHMARKS: dict[str, Callable[[Setup], SpeedResult]] = {
    "extraction": extraction.measure,
    "light": light.measure,
    "preparation": preparation.measure,
    "svm": svm.measure,
    "probes": probes.measure,
    "store": store.measure,
    "startup": startup.measure,
    "training": training.measure,
}
USE_A_GPU = ("extraction", "svm", "probes", "training")  # the others run on the CPU


def run(
    names: Sequence[str], out: Path, *, device: str, repeats: int, command: str
) -> Iterator[SpeedRecord]:
    """Run these benchmarks, or all without names, yielding each record once it is on disk.

    Raises UnknownNameError, OptionError for a device that is not there, or RecordError if `out`
    cannot be written or holds a damaged record.
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
    git = git_state()  # now: changes during hours of measuring do not run
    record.read_all(out)  # a damaged one should not stop this after hours
    for name in dict.fromkeys(names or BENCHMARKS):
        log.info("measuring %s", name)
        began = time.monotonic()
        with TemporaryDirectory(prefix="vggfeat-speed-") as folder:
            setup = Setup(Path(folder), resolved if name in USE_A_GPU else "cpu", repeats)
            result = BENCHMARKS[name](setup)
        seconds = time.monotonic() - began
        new = record.new_record(name, result, setup, command=command, git=git, seconds=seconds)
        log.info("wrote %s", record.write(new, out))
        yield new
