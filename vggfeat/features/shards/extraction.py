"""Pictures that come part by part -> a folder of shards, by one process or many.

Processes share nothing but the folder and the claims of parts; no file is locked, so that any file
system will do. Batches are planned within a part, so that one or many processes give the same bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vggfeat.backbones.load import NetName
from vggfeat.features.options import Extraction
from vggfeat.layouts.picture_parts import PictureParts
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress, no_progress


@dataclass(frozen=True, kw_only=True)
class ShardedExtraction:
    """What came of an extraction into a folder of shards."""

    folder: Path
    num_rows: int  # of all shards; in processes that do not lead, of those that they made
    num_new: int  # pictures that this process computed
    seconds: float
    num_broken: int = 0  # what is no picture that can be read
    broken_list: Path | None = None  # CSV: part, name, reason; None where nothing is broken
    num_duplicates: int = 0  # rows whose id stands in an earlier row
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


def extract_shards(
    parts: PictureParts,
    network: NetName,
    options: Extraction,
    *,
    folder: Path | str,
    compression: str | None = None,
    workers: Workers = ALONE,
    progress: Progress = no_progress,
) -> ShardedExtraction:
    """Make sure that every picture of the parts has its vectors in a shard of the folder.

    A part is a shard, FOLDER/NNN/part-NNNNNN.h5; what is done stays done whatever happens, and any
    number of processes goes on with it. compression is None or "gzip". The process that leads
    writes the index last. Raises PictureError at a picture that cannot be read unless
    options.on_error is "skip", OptionError at a scale too small for the net and at a compression
    that is not known, StoreError where the folder is of other conditions, another source or
    another compression, and DatasetError.
    """
    raise NotImplementedError
