"""evaluate: nets on ILSVRC, or on any labelled pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from vggfeat.cli.configured import command_line
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import (
    FOLDER,
    cache_dir,
    data_folder,
    format_,
    forward_options,
    intervals,
    labelled_data,
    net,
    offline,
    out,
    quiet,
)
from vggfeat.cli.outcomes import show_outcomes
from vggfeat.cli.together import together
from vggfeat.processes.workers import Workers
from vggfeat.storage.folders import folders

FILE = click.Path(dir_okay=False, path_type=Path)
EXTRACTION_OPTIONS = ("device", "precision", "batch_size", "on_error")


@main.command()
@net
@labelled_data
@click.option(
    "--views",
    multiple=True,
    metavar="VIEW",
    help="dense (default), crops, both or centre. Repeatable.",
)
@click.option(
    "--scales",
    multiple=True,
    metavar="SCALES",
    help="Shortest sides Q, such as 256,384,512; single (default) and multi are the paper's for the"
    " S of each net; 256+352,384 has a list for each net of a fusion. Repeatable.",
)
@click.option("--limit", type=int, metavar="N", help="At most N pictures a class.")
@click.option(
    "--skip-unknown-classes",
    is_flag=True,
    help="Leave out pictures of classes that the nets have not, and count them.",
)
@click.option(
    "--save", type=FOLDER, help="Folder for the posteriors of each new measurement, as files."
)
@click.option(
    "--predictions",
    multiple=True,
    type=FILE,
    help="Instead of nets: a file that `--save` wrote. Repeatable; several are fused.",
)
@click.option(
    "--show",
    "shown",
    type=FILE,
    metavar="PICTURE",
    help="Only draw the likeliest classes' score maps over this picture, to a PNG in --out.",
)
@cache_dir
@forward_options
@offline
@quiet
@intervals
@out
@format_
@together
def evaluate(
    nets: Sequence[str],
    predictions: Sequence[Path],
    shown: Path | None,
    out: Path,
    form: str,
    workers: Workers,
    **options: Any,
) -> None:
    """Top-1 and top-5 error of nets: the paper's Tables 3 to 7.

    Every net at every list of scales in every view is measured, each once. Interrupted, the same
    command goes on from where it was.

    \b
    vggfeat evaluate --net vgg16 --net vgg19 --net vgg16+vgg19 --data ILSVRC2012
    vggfeat evaluate --net runs/vgg16-256.safetensors --data pictures \\
        --scales single --scales multi --views dense --views crops --views both
    vggfeat evaluate --net vgg16 --data ILSVRC2012 --gpus 4
    """
    set_up_messages(options["quiet"])
    measures = any(options[name] for name in ("data", "views", "save", "skip_unknown_classes"))
    measures |= options["limit"] is not None
    if predictions and (nets or options["scales"] or shown or measures):
        raise click.UsageError("--predictions takes files that are there: no --net, --data, ...")
    if shown and measures:
        raise click.UsageError("--show draws and does not measure: no --data, --views, ...")
    with importing():
        from vggfeat.backbones.given_names import parse_named
        from vggfeat.benchmarks.ilsvrc.classification import evaluate
        from vggfeat.benchmarks.ilsvrc.saved import evaluate_files

    if (shown or predictions) and not workers.leads:
        return
    fusions, names = parse_named(nets or ("vgg16", "vgg19", "vgg16+vgg19"))
    if shown:
        _draw_score_maps(fusions, shown, out, options)
        return
    where = {"out": out, "form": form} | {name: options[name] for name in ("quiet", "intervals")}
    if predictions:
        command = command_line()
        show_outcomes(lambda _: evaluate_files(predictions, out, command), "ilsvrc", **where)
        return
    job = job_of(fusions, options, names)
    show_outcomes(lambda progress: evaluate(job, out, progress, workers), "ilsvrc", **where)


def _draw_score_maps(fusions: Sequence, picture: Path, out: Path, options: dict[str, Any]) -> None:
    from vggfeat.benchmarks.ilsvrc.show import show_score_maps

    places = folders(cache_dir=options["cache_dir"])
    scales = options["scales"] or ("single",)
    extraction = {name: options[name] for name in EXTRACTION_OPTIONS}
    offline = options["offline"]
    for path in show_score_maps(fusions, scales, picture, out, places, extraction, offline=offline):
        click.echo(path)


def job_of(
    fusions: Sequence,
    options: dict[str, Any],
    names: Mapping[tuple, str] = MappingProxyType({}),
):
    """The parsed options as what the library takes."""
    from vggfeat.benchmarks.ilsvrc.classification import Job

    return Job(
        nets=fusions,
        names=names,
        data=data_folder(options["data"]),
        folders=folders(cache_dir=options["cache_dir"]),
        views=options["views"] or ("dense",),
        scales=options["scales"] or ("single",),
        limit=options["limit"],
        skip_unknown_classes=options["skip_unknown_classes"],
        offline=options["offline"],
        options={name: options[name] for name in EXTRACTION_OPTIONS},
        save=options["save"],
        command=command_line(),
    )
