"""bench and extract: from pictures to numbers beside the published ones."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vggfeat.benchmarks.options import measurement_options
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import (
    Names,
    declared,
    extraction_options,
    format_,
    out,
)
from vggfeat.cli.outcomes import show_outcomes
from vggfeat.cli.progress import ProgressDisplay
from vggfeat.errors import OptionError
from vggfeat.features.options import VectorOptions
from vggfeat.layouts.options import DataOptions
from vggfeat.options import declarations
from vggfeat.probes.options import ProbeOptions
from vggfeat.probes.registry import DEFAULT_PROBE, PROBES
from vggfeat.storage.folders import folders

_AXES = [name for name, declaration in measurement_options().items() if declaration.sweep]


@main.command()
@click.argument("benchmarks", nargs=-1, metavar="[NAMES]...")
@click.option("--all", "all_benchmarks", is_flag=True, help="Every benchmark of the paper.")
@click.option(
    "--benchmark",
    "more_benchmarks",
    multiple=True,
    metavar="FILE.py:NAME",
    help="A dataset of your own, as a Python file defines it; repeatable.",
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
    "--sweep",
    type=Names(),
    default="",
    help=f"Measure every combination along these axes: {', '.join(_AXES)}, relu.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be done and how long it may take. Nothing is fetched or measured; archives"
    " that are there are unpacked.",
)
@out
@format_
def bench(
    benchmarks: Sequence[str],
    all_benchmarks: bool,
    more_benchmarks: Sequence[str],
    dry_run: bool,
    out: Path,
    form: str,
    **options: Any,
) -> None:
    """Measure nets on benchmarks: extract what is missing, fit, score, tabulate.

    \b
    vggfeat bench --all
    vggfeat bench caltech101 --net vgg16 --net vgg19 --net vgg16+vgg19
    vggfeat bench voc2012 --net squeezenet1_0@weights.safetensors --scales 256
    vggfeat bench caltech101 --sweep scales,aggregate
    vggfeat bench --benchmark my_file.py:MY_DATASET
    """
    _check_solver(options["probes"])
    benchmarks = [*benchmarks, *more_benchmarks]
    if not benchmarks and not all_benchmarks:
        raise click.UsageError("Name a benchmark (see `vggfeat datasets ls`) or give --all.")
    with importing():
        from vggfeat.backbones.spec import parse_fusion
        from vggfeat.benchmarks import plan as planning
        from vggfeat.benchmarks.datasets import registry

    if all_benchmarks:
        benchmarks = [*benchmarks, *registry.names_in_paper()]
    nets = options.pop("nets") or ("vgg16", "vgg19", "vgg16+vgg19")
    job = job_of(benchmarks, [parse_fusion(net) for net in nets], options)
    if dry_run:
        plan = planning.Plan(job, out)
        for line in plan.lines():
            click.echo(line)
        if plan.num_impossible:
            raise click.ClickException(f"{plan.num_impossible} benchmarks cannot be measured.")
        if plan.impossible_nets:
            nets = ", ".join(plan.impossible_nets)
            raise click.ClickException(f"weights not here, and --offline: {nets}.")
        return
    run_bench(job, out, form, options["quiet"])


def _check_solver(probes: Sequence[str]) -> None:
    """Raise OptionError if --solver is given, and nothing that is asked for is solved by it."""
    source = click.get_current_context().get_parameter_source("solver")
    if source is ParameterSource.COMMANDLINE and "svm" not in probes:
        raise OptionError(
            f"--solver is an option of --probe svm; got --probe {', --probe '.join(probes)}. Leave"
            " --solver out, or add --probe svm."
        )


@main.command()
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A dataset's name, or FILE.py:NAME for one of your own; repeatable.",
)
@extraction_options
def extract(datasets: Sequence[str], **options: Any) -> None:
    """Store the descriptors of every picture of a dataset.

    \b
    vggfeat extract --dataset caltech101 --net vgg16
    """
    with importing():
        from vggfeat.backbones.spec import parse_fusion
        from vggfeat.benchmarks.bench import extract_all

    nets = options.pop("nets") or ("vgg16", "vgg19")
    job = job_of(datasets, [parse_fusion(net) for net in nets], options)
    with ProgressDisplay(options["quiet"]) as progress:
        for dataset, label, extracted in extract_all(job, progress):
            skipped = f"{len(extracted.skipped)} skipped, " if extracted.skipped else ""
            new = f"{extracted.num_new} new descriptors"
            click.echo(f"{dataset}, {label}: {new}, {skipped}{extracted.path}")


def job_of(benchmarks: Sequence[str], nets: Sequence[tuple], options: dict[str, Any]):
    """The parsed options as what the library takes."""
    from vggfeat.benchmarks.bench import Job

    set_up_messages(options["quiet"])
    if layers := options.pop("layers", ()):
        nets = [
            tuple(spec.with_option("layer", layer) for spec in fusion)
            for fusion in nets
            for layer in layers
        ]
    of_data, of_settings = declarations(DataOptions), measurement_options()
    return Job(
        benchmarks=benchmarks,
        nets=nets,
        folders=folders(options.get("data_dir"), options.get("cache_dir")),
        data=DataOptions(**{name: options[name] for name in of_data.keys() & options}),
        offline=options.get("offline", False),
        settings={name: options[name] for name in of_settings.keys() & options},
        probes=options.get("probes", (DEFAULT_PROBE,)),
        sweep=options.get("sweep", ()),
        command=shlex.join(["vggfeat", *sys.argv[1:]]),
    )


def run_bench(job, out: Path, form: str, quiet: bool) -> None:
    """Run the job and show its records and failures."""
    from vggfeat.benchmarks.bench import bench
    from vggfeat.benchmarks.datasets.registry import definition_of

    show_outcomes(
        lambda progress: bench(job, out, progress),
        "sweep" if job.sweep else "transfer",
        published=[row for name in job.benchmarks for row in definition_of(name).published],
        out=out,
        form=form,
        quiet=quiet,
    )
