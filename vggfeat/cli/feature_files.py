"""bench, where files of features are named instead of benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vggfeat.cli.configured import command_line
from vggfeat.cli.group import importing, set_up_messages
from vggfeat.cli.outcomes import show_outcomes
from vggfeat.errors import OptionError
from vggfeat.features.options import VectorOptions
from vggfeat.layouts.options import DataOptions
from vggfeat.options import declarations
from vggfeat.processes.workers import Workers
from vggfeat.storage.folders import folders

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".pt", ".pth", ".pkl", ".pickle", ".joblib")
SHARDS = "shards.json"  # which makes a folder one of features
# Options of bench that say something of pictures or nets, which are not there.
OF_PICTURES = (
    "nets", "layers", "all_benchmarks", "suite", "mirror", "exif", "scaled_jpeg", "background",
    "limit", "box_margin", "on_error", "precision", "dtype", "batch_size", "difficult", "sweep",
    "saves_probes",
)  # fmt: skip


def are_features(names: Sequence[str], labels: Path | None) -> bool:
    """Whether files of features are named. Raises UsageError where something else is, too."""
    features = [
        name for name in names if name.lower().endswith(SUFFIXES) or (Path(name) / SHARDS).is_file()
    ]
    others = [name for name in names if name not in features]
    if features and others:
        raise click.UsageError(
            f"{features[0]} holds features, and {others[0]} is a benchmark. Measure them one after"
            " the other."
        )
    if labels is not None and not features:
        raise click.UsageError(
            "--labels goes with files of features (.npy, .npz, .h5) or folders of shards, and none"
            " is named."
        )
    return bool(features)


def bench_feature_files(
    files: Sequence[str],
    labels: Path | None,
    dry_run: bool,
    out: Path,
    form: str,
    options: Mapping[str, Any],
    intervals: bool,
    workers: Workers,
) -> None:
    """Fit the probes to the features in these files, or say with dry_run what would be done."""
    _refuse_options_of_pictures()
    set_up_messages(options["quiet"])
    if not workers.leads:
        from vggfeat.probes.streaming.choice import streamed_fits
        from vggfeat.probes.streaming.sharded import serve

        serve(workers, streamed_fits)
        return
    with importing():
        from vggfeat.benchmarks.bench_features import bench_files, plan

    job = replace(features_job(files, labels, options), workers=workers)
    if dry_run:
        for line in plan(job, out):
            click.echo(line)
        return
    show_outcomes(
        lambda progress: bench_files(job, out, progress),
        "shots" if any(job.shots) else "transfer",
        out=out,
        form=form,
        quiet=options["quiet"],
        intervals=intervals,
    )


def features_job(files: Sequence[str], labels: Path | None, options: Mapping[str, Any]):
    """The parsed options as what the library takes."""
    from vggfeat.benchmarks.bench_features import FeaturesJob

    of_data, of_vectors = declarations(DataOptions), declarations(VectorOptions)
    combining = {name: options[name] for name in of_vectors if options[name] not in (None, False)}
    return FeaturesJob(
        files=[Path(name) for name in files],
        labels=labels,
        data=DataOptions(**{name: options[name] for name in of_data.keys() & options}),
        settings={name: options[name] for name in ("solver", "device")},
        scales=options["scales"],
        vectors=VectorOptions(**combining) if combining else None,
        probes=options["probes"],
        shots=options["shot_counts"],
        memory=options["memory"],
        scratch=folders(cache_dir=options["cache_dir"]).scratch,
        command=command_line(),
    )


def _is_stated(name: str) -> bool:
    """Whether an option stands on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE


def _refuse_options_of_pictures() -> None:
    """Raise OptionError at an option that says something of pictures or nets."""
    for parameter in click.get_current_context().command.params:
        if parameter.name in OF_PICTURES and _is_stated(parameter.name):
            raise OptionError(
                f"{parameter.opts[0]} is of pictures and nets, and these features are there"
                " already. Leave it out."
            )
