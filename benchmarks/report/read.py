"""Folders of records -> what a report is made of."""

from collections.abc import Sequence
from pathlib import Path

from vggfeat.benchmarks.comparison.facets import LocatedRecord, labels_of, located, record_paths
from vggfeat.errors import RecordError
from vggfeat.report.published import CLASSIFICATION, LOCALISATION
from vggfeat.report.results import Result, Results
from vggfeat.report.training import read_training_records


def results_in(folders: Sequence[Path], runs: Sequence[Path] = ()) -> Results:
    """The records of results folders and of folders of training runs; each record once.

    Raises RecordError if a folder is not there, holds no record, or one cannot be read.
    """
    paths: dict[tuple[str, str], Path] = {}  # a record that lies in two folders is shown once
    for folder in folders:
        if not folder.is_dir():
            raise RecordError(f"{folder}: no such results folder. `vggfeat bench` makes one.")
        of_folder = record_paths(folder)
        if not of_folder:
            raise RecordError(f"{folder}: holds no records. `vggfeat bench` makes them.")
        for path in of_folder:
            paths.setdefault((path.parent.name, path.name), path)
    records = located(list(paths.values()))
    on_ilsvrc = [r for r in records if r.record.benchmark in (CLASSIFICATION, LOCALISATION)]
    transfer = [r for r in records if r not in on_ilsvrc]
    training = [record for folder in runs for record in read_training_records(folder)]
    return Results(
        transfer=_labelled(transfer), ilsvrc=_labelled(on_ilsvrc), training=tuple(training)
    )


def _labelled(records: Sequence[LocatedRecord]) -> tuple[Result, ...]:
    """Results benchmark by benchmark, each with what tells it from the others of its benchmark."""
    results = []
    for benchmark in dict.fromkeys(r.record.benchmark for r in records):
        of_benchmark = [r for r in records if r.record.benchmark == benchmark]
        labels = labels_of(of_benchmark) if len(of_benchmark) > 1 else [_only(of_benchmark[0])]
        results += [
            Result(label=label, record=r.record, path=r.path)
            for label, r in zip(labels, of_benchmark, strict=True)
        ]
    return tuple(results)


def _only(located_record: LocatedRecord) -> str:
    return located_record.record.name or located_record.record.net
