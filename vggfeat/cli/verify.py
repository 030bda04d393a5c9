"""verify: whether files are as they were written, and whether a record's chain holds."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import cache_dir, data_dir, quiet
from vggfeat.errors import StoreError, VggfeatError, WeightsError, in_one_line, printable
from vggfeat.progress import no_progress
from vggfeat.storage.folders import folders

PROGRAMS = (".pt", ".pth", ".pt2", ".torchscript")  # what may hold a net as a program


@main.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATHS...",
    type=click.Path(exists=True, path_type=Path),
)
@click.option(
    "--repair",
    is_flag=True,
    help="Have damaged rows of feature files extracted again at their next use; put aside feature"
    " files that cannot be read.",
)
@data_dir
@cache_dir
@quiet
def verify(paths: Sequence[Path], repair: bool, quiet: bool, **places: Path | None) -> None:
    """See that files are as they were written, by their checksums.

    PATHS are feature files, records and their scores, weights, checkpoints, predictions, archives;
    folders with all of these in them. What has no checksum is compared with the digest that was
    seen first. Of a record named by itself the whole chain is followed: weights, pictures, splits,
    descriptors, scores, metrics; some descriptors are computed again. Exit status 1 if anything is
    damaged.

    \b
    vggfeat verify results/caltech101/vgg16-0123456789abcdef.json --data-dir DATA
    vggfeat verify results runs
    vggfeat verify --repair ~/.cache/vggfeat/features
    """
    set_up_messages(quiet)
    with importing():
        from vggfeat.benchmarks import verify as verification

    num_damaged = num_files = 0
    for path in paths:
        files = verification.files_below(path) if path.is_dir() else [path]
        for file in files:
            if isinstance(file, verification.Finding):  # a folder that cannot be read
                click.echo(printable(str(file), one_line=True))
                continue
            num_files += 1
            found = verification.findings(file, repair=repair)
            if file is path and (record := verification.read_record(file)):
                found = [*found, *_chain(record, file, places)]
            found = list(found)
            num_damaged += any(finding.status == "damaged" for finding in found)
            for finding in found:
                click.echo(printable(str(finding), one_line=True))
    if num_damaged:
        raise click.ClickException(f"damage in {num_damaged} of the files verified ({num_files}).")
    if not num_files:
        raise click.ClickException("there is no file here of a kind that can be verified.")
    click.echo(f"no damage in the files verified ({num_files})", err=True)


def _chain(record: Any, path: Path, places: dict[str, Path | None]) -> Iterator[Any]:
    """What is to be said of all that a record was made from."""
    from vggfeat.benchmarks import chain
    from vggfeat.benchmarks.verify import Finding

    try:
        measurements, cache = _planned(record, path, places)
        measurement = chain.planned(measurements, record)
        if measurement is None:
            yield chain.unplanned(record, measurements, path)
            return
        yield Finding(path, "sound", measurement.ingredients + " have its key")
        yield from chain.feature_findings(record, measurement, cache)
    except (VggfeatError, OSError) as error:
        is_there = isinstance(error, WeightsError | StoreError) and "no such" not in str(error)
        status = "damaged" if is_there else "not checked"
        yield Finding(path, status, f"its chain: {in_one_line(error)}")


def _planned(record: Any, path: Path, places: dict[str, Path | None]) -> tuple[list, Path]:
    """The measurements of the record's command, and the folder of their feature files.

    A command is parsed and never run; one that names code of the user's is not followed.
    """
    from vggfeat.errors import RecordError

    try:
        words = shlex.split(record.command)
    except ValueError:  # a quotation without an end
        words = []
    makers = {"bench": _bench_measurements, "evaluate": _evaluate_measurements}
    if words[:1] != ["vggfeat"] or len(words) < 2 or words[1] not in makers:
        raise RecordError(f"{record.command!r} is no command that can be followed")
    command = main.commands[words[1]]
    try:
        options = command.make_context(words[1], words[2:]).params
    except (click.ClickException, click.exceptions.Exit) as error:
        raise RecordError(f"{record.command!r} is not understood") from error
    options |= {name: place for name, place in places.items() if place} | {"offline": True}
    options["quiet"] = True
    # As it was measured, whatever this machine would choose.
    if precision := _precision(record):
        options["precision"] = precision
    measurements = makers[words[1]](record, options, path.parent.parent)
    return measurements, folders(cache_dir=options.get("cache_dir")).features


def _precision(record: Any) -> str | None:
    """The precision that the record's vectors were computed in."""
    for net in record.nets:
        for facts in (net.get("features"), *(net.get("posteriors") or ())):
            if isinstance(facts, dict) and isinstance(facts.get("precision"), str):
                return facts["precision"]
    return None


def _specs(options: dict[str, Any], usual: Sequence[str]) -> list:
    from vggfeat.backbones.given_names import parse_named
    from vggfeat.errors import RecordError

    fusions, _ = parse_named(options.pop("nets") or usual)
    for spec in (spec for fusion in fusions for spec in fusion):
        if spec.is_factory or (spec.is_file and Path(spec.weights).suffix.lower() in PROGRAMS):
            raise RecordError(f"{spec}: a net of your own is code, which is not run for a record")
    return fusions


def _bench_measurements(record: Any, options: dict[str, Any], out: Path) -> list:
    from vggfeat.cli.feature_files import are_features

    if are_features(options["benchmarks"], options["labels"]):
        return _features_measurements(record, options, out)
    from vggfeat.benchmarks.bench import load_networks, measurements
    from vggfeat.cli.bench import job_of

    benchmark = _benchmark_of(record, options)
    fusions = _specs(options, ("vgg16", "vgg19", "vgg16+vgg19"))
    of_run = ("benchmarks", "all_benchmarks", "suite", "more_benchmarks", "dry_run", "out", "form")
    for name in of_run:
        options.pop(name)
    job = job_of([benchmark], fusions, options)
    return measurements(job, benchmark, load_networks(job), out, no_progress)


def _benchmark_of(record: Any, options: dict[str, Any]) -> str:
    """The record's benchmark, by its name or by the path in the command. Raises RecordError."""
    from vggfeat.benchmarks.datasets.registry import DATASETS, names_of
    from vggfeat.benchmarks.datasets.user_file import is_user_file
    from vggfeat.errors import RecordError

    if record.benchmark in {definition.name for definition in DATASETS}:
        return record.benchmark
    named = (*options["benchmarks"], *options["more_benchmarks"])
    if not record.protocol.get("own") or any(map(is_user_file, named)):
        raise RecordError(f"{record.benchmark}: a file of yours, which is not run for a record")
    if record.benchmark not in names_of(named):
        raise RecordError(f"{record.benchmark}: not named by {record.command!r}")
    return record.benchmark


def _features_measurements(record: Any, options: dict[str, Any], out: Path) -> list:
    from vggfeat.benchmarks.bench_features import planned
    from vggfeat.cli.feature_files import features_job

    job = features_job(options["benchmarks"], options["labels"], options)
    return planned(job, record.net, out)


def _evaluate_measurements(record: Any, options: dict[str, Any], out: Path) -> list:
    from vggfeat.benchmarks.ilsvrc.classification import measurements
    from vggfeat.cli.evaluate import job_of
    from vggfeat.errors import RecordError

    if options["predictions"]:
        raise RecordError("it was made of saved predictions: verify these files")
    fusions = _specs(options, ("vgg16", "vgg19", "vgg16+vgg19"))
    return measurements(job_of(fusions, options | {"save": None}), out)
