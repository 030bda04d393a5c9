"""Options that several commands share; those of a measurement follow from their declarations."""

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.completers import complete_nets
from vggfeat.cli.verbosity import HELP, note
from vggfeat.errors import OptionError
from vggfeat.features.options import Extraction
from vggfeat.layouts.options import DataOptions
from vggfeat.memory import parse_size
from vggfeat.options import Declaration, Declared, declarations
from vggfeat.storage.folders import folders


class Numbers(click.ParamType):
    """Comma-separated whole numbers."""

    name = "N,N,..."

    def convert(self, value: Any, parameter, context) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(number) for number in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 256,384,512.")


class Shots(click.ParamType):
    """Comma-separated whole numbers, or all."""

    name = "N,N,..."

    def convert(self, value: Any, parameter, context) -> tuple[int | None, ...]:
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in value.split(",")]
        try:
            counts = (None if word == "all" else int(word) for word in words)
            return tuple(dict.fromkeys(counts))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 1,2,4,8 or 1,4,all.")


class NumberOr(click.ParamType):
    """A whole number, or the word for None, such as auto."""

    name = "number"

    def __init__(self, unset: str):
        self.unset = unset

    def convert(self, value: Any, parameter, context) -> int | None:
        if value in (None, self.unset):
            return None
        return click.IntRange(1).convert(value, parameter, context)


class Size(click.ParamType):
    """A size in bytes, such as 8G."""

    name = "SIZE"

    def convert(self, value: Any, parameter, context) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except OptionError as error:
            self.fail(str(error))


class Names(click.ParamType):
    """Comma-separated names."""

    name = "NAME,NAME,..."

    def convert(self, value: Any, parameter, context) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(name for text in value.split(",") if (name := text.strip()))


class Checked(click.ParamType):
    """A text that a function checks, which raises OptionError."""

    name = "text"

    def __init__(self, check: Callable[[str], None]):
        self.check = check

    def convert(self, value: Any, parameter, context) -> str:
        try:
            self.check(value)
        except OptionError as error:
            self.fail(str(error))
        return value


class DeclaredOption(click.Option):
    """An option of a measurement, which knows its declaration: what values are allowed."""

    def __init__(self, *arguments: Any, declaration: Declaration, **options: Any):
        super().__init__(*arguments, **options)
        self.declaration = declaration


def combined(*decorators: Callable) -> Callable:
    """One decorator that adds the options of several, in their order."""

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
quiet = click.option("--quiet", is_flag=True, callback=note, help=HELP["quiet"])
intervals = click.option(
    "--intervals",
    is_flag=True,
    help="Also the 95 % interval of each measured value, over test pictures drawn anew.",
)
out = click.option(
    "--out", type=FOLDER, default=Path("results"), show_default=True, help="Folder of records."
)
format_ = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json", "latex", "booktabs", "tidy", "tidy-json"]),
    default="table",
    show_default=True,
    help="What to print; json prints the records themselves, booktabs is LaTeX for papers; tidy"
    " (CSV) and tidy-json have all numbers for pandas or R, in %, those of each split too.",
)


def declared(options: type[Declared], *names: str) -> Callable:
    """The options of these names, all by default, of a dataclass of declared options."""
    hints, declared_options = typing.get_type_hints(options), declarations(options)
    return combined(
        *(
            _click_option(name, declared_options[name], hints[name], vars(options).get(name))
            for name in names or declared_options
        )
    )


def _click_option(name: str, declaration: Declaration, kind: Any, default: Any) -> Callable:
    flag = f"--{(declaration.flag or name).replace('_', '-')}"
    known = {"cls": DeclaredOption, "declaration": declaration, "help": declaration.help}
    shown: dict[str, Any] = known | {"default": None}
    if not declaration.by_benchmark:
        shown["default"] = declaration.unset or None if default is None else default
        shown["show_default"] = shown["default"] is not None
    if kind is bool and declaration.negatable:
        return click.option(f"{flag}/--no-{flag[2:]}", name, **shown)
    if kind is bool:
        return click.option(flag, name, is_flag=True, **known)
    shown |= {"type": _click_type(declaration, kind), "metavar": declaration.metavar}
    return click.option(flag, name, **shown)


def _click_type(declaration: Declaration, kind: Any) -> Any:
    if declaration.choices:
        return click.Choice(declaration.choices)
    if declaration.check:
        return Checked(declaration.check)
    if kind == tuple[int, ...]:
        return Numbers()
    if declaration.unset:
        return NumberOr(declaration.unset)
    if kind is float:
        return float
    # What is too small for a reason is an error of the measurement, which states the reason.
    has_plain_minimum = declaration.minimum is not None and not declaration.because
    if has_plain_minimum and declaration.maximum is None:
        return click.IntRange(int(declaration.minimum))
    return int


offline = click.option("--offline", is_flag=True, help="Never download.")
net = click.option(
    "--net",
    "nets",
    multiple=True,
    metavar="NET",
    shell_complete=complete_nets,
    help="NAME[:KEY=VALUE,...][@WEIGHTS], or a file that is a net; repeatable; `+` uses nets"
    " together; LABEL= before it is what tables call it. WEIGHTS is a file, a name from `vggfeat"
    " weights ls` or `random:SEED`.",
)
cache_dir = click.option("--cache-dir", type=FOLDER, help="Folder for weights and feature files.")
# How a net is run, whatever is made of what it gives.
forward_options = declared(Extraction, "on_error", "device", "precision", "batch_size")
device, on_error = declared(Extraction, "device"), declared(Extraction, "on_error")
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
    declared(Extraction, "scales", "mirror", "exif", "scaled_jpeg"),
    declared(DataOptions, "background", "limit", "box_margin"),
    declared(Extraction, "on_error", "device", "precision", "dtype", "batch_size"),
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
