"""bench, extract, table and demo: from pictures to numbers beside the published ones."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.benchmarks.options import measurement_options
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import (
    FOLDER,
    Names,
    declared,
    extraction_options,
    format_,
    out,
    quiet,
)
from vggfeat.cli.outcomes import show_outcomes
from vggfeat.cli.progress import ProgressDisplay, TrainingDisplay
from vggfeat.cli.showing import show, show_grid, show_training
from vggfeat.features.options import VectorOptions
from vggfeat.layouts.options import DataOptions
from vggfeat.options import declarations
from vggfeat.probes.options import ProbeOptions
from vggfeat.storage.folders import folders

DEMO_BENCHMARKS = ("digits", "synthetic_scenes", "synthetic_actions")
# An eighth of the paper's channels, for pictures of 32 pixels and more.
DEMO_NETS = (
    "vgg16:width=0.125,input_size=32@random:0",
    "vgg19:width=0.125,input_size=32@random:1",
)
EXPLANATION = """
What these numbers are: pretraining and measurement in miniature, made on this machine. Nets an
eighth as wide as the paper's, trained on 4,032 generated drawings of 144 invented signs, stand
beside the same nets with random weights, on 1,797 scans of handwritten digits and 450 synthetic
scenes. The first column shows what was learned on the drawings and is of use on the digits.
What they are not: drawings, digits and scenes are no photographs. The numbers say nothing about the
nets of the paper, and no published number compares."""


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
@declared(ProbeOptions)
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
    vggfeat bench --benchmark my_file.py:my_dataset
    """
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
    job = _job(benchmarks, [parse_fusion(net) for net in nets], options)
    if dry_run:
        plan = planning.Plan(job, out)
        for line in plan.lines():
            click.echo(line)
        if plan.num_impossible:
            raise click.ClickException(f"{plan.num_impossible} benchmarks cannot be measured.")
        return
    _bench(job, out, form, options["quiet"])


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
    job = _job(datasets, [parse_fusion(net) for net in nets], options)
    with ProgressDisplay(options["quiet"]) as progress:
        for dataset, label, extracted in extract_all(job, progress):
            skipped = f"{len(extracted.skipped)} skipped, " if extracted.skipped else ""
            new = f"{extracted.num_new} new descriptors"
            click.echo(f"{dataset}, {label}: {new}, {skipped}{extracted.path}")


@main.command()
@out
@format_
@click.option(
    "--sweep",
    is_flag=True,
    help="A line for each setting, as `bench --sweep` prints; with --ilsvrc a line for each net and"
    " scales.",
)
@click.option(
    "--runs", type=FOLDER, help="Instead, the records of training in this folder of `pretrain`."
)
@click.option(
    "--ilsvrc",
    is_flag=True,
    help="Instead, what `evaluate` and `localise` measured: Tables 3 to 10.",
)
def table(out: Path, form: str, sweep: bool, runs: Path | None, ilsvrc: bool) -> None:
    """Print the records of a results folder beside the published numbers."""
    if runs is not None:
        show_training(runs, form)
        return
    from vggfeat.records.record import read_all
    from vggfeat.report.published import CLASSIFICATION, LOCALISATION

    on_ilsvrc = (CLASSIFICATION, LOCALISATION)
    records = [r for r in read_all(out) if (r.benchmark in on_ilsvrc) == ilsvrc]
    if not records:
        maker, other = ("evaluate", "without") if ilsvrc else ("bench", "with")
        raise click.ClickException(
            f"{out}: holds no such records. `vggfeat {maker}` makes them; {other} --ilsvrc others"
            " are shown."
        )
    if ilsvrc and sweep:
        show_grid(records, form)
    elif ilsvrc:
        show(records, form, "ilsvrc")
    else:
        show(records, form, "sweep" if sweep else "transfer")


@main.command()
@click.option("--cache-dir", type=FOLDER, help="Folder for feature files.")
@click.option("--out", type=FOLDER, help="Folder of records; in the cache folder by default.")
@format_
@quiet
def demo(cache_dir: Path | None, out: Path | None, form: str, quiet: bool) -> None:
    """Run everything in miniature: no download, no GPU, under 4 minutes.

    Trains a narrow 11-layer net on generated drawings, from it a 16- and a 19-layer one, and
    measures them beside nets with random weights on scikit-learn's digits and on synthetic scenes,
    through the code that runs Caltech-101, PASCAL VOC and its actions.
    """
    with importing():
        from vggfeat.backbones.spec import NetSpec, parse_fusion
        from vggfeat.pretraining.demo import pretrain_demo

    places = folders(cache_dir=cache_dir)
    set_up_messages(quiet)
    trained = []
    with TrainingDisplay(quiet) as display:
        for stage in pretrain_demo(places, display):
            display.end_line()
            trained.append(NetSpec(weights=str(stage.weights)))
    # The 11-layer net is only what the others start from.
    measured = trained[1:]
    nets = [*map(parse_fusion, DEMO_NETS), *((net,) for net in measured), tuple(measured)]
    job = _job(DEMO_BENCHMARKS, nets, {"cache_dir": cache_dir, "quiet": quiet})
    _bench(job, out or places.cache / "demo", form, quiet)
    click.echo(EXPLANATION, err=True)


def _job(benchmarks: Sequence[str], nets: Sequence[tuple], options: dict[str, Any]):
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
        sweep=options.get("sweep", ()),
        command=shlex.join(["vggfeat", *sys.argv[1:]]),
    )


def _bench(job, out: Path, form: str, quiet: bool) -> None:
    """Run the job and show its records and failures."""
    from vggfeat.benchmarks.bench import bench

    layout = "sweep" if job.sweep else "transfer"
    show_outcomes(
        lambda progress: bench(job, out, progress), layout, out=out, form=form, quiet=quiet
    )
