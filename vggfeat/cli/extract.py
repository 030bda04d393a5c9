"""extract: descriptors of pictures, without a probe."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vggfeat.cli.bench import job_of
from vggfeat.cli.command import Command
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
from vggfeat.storage.urls import is_url, shown

OF_SHARDS = ("shard_rows", "compression")
OF_DATASETS = ("data_dir", "background", "limit", "box_margin")  # options that mean nothing else


class Extract(Command):
    """The command, which knows what an unquoted star becomes."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        try:
            return super().parse_args(context, arguments)
        except click.UsageError as error:
            if ".tar" in error.message and "unexpected extra" in error.message:
                raise click.UsageError(
                    "The shell has filled in stars or braces. Quote them: --images 'train-*.tar'.",
                    context,
                ) from None
            raise


@main.command(cls=Extract)
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_benchmarks,
    help="A dataset's name; a folder, a CSV list or FILE.py:NAME of your own; torchvision:CLASS or"
    " hf:OWNER/NAME; repeatable.",
)
@click.option(
    "--images",
    type=click.Path(),
    metavar="SOURCE",
    help="Pictures of your own: a folder with all below it, a text file with a path a line, or a"
    " CSV file with a column path; tar shards by their folder, a glob, train-{000..099}.tar, a text"
    " file with a tar a line, or URLs (s3, gs, https, hf).",
)
@click.option(
    "--to",
    type=click.Path(),
    metavar="FILE|FOLDER/",
    help="Write the descriptors of --images to this file: .h5 (which is extended where it is"
    " there), .npy with the ids in .csv, or .parquet; or to shards in this folder, by any number of"
    " processes.",
)
@click.option(
    "--shard-rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="Pictures a shard, where they come from a list; a tar is a shard.  [default: 10000]",
)
@click.option(
    "--compression",
    type=click.Choice(["gzip"]),
    help="Compress the shards, losslessly.",
)
@extraction_options
@together
def extract(
    datasets: Sequence[str],
    images: str | None,
    to: str | None,
    workers: Workers,
    **options: Any,
) -> None:
    """Store the descriptors of a dataset's pictures, or of your own.

    \b
    vggfeat extract --dataset caltech101 --net vgg16
    vggfeat extract --images holidays --net vgg16 --to features.h5
    vggfeat extract --dataset caltech101 --net vgg16 --gpus 4
    torchrun --nproc-per-node 4 -m vggfeat extract --dataset caltech101
    vggfeat extract --images 'train-{0000..0099}.tar' --net vgg16 --to features/
    """
    if bool(datasets) == (images is not None):
        raise click.UsageError("Name a dataset by --dataset, or pictures by --images, one of both.")
    if to is not None and images is None:
        raise click.UsageError("--to is for --images; descriptors of datasets go into the cache.")
    if to == "":
        raise click.UsageError("--to names no file and no folder. Give it FILE.h5 or FOLDER/.")
    in_shards = {name: options.pop(name) for name in OF_SHARDS}
    if images is not None:
        _extract_own(images, to, in_shards, options, workers)
        return
    _check_no_folder()
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


def _extract_own(
    images: str,
    to: str | None,
    in_shards: dict[str, Any],
    options: dict[str, Any],
    workers: Workers,
) -> None:
    """Make the descriptors of --images, in a file or in a folder of shards."""
    context = click.get_current_context()
    for name in OF_DATASETS:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{flag} is for datasets, and --images names pictures.")
    with importing():
        from vggfeat.backbones.given_names import at_layers, parse_named
        from vggfeat.benchmarks.picture_features import SCALES
        from vggfeat.layouts.open_parts import names_tars

    set_up_messages(options["quiet"])
    fusions, _ = parse_named(options["nets"] or ("vgg16", "vgg19"))
    stated = {name: options.get(name) for name in declarations(Extraction)}
    chosen = {name: value for name, value in stated.items() if value is not None}
    job = {
        "nets": at_layers(fusions, {}, options["layers"])[0],
        "folders": folders(cache_dir=options["cache_dir"]),
        "options": Extraction(**{"scales": SCALES} | chosen),
        "offline": options["offline"],
    }
    if _is_folder(to):
        _extract_into_shards(images, Path(to), job, in_shards, options["quiet"], workers)
        return
    _check_no_folder()
    if names_tars(images):
        named = shown(images) if is_url(images) else images
        raise click.UsageError(
            f"{named}: tars are extracted into shards. Name a folder for them by --to FOLDER/."
        )
    _extract_into_file(Path(images), to and Path(to), job, options["quiet"], workers)


def _is_folder(to: str | None) -> bool:
    return to is not None and (to.endswith(("/", os.sep)) or os.path.isdir(to))


def _check_no_folder() -> None:
    context = click.get_current_context()
    for name in OF_SHARDS:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for shards, which --images SOURCE --to FOLDER/"
                " makes."
            )


def _extract_into_shards(
    images: str,
    to: Path,
    job: dict[str, Any],
    in_shards: dict[str, Any],
    quiet: bool,
    workers: Workers,
) -> None:
    with importing():
        from vggfeat.benchmarks.shard_features import ShardJob, extract_into_shards

    if in_shards["shard_rows"] is not None:
        job["rows"] = in_shards["shard_rows"]
    job = ShardJob(images=images, to=to, compression=in_shards["compression"], **job)
    with ProgressDisplay(quiet) as progress:
        label, made = extract_into_shards(job, progress, workers)
        if not workers.leads:
            return
        counts = f"{counted(made.num_rows, 'picture')}, {made.num_new:,} of them new"
        counts += f", {made.num_broken:,} broken" if made.num_broken else ""
        if made.num_duplicates:
            counts += f", {made.num_duplicates:,} with an id that stands in an earlier one"
        click.echo(f"{label}: {counts}: {made.folder}")


def _extract_into_file(
    images: Path, to: Path | None, job: dict[str, Any], quiet: bool, workers: Workers
) -> None:
    """Make the descriptors of a folder or list, and print where they are."""
    with importing():
        from vggfeat.benchmarks.picture_features import PictureJob, extract_pictures

    with ProgressDisplay(quiet) as progress:
        job = PictureJob(images=images, to=to, **job)
        for described in extract_pictures(job, progress, workers):
            new, skipped = described.extracted.num_new, len(described.extracted.skipped)
            counts = f"{counted(described.num_pictures, 'picture')}, {new:,} of them new"
            counts += f", {skipped:,} skipped" if skipped else ""
            click.echo(f"{described.net}: {counts}: {' and '.join(map(str, described.paths))}")
