"""Pictures that come part by part -> a folder of shards, by one process or many.

Processes share nothing but the folder and the claims of parts; no file is locked, so that any file
system will do. Batches are planned within a part, so that one or many processes give the same bits.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vggfeat import images
from vggfeat.backbones.load import NetName, load_network
from vggfeat.errors import OptionError, PictureError, StoreError
from vggfeat.features.batch_pixels import is_measured, measured_batch_pixels
from vggfeat.features.batches import BATCH_PIXELS
from vggfeat.features.conditions import check_scales, conditions
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.options import Extraction
from vggfeat.features.pipeline import ExtractionRun
from vggfeat.features.shards.folder import COMPRESSIONS, Manifest, ShardFolder, parse_manifest
from vggfeat.features.shards.index import IndexFacts
from vggfeat.features.shards.index_build import build_index, facts_of_current, table_of
from vggfeat.features.shards.progress import PicturesDone
from vggfeat.features.shards.shard import ShardMaker
from vggfeat.features.stage_times import StageTimes
from vggfeat.layouts.picture_parts import Part, PictureParts
from vggfeat.plurals import counted
from vggfeat.processes.claims import handed_out
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress, no_progress
from vggfeat.storage.late_files import wait_until_seen

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ShardedExtraction:
    """What came of an extraction into a folder of shards."""

    folder: Path
    num_rows: int  # of all shards; in processes that do not lead, what they computed
    num_new: int  # rows of shards that this run made, by whichever process
    num_computed: int  # pictures that went through the net in this process
    seconds: float
    num_broken: int = 0  # what is no picture that can be read: FOLDER/broken.csv
    num_duplicates: int = 0  # rows whose id stands in an earlier one: FOLDER/duplicates.csv
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
    if compression not in (None, *COMPRESSIONS):
        raise OptionError(f"compression must be one of {list(COMPRESSIONS)}; got {compression!r}.")
    started = time.monotonic()
    network = load_network(network)
    check_scales(network, options)
    run = _ShardsRun(parts, Descriptor(network), options, ShardFolder(Path(folder)), progress)
    run.begin(compression, workers)
    run.extract(workers)
    facts = run.join(workers) if workers.leads else IndexFacts(run.num_computed, 0, 0)
    return ShardedExtraction(
        folder=Path(folder),
        num_new=run.num_new if workers.leads else run.num_computed,
        num_computed=run.num_computed,
        seconds=time.monotonic() - started,
        stage_seconds=run.times.seconds,
        **vars(facts),
    )


class _ShardsRun:
    """The shards that this process makes; num_computed and times are their result, and num_new,
    once the process that leads has joined all."""

    def __init__(
        self,
        parts: PictureParts,
        head: Descriptor,
        options: Extraction,
        folder: ShardFolder,
        progress: Progress,
    ):
        self.parts, self.head, self.options = parts, head, options
        self.folder, self.progress = folder, progress
        self.module = head.module  # weights that do not fit are noticed before a file is made
        self.num_computed = self.num_new = 0
        self.times = StageTimes()

    def begin(self, compression: str | None, workers: Workers) -> None:
        """Agree on the folder's manifest, which the process that leads writes."""
        name = workers.numbered("shards")  # not by the folder, which machines may name otherwise
        if workers.leads:
            self.manifest = self.folder.begin(self._asked(compression))
            # Before the others begin: what they make is new.
            parts = range(self.parts.num_parts)
            self.made_before = np.array([self.folder.shard(p).exists() for p in parts], bool)
            workers.announce(name, self.manifest.to_json())
        else:  # a shared file system may show the file much later
            text = workers.wait_for(name)
            self.manifest = parse_manifest(text, self.folder.manifest_path)
        self.head.batch_pixels = self.manifest.batch_pixels or BATCH_PIXELS

    def _asked(self, compression: str | None) -> Manifest:
        network = self.head.network
        return Manifest(
            conditions=conditions(self.parts.name, network, self.options),
            weights_name=network.weights,
            dim=self.head.dim,
            source=self.parts.digest,
            num_parts=self.parts.num_parts,
            compression=compression,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            batch_pixels=self._measured_batch_pixels(),
        )

    def _measured_batch_pixels(self) -> int | None:
        """Pixels a batch on a GPU, by the first pictures there are, unless it was measured."""
        if self.folder.manifest_path.exists() or not self.parts.num_parts:
            return None
        if not is_measured(self.options):
            return None  # a part is not opened, which may be far away
        with self.parts.opened(0) as part:
            return measured_batch_pixels(
                self.head, self.module, self.options, part.pictures, self.folder.shard(0)
            )

    def extract(self, workers: Workers) -> None:
        """Make the shards that nobody else makes."""
        num_parts = self.parts.num_parts
        claims = handed_out(
            workers, "shards", num_parts, is_done=lambda part: self.folder.shard(part).exists()
        )
        label = f"extracting {self.head.network.label}"
        done = PicturesDone(self.progress, label, num_parts, workers.size)
        for claim in claims:
            maker = ShardMaker(self.folder, self.manifest, claim)
            try:
                with self.parts.opened(claim.part) as part:
                    done.begin(claim.part, len(part.pictures))
                    self._make(maker, part, done)
            except (OSError, StoreError):  # as of files that a faster process has removed
                if not self.folder.shard(claim.part).exists():
                    raise
        done.end()

    def join(self, workers: Workers) -> IndexFacts:
        """Write the index, unless it is of these shards already; what it says."""
        if workers.size > 1:
            wait_until_seen(self.folder.shard(part) for part in range(self.parts.num_parts))
        table = table_of(self.folder, self.parts.num_parts)
        self.num_new = int(table.num_rows[~self.made_before].sum())
        facts = facts_of_current(self.folder, table)
        facts = facts or build_index(self.folder, self.manifest, table, self.progress)
        if facts.num_duplicates:
            log.warning(
                "%s: %s the id of an earlier one, whose row is found by it: %s",
                self.folder.path, counted(facts.num_duplicates, "row has", "rows have"),
                self.folder.duplicates_list,
            )  # fmt: skip
        return facts

    def _make(self, maker: ShardMaker, part: Part, progress: Progress) -> None:
        if part.broken and self.options.on_error == "stop":
            name, reason = next(iter(part.broken.items()))
            raise PictureError(
                f"{name}: {reason}. Use --on-error skip to go on without it (in Python"
                " on_error='skip')."
            )
        file_bytes = {i: images.picture_bytes(picture) for i, picture in part.pictures.items()}
        with maker.writer(file_bytes) as writer:
            run = ExtractionRun(
                self.head, self.options, part.pictures, [writer], progress, times=self.times
            )
            run.extract(self.module)
        self.num_computed += run.num_new
        maker.finish({**part.broken, **run.loader.skipped})
