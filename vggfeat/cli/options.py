"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vggfeat.storage.folders import folders


class Numbers(click.ParamType):
    """Comma-separated whole numbers."""

    name = "N,N,..."

    def convert(self, value: Any, parameter, context) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 256,384,512.")


class BatchSize(click.ParamType):
    """A whole number, or auto."""

    name = "number"

    def convert(self, value: Any, parameter, context) -> int | None:
        if value in (None, "auto"):
            return None
        return click.IntRange(1).convert(value, parameter, context)


class Names(click.ParamType):
    """Comma-separated names."""

    name = "NAME,NAME,..."

    def convert(self, value: Any, parameter, context) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(name for part in value.split(",") if (name := part.strip()))


def combined(*decorators: Callable) -> Callable:
    def apply(command: Callable) -> Callable:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


DEFAULT_DATA = "ILSVRC2012"  # below the data folder
FOLDER = click.Path(file_okay=False, path_type=Path)
data_dir = click.option(
    "--data-dir",
    type=FOLDER,
    help="Folder that holds or receives the datasets; in VGGFEAT_HOME or the user's cache folder"
    " by default.",
)
labelled_data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of labelled pictures: train/<class>/ and val/<class>/, ILSVRC-2012 with its"
    " devkit, Tiny ImageNet, or one folder a class. By default ILSVRC2012 in the data folder.",
)
quiet = click.option("--quiet", is_flag=True, help="Warnings and errors only.")
out = click.option(
    "--out", type=FOLDER, default=Path("results"), show_default=True, help="Folder of records."
)
format_ = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json", "latex"]),
    default="table",
    show_default=True,
    help="What to print; json prints the records themselves.",
)
data_options = combined(
    click.option(
        "--background/--no-background",
        default=True,
        help="Caltech: count the background or clutter folder as a class.",
    ),
    click.option(
        "--limit",
        type=int,
        metavar="N",
        help="At most N pictures a class, in VOC N pictures or people a set, to try things out.",
    ),
)
split_options = combined(
    click.option(
        "--splits", "num_splits", type=int, default=3, show_default=True, help="Random splits."
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random splits."
    ),
)
on_error = click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do at a picture that cannot be read.",
)
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
)
offline = click.option("--offline", is_flag=True, help="Never download.")
net = click.option(
    "--net",
    "nets",
    multiple=True,
    metavar="NET",
    help="NAME[:KEY=VALUE,...][@WEIGHTS], or a file that is a net; repeatable; `+` uses nets"
    " together. WEIGHTS is a file, a name from `vggfeat weights ls` or `random:SEED`.",
)
cache_dir = click.option("--cache-dir", type=FOLDER, help="Folder for weights and feature files.")
forward_precision = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="Of the forward pass; auto is bf16 wherever the hardware multiplies it, else fp32.",
)
batch_size = click.option(
    "--batch-size",
    type=BatchSize(),
    metavar="N",
    default="auto",
    show_default=True,
    help="In pictures.",
)
extraction_options = combined(
    net,
    click.option(
        "--layer",
        "layers",
        multiple=True,
        metavar="LAYER",
        help="The module whose activations are the descriptor, of every net. Repeatable: several"
        " layers come from one pass.",
    ),
    data_dir,
    cache_dir,
    click.option(
        "--scales",
        type=Numbers(),
        help="Shortest sides in pixels; each benchmark has the paper's by default.",
    ),
    click.option(
        "--mirror/--no-mirror",
        default=None,
        help="Average with mirrored pictures, as the paper does (the default).",
    ),
    click.option("--exif", is_flag=True, help="Turn pictures as their EXIF orientation says."),
    data_options,
    click.option(
        "--box-margin",
        type=float,
        default=0.0,
        show_default=True,
        help="Actions: added on every side of a person's box, as a share of the box's sides.",
    ),
    on_error,
    device,
    forward_precision,
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float16"]),
        default="float32",
        show_default=True,
        help="Of the stored descriptors.",
    ),
    batch_size,
    offline,
    quiet,
)


def data_folder(data: Path | None) -> Path:
    """The folder that was named, or ILSVRC-2012's."""
    if data is not None:
        return data
    default = folders().data / DEFAULT_DATA
    if not default.is_dir():
        raise click.ClickException(
            f"{default}: not there. Put ILSVRC-2012 there (train/<wnid>/*.JPEG and val;"
            " image-net.org gives it to its users), or name a folder of pictures with --data."
        )
    return default
