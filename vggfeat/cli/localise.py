"""localise: bounding-box regressors, trained, scored and looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.completers import complete_nets, complete_regressors
from vggfeat.cli.configured import command_line
from vggfeat.cli.evaluate import EXTRACTION_OPTIONS
from vggfeat.cli.group import Commands, importing, main, set_up_messages
from vggfeat.cli.options import (
    cache_dir,
    combined,
    data_folder,
    format_,
    forward_options,
    labelled_data,
    out,
    quiet,
)
from vggfeat.cli.outcomes import show_outcomes
from vggfeat.cli.pretrain import pairs, run_training, training_options
from vggfeat.cli.progress import ProgressDisplay
from vggfeat.cli.together import together
from vggfeat.processes.workers import Workers
from vggfeat.storage.folders import folders

PAPER_REGRESSORS = ("vgg16-256-pcr", "vgg16-384-pcr")

testing_options = combined(
    click.option(
        "--net",
        "nets",
        multiple=True,
        required=True,
        metavar="NET",
        shell_complete=complete_nets,
        help="Weights of `localise train`, repeatable; `+` uses nets together; LABEL= before them"
        " is what tables call them.",
    ),
    click.option(
        "--classifier",
        metavar="NET",
        shell_complete=complete_nets,
        help="Weights of `pretrain` that name the five classes and score dense boxes; `+` uses nets"
        " together.",
    ),
    labelled_data,
    click.option(
        "--merge-threshold",
        type=float,
        metavar="T",
        help="Dense boxes are merged while the distance of their centres over the mean of their"
        " sides, minus their overlap, is at most T; 0.25 by default.",
    ),
    cache_dir,
    forward_options,
    quiet,
)


@main.group(cls=Commands)
def localise() -> None:
    """Localise objects by regressing boxes: the paper's Tables 8 to 10.

    \b
    vggfeat localise train vgg16-384-pcr --data ILSVRC2012
    vggfeat localise evaluate --net runs/vgg16-384-pcr.safetensors
    """


@localise.command()
@click.argument(
    "regressors", nargs=-1, metavar="[REGRESSORS]...", shell_complete=complete_regressors
)
@training_options
def train(regressors: Sequence[str], overrides: Sequence[str], **options: Any) -> None:
    """Train regressors from the nets of `pretrain`, which must be in the folder of runs.

    REGRESSORS are named after what they start from: vgg16-256-pcr predicts a box for each class,
    vgg16-256-scr one for all; with -fc behind it only the fully connected layers are trained.
    Without REGRESSORS: the paper's, vgg16-256-pcr and vgg16-384-pcr.

    \b
    vggfeat localise train --data ILSVRC2012 --gpus 4
    vggfeat localise train vgg16-256-scr-fc --data ILSVRC2012
    """
    set_up_messages(options["quiet"])
    with importing():
        from vggfeat.pretraining.box_recipes import box_recipe
        from vggfeat.pretraining.overrides import overridden

    recipes = [
        overridden(box_recipe(name), pairs(overrides), one_stage=len(regressors) == 1)
        for name in regressors or PAPER_REGRESSORS
    ]
    run_training(recipes, **options)


@localise.command()
@testing_options
@click.option(
    "--views", multiple=True, metavar="VIEW", help="centre (default) or dense. Repeatable."
)
@click.option(
    "--scales",
    multiple=True,
    metavar="SCALES",
    help="As of `vggfeat evaluate`: single (default), multi, 352,384, 256+352,384. Repeatable.",
)
@click.option(
    "--classifier-scales",
    metavar="SCALES",
    default="multi",
    show_default=True,
    help="Scales at which the classifier names the five classes, densely.",
)
@click.option("--limit", type=int, metavar="N", help="At most N pictures a class.")
@out
@format_
@together
def evaluate(out: Path, form: str, workers: Workers, **options: Any) -> None:
    """Localisation error of regressors: the paper's Tables 8 to 10.

    From the centre crop the box of the true class is predicted; of dense boxes the best merged one
    of each of the classifier's five classes counts.

    \b
    vggfeat localise evaluate --net runs/vgg16-384-pcr.safetensors
    vggfeat localise evaluate --views dense --scales 256+352,384 \\
        --net runs/vgg16-256-pcr.safetensors+runs/vgg16-384-pcr.safetensors \\
        --classifier runs/vgg16-jitter.safetensors --data ILSVRC2012
    """
    job = _job(options, views=options["views"] or ("centre",), limit=options["limit"])
    from vggfeat.benchmarks.ilsvrc.localisation import localise

    show_outcomes(
        lambda progress: localise(job, out, progress, workers),
        "ilsvrc",
        out=out,
        form=form,
        quiet=options["quiet"],
    )


@localise.command()
@testing_options
@click.option(
    "--view",
    type=click.Choice(["centre", "dense"]),
    default="centre",
    show_default=True,
    help="Boxes of the centre crop, or the best of dense ones.",
)
@click.option(
    "--scales",
    metavar="SCALES",
    default="single",
    show_default=True,
    help="As of `vggfeat localise evaluate`.",
)
@click.option(
    "--count", type=click.IntRange(1), default=24, show_default=True, help="Number of pictures."
)
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("boxes.png"),
    show_default=True,
    help="PNG file to draw to.",
)
def show(view: str, scales: str, count: int, to: Path, **options: Any) -> None:
    """Draw true and predicted boxes of test pictures, evenly spread over their list, to a PNG.

    \b
    vggfeat localise show --net runs/vgg16-384-pcr.safetensors \\
        --data ILSVRC2012 --to boxes.png
    """
    if len(options["nets"]) > 1:
        raise click.UsageError("Name one --net; `+` uses nets together.")
    job = _job(options | {"scales": (scales,)}, views=(view,))
    from vggfeat.benchmarks.ilsvrc.show import show_boxes

    with ProgressDisplay(options["quiet"]) as progress:
        show_boxes(job, count, to, progress)
    click.echo(to)


def _job(options: dict[str, Any], **more: Any):
    """The parsed options as what the library takes."""
    set_up_messages(options["quiet"])
    with importing():
        from vggfeat.backbones.given_names import parse_named
        from vggfeat.backbones.spec import parse_fusion
        from vggfeat.benchmarks.ilsvrc.localisation import Job

    stated = {
        name: options[name]
        for name in ("classifier_scales", "merge_threshold")
        if options.get(name) is not None
    }
    nets, names = parse_named(options["nets"])
    return Job(
        nets=nets,
        names=names,
        classifier=parse_fusion(options["classifier"]) if options["classifier"] else (),
        data=data_folder(options["data"]),
        folders=folders(cache_dir=options["cache_dir"]),
        scales=options["scales"] or ("single",),
        options={name: options[name] for name in EXTRACTION_OPTIONS},
        command=command_line(),
        **stated,
        **more,
    )
