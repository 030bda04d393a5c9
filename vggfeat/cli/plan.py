"""plan: hours, disk and cost of a job, before it is begun."""

import logging
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.completers import complete_nets
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import Numbers, cache_dir, combined, declared, quiet
from vggfeat.cli.width import stdout_width
from vggfeat.features.options import Extraction
from vggfeat.storage.folders import folders

log = logging.getLogger(__name__)

FILE = click.Path(dir_okay=False, path_type=Path)
DEFAULT_NUMBER = 1_000_000  # of pictures
WIDTH = 80  # where stdout is no terminal
EXTRACTION = ("mirror", "scaled_jpeg", "device", "precision", "dtype", "batch_size")

_job = combined(
    click.option(
        "--pictures",
        "count",
        metavar="N",
        help="How many, such as 100M, 1.3M or 1e8; without --images 1M by default.",
    ),
    click.option(
        "--images",
        type=click.Path(),
        metavar="SOURCE",
        help="Your pictures, as `extract` takes them, but for URLs: their sizes and how fast they"
        " decode are measured; of tars those of the first.",
    ),
    click.option("--picture-size", metavar="WxH", help="Usual size in pixels, such as 500x375."),
    click.option("--picture-bytes", metavar="BYTES", help="Usual size of a file, such as 110k."),
    click.option(
        "--net",
        metavar="NET",
        default="vgg16",
        show_default=True,
        shell_complete=complete_nets,
        help="The net, as `bench` takes it; its weights need not be here.",
    ),
    click.option(
        "--scales",
        type=Numbers(),
        default=(256, 384, 512),
        show_default="256,384,512",
        help="Shortest sides in pixels.",
    ),
    declared(Extraction, *EXTRACTION),
)
_devices = combined(
    click.option(
        "--gpus",
        "num_devices",
        type=int,
        default=1,
        show_default=True,
        metavar="N",
        help="Devices in all; with --device cpu, processes that share this machine's cores.",
    ),
    click.option("--cores", type=int, metavar="N", help="Cores for each GPU."),
    click.option(
        "--images-per-second",
        type=float,
        metavar="R",
        help="How many pictures, at all scales, a device runs through the net in a second.",
    ),
    click.option("--tflops", type=float, metavar="X", help="Stated speed of a device, instead."),
    click.option(
        "--utilisation", type=float, metavar="SHARE", help="Of that speed; 0.4 if not given."
    ),
    click.option("--rates", type=FILE, help="Rates that --save-rates wrote, on any machine."),
    click.option("--save-rates", type=FILE, help="Write the rates measured here to this file."),
    click.option(
        "--read-rate", "read_mb_s", type=float, metavar="MB/S", help="At which pictures are read."
    ),
    click.option(
        "--write-rate",
        "write_mb_s",
        type=float,
        metavar="MB/S",
        help="At which descriptors are written.",
    ),
)
_prices = combined(
    click.option("--watts", type=float, metavar="W", help="Power of a device, for the energy."),
    click.option("--price", type=float, metavar="P", help="Of an hour of a device."),
    click.option("--disk-price", type=float, metavar="P", help="Of a TB of disk for a month."),
)


@main.command()
@_job
@_devices
@_prices
@cache_dir
@quiet
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="What to print; json is one object, in seconds and bytes.",
)
def plan(
    count: str | None,
    images: str | None,
    picture_size: str | None,
    picture_bytes: str | None,
    scales: tuple[int, ...],
    save_rates: Path | None,
    cache_dir: Path | None,
    quiet: bool,
    form: str,
    **options: Any,
) -> None:
    """Say what extracting pictures takes: hours, disk, bottleneck and cost.

    Rates are measured here in about 20 seconds, read from a file of another machine's, or given;
    each figure says which. Nothing is extracted or fetched.

    \b
    vggfeat plan --pictures 100M --net vgg16 --scales 256,384,512 --gpus 32
    vggfeat plan --images pictures --net resnet50 --gpus 8 --device cpu
    vggfeat plan --images 'train-{0000..0999}.tar' --net vgg16 --gpus 8
    vggfeat plan --pictures 1.3M --net vgg16 --tflops 990 --gpus 8 --price 2.5
    vggfeat plan --net vgg16 --save-rates rates.json
    vggfeat plan --net vgg16 --rates rates.json --pictures 100M --gpus 32
    """
    set_up_messages(quiet)
    with importing():
        from vggfeat.costs import quantities, rates, shown
        from vggfeat.costs.planning import answer
        from vggfeat.costs.question import Question
        from vggfeat.layouts.some_pictures import some_pictures

    of_extraction = {name: options.pop(name) for name in EXTRACTION}
    given = {name: value for name, value in of_extraction.items() if value is not None}
    extraction = Extraction(scales=scales, **given)
    found = some_pictures(images) if images else None
    if found and found.assumption and not count:
        log.info("%s: %s", images, found.assumption)
    number = found.number if found else DEFAULT_NUMBER
    question = Question(
        options=extraction,
        num_pictures=quantities.as_count(count) if count else number,
        pictures=found.pictures if found else None,
        picture_size=quantities.as_picture_size(picture_size) if picture_size else None,
        picture_bytes=quantities.as_bytes(picture_bytes) if picture_bytes else None,
        **options,
    )
    places = folders(None, cache_dir)
    planned = answer(question, weights_dir=places.weights, folder=places.cache)
    if save_rates:
        rates.save(planned.rates, save_rates)
    if form == "json":
        click.echo(shown.as_json(planned), nl=False)
    else:
        click.echo(shown.as_text(planned, stdout_width() or WIDTH), nl=False)
