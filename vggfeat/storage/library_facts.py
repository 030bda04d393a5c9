"""Facts of a library that take seconds to import and look up, kept in the cache folder: `known`.

They hold as long as the library's files are as they were, and vggfeat's own. In a process that has
imported the library already it is asked itself, as whoever did so may have added to it.
"""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vggfeat.storage.checksums import digest_of_json, is_damaged, is_sealed, parse_json, sealed
from vggfeat.storage.files import new_file
from vggfeat.storage.folders import folders

log = logging.getLogger(__name__)

DEPENDED_ON = ("torch", "vggfeat")  # facts of any library follow from them, too
LARGE = {"torch": ("__init__.py", "version.py")}  # of thousands of files, those that differ


def known(library: str, question: list[Any], look_up: Callable[[], dict[str, Any]]) -> Any:
    """What `look_up()` returns, plain JSON, or what it returned when it was asked this before.

    Raises what `look_up` raises.
    """
    key = None if library in sys.modules else _key(library, question)
    if key is None:
        return look_up()
    path = folders().cache / "libraries" / f"{library}-{key[:32]}.json"
    facts = _read(path, key)
    if facts is None:
        facts = look_up()
        _write(path, key, facts)
    return facts


def _key(library: str, question: list[Any]) -> str | None:
    """The digest of the question and of the state of all code; None if the library is not there."""
    states = [_state(name) for name in (library, *DEPENDED_ON)]
    return None if None in states else digest_of_json([sys.version, question, *states])


def _state(package: str) -> str | None:
    """A digest of the places, sizes and times of a package's files."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    digest = hashlib.sha256(str(folder).encode())
    try:
        chosen = LARGE.get(package)
        paths = [folder / name for name in chosen] if chosen else sorted(_modules(str(folder)))
        for path in paths:
            state = os.stat(path)
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    except OSError:
        return None
    return digest.hexdigest()


def _modules(folder: str) -> Iterator[str]:
    """The paths of the Python files in a folder and below."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _modules(entry.path)
            elif entry.name.endswith(".py"):
                yield entry.path


def _read(path: Path, key: str) -> dict[str, Any] | None:
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not is_sealed(content) or is_damaged(content):
        return None
    return content.get("facts") if content.get("key") == key else None


def _write(path: Path, key: str, facts: dict[str, Any]) -> None:
    """Keep facts; where nothing can be written they are looked up each time."""
    try:
        with new_file(path) as file:
            file.write(json.dumps(sealed({"key": key, "facts": facts})).encode())
    except OSError as error:
        log.debug("%s: not kept (%s)", path, error)
