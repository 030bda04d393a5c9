"""Pictures that hold something else than when they were extracted, though their files' sizes agree.

Pictures of a published dataset do not change; a user's do. Whoever writes to a file changes one of
its times, so that only files written since are read and compared by their SHA-256.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from vggfeat import images
from vggfeat.errors import StoreError
from vggfeat.features import store

log = logging.getLogger(__name__)

MARGIN = 60.0  # seconds that the clocks of two machines may differ


def forget_changed(path: Path, pictures: Mapping[str, images.Picture]) -> int:
    """Have pictures extracted again that are others now than a feature file knows; how many.

    Nothing is done where the file is not there, cannot be read, or does not say what its pictures
    held.
    """
    changed = changed_since(path, pictures)
    if not changed:
        return 0
    log.warning(
        "%s: %d of its pictures hold something else now, %r among them; they are extracted again",
        path, len(changed), changed[0],
    )  # fmt: skip
    return store.forget(path, changed)


def changed_since(path: Path, pictures: Mapping[str, images.Picture]) -> list[str]:
    """The ids of pictures that are others now than a feature file knows, as far as it does.

    A picture that cannot be read now is no reason to lose its descriptor.
    """
    if not path.is_file():
        return []
    try:
        made, known = store.known_digests(path)
    except StoreError:
        return []  # whoever writes to it says why
    there = {i: picture for i, picture in pictures.items() if i in known}
    written = {i: there[i] for i in written_since(there, made)} if there else {}
    return [i for i, picture in written.items() if images.digest(picture) not in (b"", known[i])]


def written_since(pictures: Mapping[str, images.Picture], time: str) -> list[str]:
    """The ids of pictures whose files were written, renamed or copied since a time in ISO 8601."""
    earliest = datetime.fromisoformat(time).timestamp() - MARGIN
    return [i for i, picture in pictures.items() if _written(picture) >= earliest]


def content_sha256(digests: Mapping[str, bytes]) -> str:
    """One digest of what all pictures hold: of their ids and the SHA-256 of their files."""
    listed = sorted((i, digest.hex()) for i, digest in digests.items())
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _written(picture: images.Picture) -> float:
    """When a picture's file was last written or changed its name; 0 where it cannot be seen.

    Of a row of which nobody knows the file that may be now, and so it is compared.
    """
    path = picture if isinstance(picture, Path) else picture.path
    if path is None:
        return math.inf
    try:
        status = os.stat(path)
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_ctime)
