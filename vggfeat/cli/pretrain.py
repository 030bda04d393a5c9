"""pretrain: trains the nets themselves, from labelled pictures."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.completers import complete_recipes, complete_stages
from vggfeat.cli.configured import command_line
from vggfeat.cli.group import AFTER_OTHERS_S, importing, main, set_up_messages
from vggfeat.cli.options import (
    FOLDER,
    NumberOr,
    combined,
    data_folder,
    device,
    labelled_data,
    on_error,
    quiet,
)
from vggfeat.cli.progress import ProgressDisplay, TrainingDisplay
from vggfeat.cli.together import gpus, started_by_torchrun
from vggfeat.errors import VggfeatError
from vggfeat.plurals import counted
from vggfeat.processes.launched import follows

FILE = click.Path(dir_okay=False, path_type=Path)


training_options = combined(
    labelled_data,
    click.option(
        "--out", type=FOLDER, default=Path("runs"), show_default=True, help="Folder of runs."
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Override a field of every recipe, such as width=0.25 or epochs=20. Repeatable.",
    ),
    click.option(
        "--colours",
        type=FILE,
        help="Mean colour and principal components, as colours.json of another run has them;"
        " computed from the training pictures by default.",
    ),
    gpus,
    device,
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16"]),
        default="auto",
        show_default=True,
        help="Of forward and backward passes; auto is bf16 wherever the hardware multiplies it."
        " Weights stay fp32.",
    ),
    click.option(
        "--pass-size",
        type=NumberOr("auto"),
        metavar="N",
        default="auto",
        show_default=True,
        help="Pictures that go through the net at once; a batch takes as many passes as it needs.",
    ),
    on_error,
    click.option("--tensorboard", is_flag=True, help="Write TensorBoard's files beside log.jsonl."),
    click.option(
        "--check-data",
        is_flag=True,
        help="First read every picture and name the corrupt ones; with --dry-run nothing is"
        " trained.",
    ),
    click.option("--dry-run", is_flag=True, help="Say what would be trained and about how long."),
    click.option(
        "--images-per-second",
        type=float,
        metavar="R",
        help="With --dry-run: images that a device trains in a second; measured here by default.",
    ),
    quiet,
)


@main.command()
@click.argument("recipes", nargs=-1, metavar="[RECIPES]...", shell_complete=complete_recipes)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="STAGE",
    shell_complete=complete_stages,
    help="Train this stage alone, such as vgg16-256. Repeatable.",
)
@training_options
@click.option(
    "--plot",
    "plotted",
    type=FOLDER,
    multiple=True,
    metavar="RUN",
    help="Draw loss and accuracy of a run's folder to its curves.png, and stop. Repeatable: several"
    " runs come into one curves.png, beside them.",
)
def pretrain(
    recipes: Sequence[str],
    stages: Sequence[str],
    overrides: Sequence[str],
    plotted: Sequence[Path],
    **options: Any,
) -> None:
    """Train nets by the paper's recipes, and what they start from.

    RECIPES are nets, such as vgg16: the 11-layer net, then vgg16 from it at S=256, from that at
    S=384, from that with S from 256 to 512. Stages whose weights are there are skipped; an
    interrupted run goes on from where it was. Without RECIPES: vgg16 and vgg19.

    \b
    vggfeat pretrain vgg16 --data ILSVRC2012 --gpus 4
    vggfeat pretrain vgg16 --data pictures --set width=0.25 --set init=glorot
    vggfeat pretrain --plot runs/vgg11-256 --plot runs/vgg16-256
    vggfeat bench caltech101 --net runs/vgg16-jitter.safetensors
    torchrun --nproc-per-node 4 -m vggfeat pretrain vgg16 --data ILSVRC2012
    """
    if recipes and stages:
        raise click.UsageError("Name RECIPES or --stage, not both.")
    set_up_messages(options["quiet"])
    if plotted:
        from vggfeat.pretraining.plot import plot

        click.echo(plot(plotted))
        return
    with importing():
        from vggfeat.pretraining.overrides import select_recipes

    run_training(select_recipes(recipes, stages, pairs(overrides)), **options)


def run_training(
    recipes: Sequence,
    *,
    data: Path | None,
    out: Path,
    colours: Path | None,
    num_processes: int | None,
    check_data: bool,
    dry_run: bool,
    images_per_second: float | None,
    quiet: bool,
    **runtime: Any,
) -> None:
    """Train, plan or check these recipes, as the training options say."""
    if images_per_second is not None and not dry_run:
        raise click.UsageError("--images-per-second is for a plan: add --dry-run.")
    with importing():
        from vggfeat.pretraining.run import PretrainingJob
        from vggfeat.pretraining.runtime import RuntimeOptions

    job = PretrainingJob(
        recipes=recipes,
        data=data_folder(data),
        out=out,
        runtime=RuntimeOptions(**runtime),
        colours=colours,
        command=command_line(),
    )
    if check_data:
        if started_by_torchrun():
            raise click.UsageError("Check before: --check-data --dry-run.")
        _check_data(job, quiet)
    if dry_run:
        from vggfeat.pretraining.plan import plan

        for line in plan(job, num_processes or 1, images_per_second):
            click.echo(line)
    elif num_processes and not started_by_torchrun():
        from vggfeat.processes.launch import check, launch

        check(num_processes, job.runtime.device)
        arguments = [text for text in sys.argv[1:] if text != "--check-data"]
        sys.exit(launch(num_processes, arguments))
    else:
        _train(job, quiet)


def pairs(overrides: Sequence[str]) -> dict[str, str]:
    """The texts FIELD=VALUE as field -> value. Raises UsageError."""
    values = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes FIELD=VALUE; got {text!r}.")
        values[name.strip()] = value.strip()
    return values


def _check_data(job, quiet: bool) -> None:
    from vggfeat.pretraining.check_data import unreadable_pictures

    pictures = job.pictures()
    largest = max(recipe.scales[1] for recipe in job.recipes)
    num_bad = 0
    with ProgressDisplay(quiet) as progress:
        for problem in unreadable_pictures(pictures, largest, progress):
            num_bad += 1
            click.echo(problem)
    total = len(pictures.train) + len(pictures.validation)
    summary = f"{num_bad} of {counted(total, 'picture')} cannot be used."
    if num_bad and job.runtime.on_error == "stop":
        raise click.ClickException(f"{summary} Mend or remove them, or train with --on-error skip.")
    click.echo(summary if num_bad else f"all {counted(total, 'picture')} can be read")


def _train(job, quiet: bool) -> None:
    from vggfeat.pretraining.monitor import ERRORS
    from vggfeat.pretraining.run import pretrain
    from vggfeat.pretraining.trainer import PeerFailed

    try:
        with TrainingDisplay(quiet) as display:
            for stage in pretrain(job, display):
                display.end_line()
                there = "was there" if stage.skipped else "trained"
                accuracy = ", ".join(
                    f"{ERRORS[name]} {1 - share:.1%}"
                    for name, share in stage.accuracy.items()
                    if name in ERRORS
                )
                click.echo(f"{stage.name}: {there}, {accuracy}: {stage.weights}")
    except PeerFailed:
        time.sleep(AFTER_OTHERS_S)
        sys.exit(1)
    except VggfeatError:
        if follows():
            time.sleep(AFTER_OTHERS_S)  # the leading process reports what befalls all
        raise
