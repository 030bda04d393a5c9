"""extract: descriptors of pictures, without a probe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vggfeat.cli.bench import job_of
from vggfeat.cli.completers import complete_benchmarks
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import extraction_options
from vggfeat.cli.progress import ProgressDisplay
from vggfeat.cli.together import together
from vggfeat.features.options import Extraction
from vggfeat.options import declarations
from vggfeat.plurals import counted
from vggfeat.processes.workers import Workers
from vggfeat.storage.folders import folders

OF_DATASETS = ("data_dir", "background", "limit", "box_margin")  # options that mean nothing else


@main.command()
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_benchmarks,
    help="A dataset's name; a folder, a CSV list or FILE.py:NAME of your own; repeatable.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="FOLDER|LIST",
    help="Pictures of your own: a folder with all below it, a text file with a path a line, or a"
    " CSV file with a column path.",
)
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the descriptors of --images to this file: .h5 (which is extended where it is"
    " there), .npy with the ids in .csv, or .parquet.",
)
@extraction_options
@together
def extract(
    datasets: Sequence[str],
    images: Path | None,
    to: Path | None,
    workers: Workers,
    **options: Any,
) -> None:
    """Store the descriptors of a dataset's pictures, or of your own.

    \b
    vggfeat extract --dataset caltech101 --net vgg16
    vggfeat extract --images holidays --net vgg16 --to features.h5
    vggfeat extract --dataset caltech101 --net vgg16 --gpus 4
    torchrun --nproc-per-node 4 -m vggfeat extract --dataset voc2007
    """
    if bool(datasets) == (images is not None):
        raise click.UsageError("Name a dataset by --dataset, or pictures by --images, one of both.")
    if to is not None and images is None:
        raise click.UsageError("--to is for --images; descriptors of datasets go into the cache.")
    if images is not None:
        _extract_pictures(images, to, options, workers)
        return
    with importing():
        from vggfeat.backbones.given_names import parse_named
        from vggfeat.benchmarks.bench import extract_all

    nets = options.pop("nets") or ("vgg16", "vgg19")
    job = job_of(datasets, parse_named(nets)[0], options)
    with ProgressDisplay(options["quiet"]) as progress:
        for dataset, label, extracted in extract_all(job, progress, workers):
            skipped = f"{len(extracted.skipped)} skipped, " if extracted.skipped else ""
            new = counted(extracted.num_new, "new descriptor")
            click.echo(f"{dataset}, {label}: {new}, {skipped}{extracted.path}")


def _extract_pictures(
    images: Path, to: Path | None, options: dict[str, Any], workers: Workers
) -> None:
    """Make the descriptors of --images, and print where they are."""
    context = click.get_current_context()
    for name in OF_DATASETS:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{flag} is for datasets, and --images names pictures.")
    with importing():
        from vggfeat.backbones.given_names import at_layers, parse_named
        from vggfeat.benchmarks.picture_features import SCALES, PictureJob, extract_pictures

    set_up_messages(options["quiet"])
    fusions, _ = parse_named(options["nets"] or ("vgg16", "vgg19"))
    stated = {name: options.get(name) for name in declarations(Extraction)}
    chosen = {name: value for name, value in stated.items() if value is not None}
    job = PictureJob(
        images=images,
        nets=at_layers(fusions, {}, options["layers"])[0],
        folders=folders(cache_dir=options["cache_dir"]),
        options=Extraction(**{"scales": SCALES} | chosen),
        to=to,
        offline=options["offline"],
    )
    with ProgressDisplay(options["quiet"]) as progress:
        for described in extract_pictures(job, progress, workers):
            new, skipped = described.extracted.num_new, len(described.extracted.skipped)
            counts = f"{counted(described.num_pictures, 'picture')}, {new:,} of them new"
            counts += f", {skipped:,} skipped" if skipped else ""
            click.echo(f"{described.net}: {counts}: {' and '.join(map(str, described.paths))}")
