"""How this command is typed where the user is, which need not be "vggfeat"."""

import shlex
import shutil
import sys
from pathlib import Path


def command_name() -> str:
    """`vggfeat` where the shell finds this very one by that name, else what was typed instead."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":  # python -m vggfeat
        return f"{_from_here(Path(sys.executable))} -m vggfeat"
    found = shutil.which("vggfeat")
    if program.stem != "vggfeat" or (found and Path(found).resolve() == program.resolve()):
        return "vggfeat"
    return _from_here(program)


def _from_here(path: Path) -> str:
    """A path as a shell takes it, from the current folder where it lies below."""
    path, here = path.absolute(), Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
