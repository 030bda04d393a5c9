"""The runner: features first, each record once it is known, failures that stop nothing else."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers.records import make_record

from vggfeat.benchmarks.runner import Failure, Measurement, run
from vggfeat.errors import PictureError
from vggfeat.features.requests import FeatureSets
from vggfeat.records import record as records
from vggfeat.records.scores import Scores, read_scores, scores_path


@dataclass(eq=False)
class Made(Measurement):
    """A measurement whose record is made of nothing, or that fails."""

    out: Path
    key: str
    error: Exception | None = None
    late_error: Exception | None = None
    supplement: str = "the supplement"
    may_skip: bool = False
    num_made: int = 0

    @property
    def label(self):
        return f"measurement {self.key}"

    @property
    def path(self):
        return records.path_of(self.out, "caltech101", "vgg16", self.key)

    def requests(self):
        return []

    def measure(self, features, progress):
        self.num_made += 1
        if self.error:
            raise self.error
        one = np.ones((1, 1))
        scores = Scores(ids=["a"], splits=np.zeros(1), labels=one, scores=one, classes=["k"])
        return make_record(key=self.key), scores

    def finish(self, features, progress):
        if self.late_error:
            raise self.late_error


def outcomes(tmp_path, *measurements):
    return list(run(measurements, FeatureSets(tmp_path / "features"), lambda *_: None))


def test_records_and_scores_are_on_disk_when_they_are_yielded(tmp_path):
    measurement = Made(tmp_path, "0" * 16)
    (record,) = outcomes(tmp_path, measurement)
    assert records.read(measurement.path) == record
    assert read_scores(scores_path(measurement.path), record.scores_sha256).ids == ("a",)


def test_what_is_measured_already_is_not_measured_again(tmp_path):
    first, second = Made(tmp_path, "0" * 16), Made(tmp_path, "0" * 16)
    assert outcomes(tmp_path, first) == outcomes(tmp_path, second)
    assert (first.num_made, second.num_made) == (1, 0)


def test_vectors_of_records_that_are_made_again_are_gathered_too(tmp_path):
    """A record that skipped pictures is there, but not complete; a damaged one is a failure."""
    whole, again, damaged = (Made(tmp_path, f"{n}" * 16) for n in range(3))
    records.write(make_record(key=whole.key), tmp_path)
    records.write(make_record(key=again.key, skipped={"a.jpg": "broken"}), tmp_path)
    damaged.path.write_text("{")
    gathered = []
    for measurement in (whole, again, damaged):
        measurement.requests = lambda key=measurement.key: gathered.append(key) or []
    *_, failed = outcomes(tmp_path, whole, again, damaged)
    assert gathered == [again.key]
    assert isinstance(failed, Failure) and "not a JSON file" in failed.reason


def test_an_error_in_what_a_measurement_needs_is_a_failure_of_its_own(tmp_path):
    class Odd(Made):
        def requests(self):
            raise ValueError("odd")

        def measure(self, features, progress):
            return self.requests()

    failed, record = outcomes(tmp_path, Odd(tmp_path, "1" * 16), Made(tmp_path, "2" * 16))
    assert "unexpected ValueError: odd" in failed.reason and record.key == "2" * 16


def test_a_record_without_scores_stays_valid(tmp_path):
    """As those of before scores were kept."""
    records.write(make_record(key="0" * 16), tmp_path)
    (record,) = outcomes(tmp_path, Made(tmp_path, "0" * 16))
    assert record.scores_sha256 is None
    assert "scores_sha256" not in records.to_json(record)


def test_failures_do_not_stop_the_others(tmp_path):
    found = outcomes(
        tmp_path,
        Failure("a benchmark", "could not be loaded"),
        Made(tmp_path, "1" * 16, error=PictureError("a.jpg: broken.")),
        Made(tmp_path, "2" * 16, late_error=OSError(28, "No space left on device", "b.tar")),
        Made(tmp_path, "3" * 16),
    )
    assert [type(item).__name__ for item in found] == [
        "Failure", "Failure", "Record", "Failure", "Record"
    ]  # fmt: skip
    assert found[1] == Failure(f"measurement {'1' * 16}", "a.jpg: broken.")
    assert found[3].label == f"measurement {'2' * 16}, the supplement"
    assert found[3].reason.startswith("No space left on device: b.tar.")


@pytest.mark.parametrize("is_debugging", [False, True])
def test_the_traceback_of_an_unexpected_error_is_for_those_who_debug(
    tmp_path, caplog, is_debugging
):
    caplog.set_level(logging.DEBUG if is_debugging else logging.INFO, "vggfeat")
    (failure,) = outcomes(tmp_path, Made(tmp_path, "1" * 16, error=ValueError("odd\nlines")))
    assert failure.reason.startswith("unexpected ValueError: odd. This is a bug")
    assert ("Traceback" in caplog.text) == is_debugging
