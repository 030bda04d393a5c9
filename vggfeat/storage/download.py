"""Download a file from the first mirror that serves it, resuming what an earlier run began.

Bytes go to a hidden partial file beside the target, named after the file and its digest, so that a
later run, or another mirror of the same file, resumes it. The file gets its name only once length
and digest fit.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from vggfeat.errors import DownloadError
from vggfeat.progress import Progress, no_progress
from vggfeat.storage.connection import (
    ConnectionCut,
    RangeRefused,
    TransferError,
    WrongContent,
    disk_errors,
    length_of,
    transfer,
)
from vggfeat.storage.locks import exclusive
from vggfeat.storage.sources import Source

log = logging.getLogger(__name__)

NUM_TRIES = 5  # connections to one address, as long as each of them brings bytes
PAUSE_S = 2.0  # before connecting again after a cut


def download(
    sources: Sequence[Source],
    folder: Path,
    *,
    offline: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Fetch the file of the first source that serves it whole, and return its path in `folder`.

    A file that is there is taken as it is: it was verified before it got its name, or was put
    there by hand. The bytes in an earlier run's partial file are not fetched again. Of two
    processes the second waits for the first and takes its file. Raises DownloadError.
    """
    if path := _present(sources, folder):
        return path
    # Mirrors often have the same file.
    digests = dict.fromkeys(f"{s.name} ({s.algorithm} {s.digest})" for s in sources)
    by_hand = " or ".join(digests)
    if offline:
        raise DownloadError(
            f"{folder} lacks the file, and nothing may be fetched (--offline or --dry-run)."
            f" Put there by hand: {by_hand}."
        )
    reasons = []
    with ExitStack() as locks:
        with disk_errors(folder):
            for name in sorted({source.name for source in sources}):
                locks.enter_context(exclusive(folder / name))
        if path := _present(sources, folder):  # by the process that we have waited for
            return path
        for source in sources:
            partial = source.partial_path(folder)
            try:
                for done, total in _fetch(source, partial):
                    progress(f"fetching {source.name}", done, total)
            except TransferError as error:
                reasons.append(f"{source.url}: {error}")
                continue
            with disk_errors(folder):
                os.replace(partial, folder / source.name)
                for mirror in sources:
                    mirror.partial_path(folder).unlink(missing_ok=True)
            return folder / source.name
        num_kept = max((length_of(source.partial_path(folder)) for source in sources), default=0)
        again = f"Try again ({num_kept:,} bytes came and are kept)" if num_kept else "Try again"
        raise DownloadError(
            f"Nothing could be fetched ({'; '.join(reasons)})."
            f" {again}, or put into {folder} by hand: {by_hand}."
        )


def _present(sources: Sequence[Source], folder: Path) -> Path | None:
    paths = (folder / source.name for source in sources)
    return next((path for path in paths if path.is_file()), None)


def _fetch(source: Source, partial: Path) -> Iterator[tuple[int, int]]:
    """Fill the partial file from one address until it is on disk whole and verified.

    Yields (bytes done, bytes in all or 0). Raises TransferError, or DownloadError if the disk is at
    fault and no other address would do better.
    """
    inherited = length_of(partial) > 0  # from an earlier run or another mirror
    ended_at = None
    for number in range(1, NUM_TRIES + 1):
        try:
            yield from transfer(source, partial)
            return
        except RangeRefused:
            _remove(partial)
        except WrongContent as wrong:
            _remove(partial)
            # The bytes that were there before may be the wrong ones.
            if not (inherited and wrong.start) or number == NUM_TRIES:
                raise
            inherited = False
            log.info("%s: %s; starting again without what was there", source.url, wrong)
        except ConnectionCut as cut:
            if cut.done == ended_at:  # it will do no better a third time
                raise TransferError(f"{cut} each time: more is promised than sent") from cut
            if cut.done == cut.extent.start or number == NUM_TRIES:
                raise TransferError(str(cut)) from cut
            ended_at = cut.done
            log.info("%s: %s; trying again", source.url, cut)
            time.sleep(PAUSE_S)
    raise TransferError("it does not go on from where it is asked to")


def _remove(partial: Path) -> None:
    with disk_errors(partial.parent):
        partial.unlink(missing_ok=True)
