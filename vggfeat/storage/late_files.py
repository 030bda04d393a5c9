"""Files of other machines, which a shared file system may show late: `wait_until_seen`."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

# NFS remembers for up to a minute that a file was not there, or what a folder held.
SEEN_AFTER_S, LOOK_EVERY_S = 120.0, 0.5


def wait_until_seen(paths: Iterable[Path]) -> None:
    """Wait until all of these files are seen here, but no longer than SEEN_AFTER_S in all."""
    give_up = time.monotonic() + SEEN_AFTER_S
    for path in paths:
        while not path.exists() and time.monotonic() < give_up:
            if path.parent.is_dir():
                os.listdir(path.parent)  # makes NFS look anew
            time.sleep(LOOK_EVERY_S)
