"""vggfeat.toml, or [tool.vggfeat] of pyproject.toml: found in the current folder, read, never run.

    data-dir = "DATA"          # shared by all commands: one of SHARED
    [bench]                    # options of a command by their long names, with - or _
    net = ["vgg16", "vgg19"]
    scales = [256, 384]
    mirror = false

Whoever unpacks a folder of somebody else's has that one's file, too: it is data of limited size,
and one that was found, not named, may name no code.
"""

import difflib
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggfeat.errors import OptionError, nearest

NAME, PYPROJECT = "vggfeat.toml", "pyproject.toml"
VARIABLE = "VGGFEAT_CONFIG"  # names a file; empty: none is read
MAX_BYTES = 2**20
SHARED = ("cache-dir", "data-dir", "device", "offline", "quiet")  # mean the same in all commands
MAX_SHOWN = 60  # letters of a wrong value


@dataclass(frozen=True)
class ConfigFile:
    """What a file says; `named` is whether the user named it, rather than that it was found."""

    path: Path
    tables: Mapping[str, Any]
    named: bool

    def options(self, command: list[str], commands: Collection[str]) -> dict[str, tuple[str, Any]]:
        """Key, as options are written -> its place in words and its value, of one command.

        command has its name, and that of its group before it; commands are those of the program.
        Raises OptionError at what no command could mean.
        """
        found, at_root = {}, not command
        shared = {key: value for key, value in self.tables.items() if key not in commands}
        for key, value in self._keys(shared, ""):
            if key not in SHARED:
                is_table = isinstance(value, Mapping)
                # A misspelt table; or a misspelt key, unless it is one of a table such as [bench].
                hint = _hint(key, commands if is_table else difflib.get_close_matches(key, SHARED))
                raise OptionError(
                    f"{self.path}: there is no {key!r} outside of tables.{hint} Allowed there:"
                    f" {', '.join(SHARED)}; options of one command stand in its table, such as"
                    " [bench]."
                )
            found[key] = key, value
        table: Any = {} if at_root else self.tables
        for depth, name in enumerate(command, start=1):
            table = table.get(name, {})
            if not isinstance(table, Mapping):
                place = ".".join(command[:depth])
                raise OptionError(f"{self.path}: {place} must be a table: [{place}]; got {table}.")
        place = ".".join(command)
        return found | {key: (f"[{place}] {key}", v) for key, v in self._keys(table, place)}

    def _keys(self, table: Mapping[str, Any], place: str) -> list[tuple[str, Any]]:
        """Keys with - for _, and their values. Raises OptionError at one that is there twice."""
        keys = [key.replace("_", "-") for key in table]
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            where = f"[{place}] " if place else ""
            raise OptionError(f"{self.path}: {where}{twice[0]} is there twice, with - and with _.")
        return list(zip(keys, table.values(), strict=True))

    def unknown(self, place: str, key: str, known: Collection[str]) -> OptionError:
        """The error at a key that is no option of its command."""
        return OptionError(
            f"{self.path}: {place} is no option.{_hint(key, known)} Known: {', '.join(known)}."
        )


def find_config(named: Path | None) -> ConfigFile | None:
    """The file that was named, by VGGFEAT_CONFIG if not here; else that of the current folder.

    None if there is none. Raises OptionError at a file that cannot be understood, and where two
    would serve.
    """
    if named is None and VARIABLE in os.environ:
        text = os.environ[VARIABLE]
        named = Path(text).expanduser() if text else None
        if named is None:
            return None
    if named is not None:
        tables = _read(named)
        if named.name == PYPROJECT:
            tables = _section(tables, named)
            if tables is None:
                raise OptionError(f"{named}: has no [tool.vggfeat].")
        return ConfigFile(named, tables, named=True)
    own, project = Path(NAME), _of_project()
    if os.path.lexists(own):
        if project is not None:
            raise OptionError(
                f"{NAME} and [tool.vggfeat] of {PYPROJECT} are both here. Keep one of them, or name"
                " one with --config."
            )
        return ConfigFile(own, _read(own), named=False)
    return None if project is None else ConfigFile(Path(PYPROJECT), project, named=False)


def _of_project() -> Mapping[str, Any] | None:
    """[tool.vggfeat] of this folder's pyproject.toml; one that does not mention vggfeat is not
    understood but left alone."""
    path = Path(PYPROJECT)
    try:
        if not path.is_file() or b"vggfeat" not in path.read_bytes()[: MAX_BYTES + 1]:
            return None
    except OSError:
        return None
    return _section(_read(path), path)


def _section(tables: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    tool = tables.get("tool")
    section = tool.get("vggfeat") if isinstance(tool, Mapping) else None
    if section is not None and not isinstance(section, Mapping):
        raise OptionError(f"{path}: tool.vggfeat must be a table; got {shown(section)}.")
    return section


def _read(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises OptionError with the number of the line that is wrong."""
    import tomllib

    advice = f"Name a TOML file such as {NAME}."
    try:
        if not path.exists():
            raise OptionError(f"{path}: no such file. {advice}")
        if not path.is_file():
            raise OptionError(f"{path}: no file but a folder or a device. {advice}")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror}). {advice}") from error
    if len(content) > MAX_BYTES:
        raise OptionError(f"{path}: larger than {MAX_BYTES // 2**20} MiB. {advice}")
    try:
        return tomllib.loads(content.decode("utf-8-sig") + "\n")  # errors then name the last line
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise OptionError(f"{path}, line {line}: not in UTF-8. Save it as UTF-8.") from error
    except ValueError as error:  # TOMLDecodeError, and a number of thousands of digits
        raise OptionError(f"{path}: not TOML: {error}.") from error
    except RecursionError as error:
        raise OptionError(f"{path}: not TOML: too deep.") from error


def _hint(key: str, known: Collection[str]) -> str:
    near = nearest(key, known)
    return f" Did you mean {near!r}?" if near else ""


def shown(value: Any) -> str:
    """A value as an error quotes it, cut if it is long."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
