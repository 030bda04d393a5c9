"""Nothing of vggfeat needs what Python has on POSIX systems alone: modules, functions, signals.

No other system than Linux is tried; this holds what can be seen from here.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from test_layering import modules

MODULES = (
    "crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty",
)  # fmt: skip
# What Windows, macOS or both lack; a `hasattr` in the same file must ask for it.
ATTRIBUTES = {
    "os": {
        "fork", "forkpty", "getgid", "getloadavg", "getpgid", "getuid", "kill", "killpg", "mkfifo",
        "nice", "openpty", "posix_fadvise", "posix_fallocate", "register_at_fork",
        "sched_getaffinity", "sched_setaffinity", "setsid", "statvfs", "sysconf", "uname", "wait4",
        "waitpid", "WNOHANG",
    },
    "signal": {
        "ITIMER_PROF", "ITIMER_REAL", "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE",
        "SIGPROF", "SIGQUIT", "SIGUSR1", "SIGUSR2", "alarm", "pthread_kill", "pthread_sigmask",
        "setitimer", "sigwait",
    },
}  # fmt: skip
ALONE = ("__main__", "benchmarks.speed.visbench_job")  # a command, and one with a peer's package
SISTERS = {  # what is asked for instead of a name, as both are there or neither
    "sched_setaffinity": "sched_getaffinity",
    "ITIMER_PROF": "setitimer",
    "ITIMER_REAL": "setitimer",
    "sysconf": "sysconf_names",
}
BLOCKED_IMPORT = """
import builtins, importlib, sys
blocked, names = sys.argv[1].split(","), sys.argv[2:]
real = builtins.__import__
def hindered(name, globals=None, *rest, **named):
    if name in blocked and (globals or {}).get("__name__", "").startswith("vggfeat"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, *rest, **named)
builtins.__import__ = hindered
for name in names:
    importlib.import_module(name)
"""


def unguarded(source: str) -> list[str]:
    """Imports outside of `try` and functions, and attributes that nothing asks for, by line."""
    tree, found = ast.parse(source), []
    text = ast.unparse(tree)
    guarded = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.Try)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        found += [
            f"line {node.lineno}: import {name}"
            for name in names
            if name in MODULES and node not in guarded
        ]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            base, name = node.value.id, SISTERS.get(node.attr, node.attr)
            questions = (f"hasattr({base}, '{name}')", f"getattr({base}, '{name}',")
            if node.attr in ATTRIBUTES.get(base, ()) and not any(q in text for q in questions):
                found.append(f"line {node.lineno}: {base}.{node.attr}")
    return found


@pytest.mark.parametrize("name", sorted(modules()))
def test_what_some_systems_lack_is_asked_for_before_it_is_used(name):
    assert unguarded(modules()[name].read_text()) == []


def test_the_test_sees_what_is_not_asked_for():
    assert unguarded("import fcntl") == ["line 1: import fcntl"]
    assert unguarded("from resource import getrusage") == ["line 1: import resource"]
    assert unguarded("try:\n    import fcntl\nexcept ImportError:\n    fcntl = None") == []
    assert unguarded("import os\nos.fork()") == ["line 2: os.fork"]
    assert unguarded("def f():\n    return os.uname() if hasattr(os, 'uname') else ''") == []


@pytest.mark.slow
def test_every_module_is_imported_where_these_modules_are_missing():
    names = [f"vggfeat.{name}" for name in sorted(modules()) if name not in ALONE]
    command = [sys.executable, "-c", BLOCKED_IMPORT, ",".join(MODULES), *names]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
    assert result.returncode == 0, result.stderr
