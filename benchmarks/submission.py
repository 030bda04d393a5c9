"""The archive for PASCAL VOC's evaluation server: a file of scores for each class.

    results/VOC2012/Main/comp2_cls_test_<class>.txt          lines: <picture> <score>
    results/VOC2012/Action/comp10_action_test_<action>.txt   lines: <picture> <person> <score>

comp2 and comp10 are the competitions open to any training data but VOC's test set, which is where
nets trained on ImageNet belong.
"""

import gzip
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggfeat.benchmarks.splits import Split


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A split whose test rows have no public labels, and how the server expects their scores."""

    split: Split
    file: str  # path in the archive, with {} for the class
    listed: np.ndarray  # [len(split.test), K] bool: which rows each class's test list has


def archive(
    file: str,
    classes: Sequence[str],
    ids: Sequence[str],
    listed: np.ndarray,
    scores: np.ndarray,
) -> bytes:
    """Pack scores into a .tar.gz of one file a class, called file.format(class).

    ids [n] as the lines name them; listed [n, K] and scores [n, K]. Only rows listed for a class
    get a line in its file, as the server stops at a name it does not know. Equal scores give
    equal bytes. A class that could not be trained (NaN) has scores of 0.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for k, name in enumerate(classes):
            column = np.nan_to_num(scores[:, k])
            lines = [f"{ids[row]} {column[row]:.8f}\n" for row in np.flatnonzero(listed[:, k])]
            content = "".join(lines).encode()
            entry = tarfile.TarInfo(file.format(name))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
