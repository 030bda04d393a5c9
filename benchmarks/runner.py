"""The one runner of `bench`, `evaluate` and `localise`: features first, then measure.

A `Measurement` is one record that is to be made, or is there. It says which vectors it needs, and
makes its record and the scores of its examples of them. `run` gathers the requests of all of them,
so that each picture goes through a net once, writes every record the moment it is known, and goes
on after a failure. Of several processes all extract what is missing; then the leading one runs
alone.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from vggfeat.backbones.network import Network
from vggfeat.benchmarks.given_names import NamesOfNetworks, identity_of, with_name
from vggfeat.benchmarks.run_summary import RunSummary
from vggfeat.errors import VggfeatError, in_one_line, reason_of
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.probes.streaming.choice import streamed_fits
from vggfeat.probes.streaming.sharded import end, serve
from vggfeat.progress import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.records.scores import Scores, scores_path, write_scores
from vggfeat.storage.locks import exclusive

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A benchmark or a measurement that could not be made, and why in one line."""

    label: str
    reason: str


class Measurement(ABC):
    """One record that is to be made, or is there."""

    label: str  # benchmark and nets, as a failure names them
    out: Path  # the folder of records
    path: Path  # where in it its record lies or will lie
    may_skip: bool  # whether a record that skipped pictures is complete
    networks: Sequence[Network] = ()  # that are used together, if it is of nets
    known_notes: Sequence[str] = ()  # notes of the record that were logged when the data was loaded
    ingredients: str = "weights, pictures, splits and settings"  # what its key is made of, in words
    supplement: str = ""  # what `finish` makes, as a failure names it

    @abstractmethod
    def requests(self) -> Sequence[FeatureRequest]:
        """The vectors that it needs."""

    def extractions(self, *, made_too: bool) -> Sequence[FeatureRequest]:
        """The requests that it will extract by, in their order: of what is not made yet, or all."""
        return self.requests() if made_too or self.existing() is None else []

    @abstractmethod
    def measure(self, features: FeatureSets, progress: Progress) -> tuple[Record, Scores | None]:
        """Its record, and the scores of its test examples. Raises VggfeatError or OSError."""

    def finish(self, features: FeatureSets, progress: Progress) -> None:  # noqa: B027
        """Make what belongs beside the record, such as an archive for an evaluation server."""

    def existing(self) -> Record | None:
        """Its record, unless that skipped pictures and none shall be. Raises RecordError."""
        return records.find_record(self.path, may_skip=self.may_skip)

    def check_existing(self, record: Record) -> None:  # noqa: B027
        """Raise VggfeatError if the record is of other pictures than there are now."""


def run(
    measurements: Sequence[Measurement | Failure],
    features: FeatureSets,
    progress: Progress,
    names: NamesOfNetworks = MappingProxyType({}),
) -> Iterator[Record | Failure]:
    """Make every record that is not there yet, yielding each once it is on disk.

    A measurement that fails is yielded as a Failure and does not stop the others. Records get the
    names that the user gave their nets. A process that does not lead yields nothing: it extracts
    its share, and fits its classes of probes whose vectors stream from disk.
    """
    leads = features.workers.leads
    for measurement in measurements:
        with suppress(Exception):  # which is a failure when its turn comes
            if isinstance(measurement, Measurement) and (not leads or _uses_features(measurement)):
                features.gather(measurement.requests())
    if features.workers.size > 1:
        features.extract_together(_extractions(measurements, made_too=not leads))
    if not leads:
        serve(features.workers, streamed_fits)
        return
    try:
        yield from _all_outcomes(measurements, features, progress, names)
    finally:
        end(features.workers)


def _all_outcomes(
    measurements: Sequence[Measurement | Failure],
    features: FeatureSets,
    progress: Progress,
    names: NamesOfNetworks,
) -> Iterator[Record | Failure]:
    """What comes of each measurement, in their order."""
    with RunSummary() as summary:
        for measurement in measurements:
            if isinstance(measurement, Failure):
                yield measurement
            else:
                summary.begin(measurement.path)
                name = names.get(identity_of(measurement.networks), "")
                yield from _outcomes(measurement, features, progress, summary, name)


def _extractions(
    measurements: Sequence[Measurement | Failure], *, made_too: bool
) -> list[FeatureRequest]:
    """The requests that measurements will extract by, in their order."""
    requests: list[FeatureRequest] = []
    for measurement in measurements:
        with suppress(Exception):
            if isinstance(measurement, Measurement):
                requests += measurement.extractions(made_too=made_too)
    return requests


def _uses_features(measurement: Measurement) -> bool:
    """Whether its record is to be made, or left out pictures, so that its files are not complete.

    What a resumed run asks for then lies in the files of the first run, with the same scales.
    """
    record = measurement.existing()
    return record is None or bool(record.skipped)


def failure(label: str, error: Exception) -> Failure:
    """An error in one line. An unexpected one must not stop the other measurements, either."""
    if isinstance(error, VggfeatError | OSError):
        return Failure(label, in_one_line(error))
    if isinstance(error, MemoryError):
        return Failure(
            label, "not enough memory. Use fewer scales, or average them instead of stacking."
        )
    log.debug("%s: unexpected error", label, exc_info=error)  # shown by --debug
    reason = f"unexpected {type(error).__name__}: {reason_of(error)}. This is a bug; report it"
    return Failure(label, f"{reason} with what --debug shows.")


def _outcomes(
    measurement: Measurement,
    features: FeatureSets,
    progress: Progress,
    summary: RunSummary,
    name: str,
) -> Iterator[Record | Failure]:
    """The record, once it is on disk; a failure if that or its supplement fails."""
    try:
        record = _record(measurement, features, progress, summary, name)
    except Exception as error:
        yield failure(measurement.label, error)
        return
    yield record
    try:
        measurement.finish(features, progress)
    except Exception as error:
        yield failure(f"{measurement.label}, {measurement.supplement}", error)


def _record(
    measurement: Measurement,
    features: FeatureSets,
    progress: Progress,
    summary: RunSummary,
    name: str,
) -> Record:
    """The record, from disk if it was made before; its scores are written first."""
    if record := measurement.existing():
        measurement.check_existing(record)
        log.debug("measured already: %s", measurement.path)
        summary.add(measurement.path, is_new=False)
        return with_name(record, name, measurement.out, is_new=False)
    # Scores and record belong together, so nobody else makes them meanwhile.
    with exclusive(measurement.path):
        if record := measurement.existing():
            log.debug("measured meanwhile by another process: %s", measurement.path)
            summary.add(measurement.path, is_new=False)
            return with_name(record, name, measurement.out, is_new=False)
        record, scores = measurement.measure(features, progress)
        record = with_name(record, name, measurement.out, is_new=True)
        if scores is not None:
            digest = write_scores(scores_path(measurement.path), scores)
            record = replace(record, scores_sha256=digest)
        log.debug("wrote %s", records.write(record, measurement.out))
        summary.add(measurement.path, is_new=True)
    if record.timing:
        log.debug("timing: %s", record.timing)
    for note in (*record.notes, *record.remarks):
        if note not in measurement.known_notes:
            summary.note(measurement.label, note)
    return record
