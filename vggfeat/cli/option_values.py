"""Values of options from a file or parsed ones -> as the command line writes them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.options import DeclaredOption, Names, NumberOr, Numbers, Shots
from vggfeat.options import check_value
from vggfeat.storage.urls import is_url

# Options whose values may be paths, and may be names: of nets, and of datasets.
OF_NETS, OF_DATASETS = ("net", "classifier", "weights"), ("benchmark", "dataset")
# A function that makes a net, package.module:function; a Python file that defines a dataset.
_CODE = re.compile(r"(^|[+=])\s*[A-Za-z_][\w.]*:[A-Za-z_]\w*($|[:@+])|\.py:", re.IGNORECASE)


class WrongValue(ValueError):
    """A value of a file that its option does not take; the message says what is allowed."""


def key_of(option: click.Parameter) -> str:
    """The long name of an option, without dashes before it."""
    return next((name for name in option.opts if name.startswith("--")), option.opts[0]).lstrip("-")


def from_file(option: click.Option, value: Any, folder: Path) -> str | bool | list[str]:
    """A value of a file as the command line would write it; paths are as seen from the folder.

    Raises WrongValue.
    """
    if option.is_flag:
        return _of_type(value, bool, "true or false")
    if option.multiple:
        values = value if isinstance(value, list) else [value]
        return [_placed(option, _of_type(v, str, "a list of texts"), folder) for v in values]
    return _single(option, value, folder)


def _single(option: click.Option, value: Any, folder: Path) -> str:
    kind = option.type
    if isinstance(kind, Numbers | Shots):
        words = ("all",) if isinstance(kind, Shots) else ()
        expected = "a list of whole numbers" + (' or "all"' if words else "") + ", such as [1, 2]"
        values = value if isinstance(value, list) else [value]
        return ",".join(v if v in words else str(_of_type(v, int, expected)) for v in values)
    if isinstance(kind, Names):
        values = value if isinstance(value, list) else [value]
        return ",".join(_of_type(v, str, "a list of texts") for v in values)
    if isinstance(kind, NumberOr):
        expected = f'a whole number or "{kind.unset}"'
        return value if value == kind.unset else str(_of_type(value, int, expected))
    if isinstance(kind, click.types.IntParamType):
        return str(_of_type(value, int, "a whole number"))
    if isinstance(kind, click.types.FloatParamType):
        return repr(_of_type(value, (int, float), "a number"))
    return _placed(option, _of_type(value, str, "a text"), folder)


def _of_type(value: Any, kinds: type | tuple[type, ...], expected: str) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise WrongValue(f"must be {expected}")
    return value


def checked(option: click.Option, text: str | bool | list[str], context: click.Context) -> None:
    """Raise WrongValue at a value that the option refuses, with the option's reason."""
    try:
        value = option.type_cast_value(context, text)
    except click.BadParameter as error:
        raise WrongValue(f"is not allowed: {error.message}") from error
    if isinstance(option, DeclaredOption) and value is not None:
        check_value(key_of(option), option.declaration, value)


def names_code(option: click.Option, text: str | bool | list[str]) -> str | None:
    """The first value that would have code of the user's run: a function, or a Python file."""
    if key_of(option) not in (*OF_NETS, *OF_DATASETS):
        return None
    values = text if isinstance(text, list) else [str(text)]
    return next((value for value in values if _CODE.search(value)), None)


def _placed(option: click.Option, text: str, folder: Path) -> str:
    """A text of a file as seen from the current folder, if it is a path."""
    if "\0" in text:
        raise WrongValue("must be a text without zero bytes")
    if isinstance(option.type, click.Path):
        if is_url(text):
            return text
        # A slash at the end says that it is a folder.
        return str(folder / Path(text).expanduser()) + "/" * text.endswith("/")
    if folder == Path():
        return text
    if key_of(option) in OF_DATASETS:
        return _beside(text, folder) if _is_no_name(text) else text
    if key_of(option) in OF_NETS:
        if (folder / text).is_file():  # its name may have a + in it
            return str(folder / text)
        return "+".join(_net_beside(net, folder) for net in text.split("+"))
    return text


def _net_beside(text: str, folder: Path) -> str:
    name, at, weights = text.rpartition("@")
    label, equals, file = weights.partition("=")  # NAME=FILE, what tables call it
    if not at and equals and (folder / file.partition(":")[0].strip()).is_file():
        return f"{label}{equals}{_beside(file.strip(), folder)}"
    return f"{name}{at}{_beside(weights, folder)}"


def _beside(text: str, folder: Path) -> str:
    """PATH or PATH:MORE with the path as seen from here, if it is there."""
    path, colon, more = text.partition(":")
    return f"{folder / path}{colon}{more}" if path and (folder / path).exists() else text


def _is_no_name(text: str) -> bool:
    """Whether no benchmark is called so: its name comes before that of a folder."""
    if not text.isidentifier():
        return True
    from vggfeat.benchmarks.datasets.registry import DATASETS  # 2 s to import

    return text not in {definition.name for definition in DATASETS}


def words_of(option: click.Parameter, value: Any) -> list[str]:
    """The words by which the command line says a parsed value; none where it cannot be said."""
    if isinstance(option, click.Argument):
        return [str(v) for v in (value if option.nargs != 1 else [value]) if v is not None]
    flag = f"--{key_of(option)}"
    if option.is_flag:
        return [flag] if value else option.secondary_opts[:1]
    return [word for text in texts_of(option, value) for word in (flag, text)]


def texts_of(option: click.Parameter, value: Any) -> list[str]:
    """A parsed value as texts: one for each time that the option is to be given."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if option.multiple or option.nargs != 1:
        return list(map(str, value))
    if isinstance(option.type, NumberOr):
        return [option.type.unset if value is None else str(value)]
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [",".join("all" if v is None else str(v) for v in value)] if value else []
    return [str(value)]
