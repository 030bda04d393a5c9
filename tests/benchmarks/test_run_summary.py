"""What a run says of each benchmark: how many records, where they lie, and notes of them."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from vggfeat.benchmarks import run_summary
from vggfeat.benchmarks.run_summary import RunSummary

DIGITS, VOC = Path("out/digits"), Path("out/voc2007")


@pytest.fixture
def said(caplog, monkeypatch):
    """The messages of a run whose measurements take 10 s each."""
    caplog.set_level(logging.INFO)
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(run_summary, "time", clock)

    def said(*measurements):
        with RunSummary() as summary:
            for path, is_new, *notes in measurements:
                summary.begin(path)
                clock.now += 10
                for note in notes:
                    summary.note(path.stem, note)
                summary.add(path, is_new=is_new)
        return caplog.messages

    return said


def test_each_benchmark_has_a_line_with_its_folder_or_its_only_record(said):
    assert said((DIGITS / "a.json", True), (DIGITS / "b.json", True), (VOC / "a.json", True)) == [
        "digits: 2 measured in 20 s: out/digits",
        "voc2007: 1 measured in 10 s: out/voc2007/a.json",
    ]


def test_what_was_there_is_counted_apart(said):
    made, found = said((DIGITS / "a.json", True), (DIGITS / "b.json", False))
    assert made == "digits: 1 measured in 20 s: out/digits/a.json"
    assert found.startswith("digits: 1 measured already: out/digits/b.json")


def test_notes_that_differ_in_numbers_alone_are_said_once(said, caplog):
    notes = [f"C = 100 was chosen in {number} of 8 classes" for number in (2, 3, 5)]
    records = [(DIGITS / f"{i}.json", True, note) for i, note in enumerate(notes)]
    first, *_ = said(*records, (DIGITS / "x.json", True, "a class is left out"))
    assert first == (
        "digits: C = 100 was chosen in 2 of 8 classes (and 2 more like it, in the records)"
    )
    assert "digits: a class is left out" in caplog.messages
    assert [r.levelname for r in caplog.records] == ["WARNING", "WARNING", "INFO"]


def test_with_details_each_note_is_said_of_its_record(said, caplog):
    caplog.set_level(logging.DEBUG)
    assert said((DIGITS / "a.json", True, "odd"))[0] == "a: odd"


def test_an_interrupted_run_says_what_it_made(caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyboardInterrupt), RunSummary() as summary:
        summary.begin(DIGITS / "a.json")
        summary.add(DIGITS / "a.json", is_new=True)
        raise KeyboardInterrupt
    assert caplog.messages[0].startswith("digits: 1 measured in ")


def test_a_run_without_measurements_says_nothing(said):
    assert said() == []
