"""bench: from pictures to numbers beside the published ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from click.core import ParameterSource

from vggfeat.benchmarks.options import measurement_options
from vggfeat.cli.completers import SUITES, complete_benchmarks
from vggfeat.cli.configured import command_line
from vggfeat.cli.feature_files import are_features, bench_feature_files
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import (
    Names,
    Shots,
    Size,
    declared,
    extraction_options,
    format_,
    intervals,
    out,
)
from vggfeat.cli.outcomes import show_outcomes
from vggfeat.cli.together import together
from vggfeat.errors import OptionError
from vggfeat.features.options import VectorOptions
from vggfeat.layouts.options import DataOptions
from vggfeat.options import declarations
from vggfeat.plurals import counted
from vggfeat.probes.options import ProbeOptions
from vggfeat.probes.registry import DEFAULT_PROBE, PROBES
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.storage.folders import folders

_AXES = [name for name, declaration in measurement_options().items() if declaration.sweep]


@main.command()
@click.argument("benchmarks", nargs=-1, metavar="[NAMES]...", shell_complete=complete_benchmarks)
@click.option("--all", "all_benchmarks", is_flag=True, help="Every benchmark of the paper.")
@click.option(
    "--suite",
    type=click.Choice(SUITES),
    help="Every benchmark of a list from the literature (`vggfeat ls suites`), with a table of it"
    " and what its authors average.",
)
@click.option(
    "--benchmark",
    "more_benchmarks",
    multiple=True,
    metavar="FILE.py:NAME",
    help="A dataset of your own, as a Python file defines it, or a path; repeatable.",
)
@extraction_options
@declared(VectorOptions)
@declared(DataOptions, "difficult", "num_splits", "seed")
@click.option(
    "--probe",
    "probes",
    type=click.Choice(list(PROBES)),
    multiple=True,
    default=[DEFAULT_PROBE],
    show_default=True,
    help=declarations(ProbeOptions)["probe"].help,
)
@declared(ProbeOptions, "solver")
@click.option(
    "--shots",
    "shot_counts",
    type=Shots(),
    default="all",
    help="Measure with so many training pictures a class, each number by itself, as 1,2,4,8,all;"
    " drawn anew in each split, from a single one as often as --splits says.",
)
@click.option(
    "--sweep",
    type=Names(),
    default="",
    help=f"Measure every combination along these axes: {', '.join(_AXES)}, relu.",
)
@click.option(
    "--save-probe",
    "saves_probes",
    is_flag=True,
    help="Write each probe, fitted on the first split, beside its record, for `vggfeat predict`.",
)
@click.option(
    "--labels",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV file with the columns path (or id) and label, and split if there is one: labels of"
    " features that are named instead of benchmarks.",
)
@click.option(
    "--memory",
    type=Size(),
    help="Memory that the process may take, as 800M, 8G or 8GiB: probes that need more stream"
    " vectors from a scratch file in the cache folder. By default what is free.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be done and how long it may take. Nothing is fetched or measured; archives"
    " that are there are unpacked.",
)
@intervals
@out
@format_
@together
def bench(
    benchmarks: Sequence[str],
    all_benchmarks: bool,
    suite: str | None,
    more_benchmarks: Sequence[str],
    labels: Path | None,
    dry_run: bool,
    intervals: bool,
    out: Path,
    form: str,
    workers: Workers,
    **options: Any,
) -> None:
    """Measure nets on benchmarks, beside the published numbers.

    What is missing is extracted; then probes are fitted and scored. What was measured stays.

    NAMES are benchmarks (`vggfeat datasets ls`) or pictures of your own: a folder with a folder for
    each class, maybe below train/, val/ and test/, or a CSV file with the columns path, label
    (several: a;b) and, if there is one, split. Others are taken from where they are listed, and
    measured like your own: torchvision:CLASS, hf:OWNER/NAME, each with :KEY=VALUE,... behind it.
    With --labels they are files of features that were
    made elsewhere (.npy, .npz, .h5), or folders of shards that `vggfeat extract` made, whose rows
    are found by id, or have the order of the labels.

    \b
    vggfeat bench --all
    vggfeat bench --suite kornblith12 --net resnet50 --probe logistic
    vggfeat bench caltech101 --net vgg16 --net vgg19 --net vgg16+vgg19
    vggfeat bench voc2012 --net squeezenet1_0@weights.safetensors --scales 256
    vggfeat bench caltech101 --sweep scales,aggregate
    vggfeat bench path/to/folder --net resnet50
    vggfeat bench torchvision:EMNIST:split=letters --net resnet50
    vggfeat bench hf:uoft-cs/cifar100:label_column=fine_label --net resnet50
    vggfeat bench caltech101 --net vgg16 --shots 1,2,4,8,16,all
    vggfeat bench --benchmark my_file.py:MY_DATASET
    vggfeat bench clip.npy dino.npz --labels labels.csv
    vggfeat bench caltech101 --net vgg16 --gpus 4
    vggfeat bench features.npy --labels labels.csv --probe ridge --memory 2G
    """
    _check_solver(options["probes"])
    benchmarks = [*benchmarks, *more_benchmarks]
    if are_features(benchmarks, labels):
        bench_feature_files(benchmarks, labels, dry_run, out, form, options, intervals, workers)
        return
    if not benchmarks and not all_benchmarks and not suite:
        raise click.UsageError(
            "Name a benchmark (see `vggfeat datasets ls`), a folder of yours, or give --all or"
            " --suite."
        )
    with importing():
        from vggfeat.backbones.given_names import parse_named
        from vggfeat.benchmarks import plan as planning
        from vggfeat.benchmarks.suites import suite_of

    for name in [*["paper"] * all_benchmarks, *filter(None, [suite])]:
        benchmarks = [*benchmarks, *suite_of(name).benchmarks]
    fusions, names = parse_named(options.pop("nets") or ("vgg16", "vgg19", "vgg16+vgg19"))
    job = job_of(benchmarks, fusions, options, names)
    if dry_run and workers.leads:
        num_devices = click.get_current_context().params["num_processes"] or 1
        _show(planning.Plan(job, out, num_devices))
    elif not dry_run:
        run_bench(job, out, form, options["quiet"], intervals, workers, suite)


def _show(plan: Any) -> None:
    """Print what would be done. Raises ClickException where a part of it cannot be."""
    for line in plan.lines():
        click.echo(line)
    if plan.num_impossible:
        raise click.ClickException(
            f"{counted(plan.num_impossible, 'benchmark')} cannot be measured."
        )
    if plan.impossible_nets:
        nets = ", ".join(plan.impossible_nets)
        raise click.ClickException(f"weights not here, and --offline: {nets}.")


def _check_solver(probes: Sequence[str]) -> None:
    """Raise OptionError if --solver is given, and nothing that is asked for is solved by it."""
    source = click.get_current_context().get_parameter_source("solver")
    if source is ParameterSource.COMMANDLINE and "svm" not in probes:
        raise OptionError(
            f"--solver is an option of --probe svm; got --probe {', --probe '.join(probes)}. Leave"
            " --solver out, or add --probe svm."
        )


def job_of(
    benchmarks: Sequence[str],
    nets: Sequence[tuple],
    options: dict[str, Any],
    names: Mapping[tuple, str] = MappingProxyType({}),
):
    """The parsed options as what the library takes."""
    from vggfeat.backbones.given_names import at_layers
    from vggfeat.benchmarks.bench import Job

    set_up_messages(options["quiet"])
    nets, names = at_layers(nets, names, options.pop("layers", ()))
    of_data, of_settings = declarations(DataOptions), measurement_options()
    return Job(
        benchmarks=benchmarks,
        nets=nets,
        names=names,
        folders=folders(options.get("data_dir"), options.get("cache_dir")),
        data=DataOptions(**{name: options[name] for name in of_data.keys() & options}),
        offline=options.get("offline", False),
        settings={name: options[name] for name in of_settings.keys() & options},
        probes=options.get("probes", (DEFAULT_PROBE,)),
        shots=options.get("shot_counts", (None,)),
        sweep=options.get("sweep", ()),
        saves_probes=options.get("saves_probes", False),
        memory=options.get("memory"),
        command=command_line(),
    )


def run_bench(
    job,
    out: Path,
    form: str,
    quiet: bool,
    intervals: bool = False,
    workers: Workers = ALONE,
    suite: str | None = None,
) -> None:
    """Run the job and show its records and failures."""
    from vggfeat.benchmarks.bench import bench
    from vggfeat.benchmarks.datasets.registry import definition_of

    show_outcomes(
        lambda progress: bench(job, out, progress, workers),
        "shots" if any(job.shots) else "sweep" if job.sweep else "transfer",
        published=[row for name in job.benchmarks for row in definition_of(name).published],
        out=out,
        form=form,
        quiet=quiet,
        intervals=intervals,
        suite=suite,
    )
