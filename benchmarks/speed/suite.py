"""The benchmarks of speed by name, and `run`, which `vggfeat bench-speed` calls."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from vggfeat import devices
from vggfeat.benchmarks.speed import (
    extraction,
    feeding,
    jobs,
    light,
    loading,
    plane_figure,
    planning,
    preparation,
    probes,
    quick,
    record,
    startup,
    store,
    streamed_svm,
    svm,
    svm_plane,
    training,
)
from vggfeat.benchmarks.speed.measuring import Setup, SpeedResult
from vggfeat.benchmarks.speed.record import SpeedRecord
from vggfeat.errors import OptionError, RecordError, UnknownNameError
from vggfeat.provenance import git_state
from vggfeat.storage.files import check_writable

log = logging.getLogger(__name__)

REPEATS = 5
BENCHMARKS: dict[str, Callable[..., SpeedResult]] = {
    "extraction": extraction.measure,
    "light": light.measure,
    "preparation": preparation.measure,
    "svm": svm.measure,
    "svm-plane": svm_plane.measure,
    "streamed-svm": streamed_svm.measure,
    "probes": probes.measure,
    "store": store.measure,
    "startup": startup.measure,
    "jobs": jobs.measure,
    "training": training.measure,
    "loading": loading.measure,
    "feeding": feeding.measure,
    "plan": planning.measure,
}
# The others run on the CPU.
USE_A_GPU = ("extraction", "svm", "svm-plane", "probes", "training", "loading")


def run(
    names: Sequence[str],
    out: Path,
    *,
    device: str,
    repeats: int | None = None,
    command: str,
    is_quick: bool = False,
) -> Iterator[SpeedRecord]:
    """Run these benchmarks, or all without names, yielding each record once it is on disk.

    Quick ones are those of `quick`, and replace no whole measurement. Raises UnknownNameError,
    OptionError for a device that is not there, or RecordError if `out` cannot be written or holds
    a damaged record.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise UnknownNameError("benchmark of speed", name, BENCHMARKS)
    resolved = devices.resolved(device)
    if resolved not in ("cpu", "cuda"):
        raise OptionError(f"device {device}: speed is measured on cpu or cuda.")
    repeats = repeats or (quick.REPEATS if is_quick else REPEATS)
    setups = {
        name: Setup(out, resolved if name in USE_A_GPU else "cpu", repeats)
        for name in names or (quick.NAMES if is_quick else BENCHMARKS)
    }
    arguments = {
        name: quick.arguments(name, setup.device) if is_quick else {}
        for name, setup in setups.items()
    }
    try:
        check_writable(out)
    except OSError as error:
        raise RecordError(
            f"{out}: records cannot be written there ({error.strerror}). Choose another --out."
        ) from error
    git = git_state()  # now: changes during hours of measuring do not run
    existing = record.read_all(out)  # a damaged one should not stop this after hours
    if is_quick:
        _refuse_to_replace(existing, setups, out)
    for name, setup in setups.items():
        log.info("measuring %s", name)
        began = time.monotonic()
        with TemporaryDirectory(prefix="vggfeat-speed-") as folder:
            setup = replace(setup, folder=Path(folder))
            try:
                result = BENCHMARKS[name](setup, **arguments[name])
            except BaseException:
                log.error("stopped at %s; what was measured before is in %s", name, out)
                raise
        if is_quick:
            result = replace(result, settings=result.settings | {"quick": True})
        seconds = time.monotonic() - began
        new = record.new_record(name, result, setup, command=command, git=git, seconds=seconds)
        log.info("wrote %s", record.write(new, out))
        if name == "svm-plane":
            plane_figure.write(new, out)
        yield new


def _refuse_to_replace(
    existing: Sequence[SpeedRecord], setups: Mapping[str, Setup], out: Path
) -> None:
    """Raise RecordError where a quick record would take the place of a whole one."""
    for old in existing:
        setup = setups.get(old.name)
        if setup and setup.device == old.device and not old.settings.get("quick"):
            raise RecordError(
                f"{out}: has a whole measurement of {old.name} on {old.device}, which a quick one"
                " does not replace. Choose another --out."
            )
