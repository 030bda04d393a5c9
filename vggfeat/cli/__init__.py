"""The command line: parse, make one call, show what comes back.

Numbers and tables go to stdout, everything else to stderr. What a user can cause ends in one line
and exit status 1, wrong usage in 2, an interrupt in 130, other
signals in 128 and their number.
"""

from vggfeat.interruption import signals_end_at_once

with signals_end_at_once():
    from vggfeat.cli.group import main

__all__ = ["main"]
