"""A dataset in a Python file of the user's, named `FILE.py:NAME`.

The file is run as Python, as the user names it for that. It may import modules that lie beside it.
"""

import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from os.path import expanduser
from pathlib import Path
from types import ModuleType

from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.errors import DatasetError, VggfeatError, reason_of

USER_FILE = re.compile(r"(?P<path>.+\.py):(?P<attribute>[^:/\\]*)")


def is_user_file(name: str) -> bool:
    """Whether a name is of the form `FILE.py:NAME`; no other name leads to a file."""
    return USER_FILE.fullmatch(name) is not None


def load_definition(name: str) -> DatasetDefinition:
    """The definition that `FILE.py:NAME` names; the file is run once in a process.

    Raises DatasetError if the file is missing or fails, or if NAME is not a definition in it.
    """
    match = USER_FILE.fullmatch(name)
    path, attribute = Path(expanduser(match["path"])), match["attribute"]
    if not path.is_file():
        raise DatasetError(f"{path}: no such file, which should define the dataset {attribute!r}.")
    module = _run(path.resolve())
    definitions = [key for key, v in vars(module).items() if isinstance(v, DatasetDefinition)]
    listed = f"it defines {', '.join(definitions)}" if definitions else "it defines no dataset"
    with named_errors(str(path)):  # a module may have a __getattr__ of its own
        definition = getattr(module, attribute, None)
    if definition is None:
        raise DatasetError(f"{path}: has no {attribute!r}; {listed}.")
    if not isinstance(definition, DatasetDefinition):
        raise DatasetError(
            f"{path}: {attribute!r} is a {type(definition).__name__}, not a DatasetDefinition;"
            f" {listed}."
        )
    return definition


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Errors of the user's code become a DatasetError of one line that names it."""
    try:
        yield
    except VggfeatError as error:
        raise DatasetError(f"{name}: {error}") from error
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise DatasetError(f"{name}: failed: {type(error).__name__}: {reason_of(error)}") from error


@cache
def _run(path: Path) -> ModuleType:
    """The file as a module that has been run."""
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()  # files in two folders may be namesakes
    name = f"vggfeat_dataset_{path.stem}_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that no installed module is hidden by it
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with named_errors(str(path)):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
