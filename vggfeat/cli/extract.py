"""extract: descriptors of pictures, without a probe."""

from collections.abc import Sequence
from typing import Any

import click

from vggfeat.cli.bench import job_of
from vggfeat.cli.group import importing, main
from vggfeat.cli.options import extraction_options
from vggfeat.cli.progress import ProgressDisplay


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
