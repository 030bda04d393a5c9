"""What `vggfeat extract --images SOURCE --to FOLDER/` does: descriptors in a folder of shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vggfeat.backbones.check import check_net
from vggfeat.backbones.load import load_fusions
from vggfeat.backbones.spec import Fusion
from vggfeat.errors import DatasetError, OptionError
from vggfeat.features.options import Extraction
from vggfeat.features.shards.extraction import ShardedExtraction, extract_shards
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.open_parts import ROWS, open_parts
from vggfeat.plurals import counted
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress
from vggfeat.storage import files
from vggfeat.storage.folders import Folders


@dataclass(frozen=True, kw_only=True)
class ShardJob:
    """What the user asked for: the descriptors of a source's pictures in a folder of shards."""

    images: str  # what `open_parts` takes
    nets: Sequence[Fusion]
    folders: Folders
    options: Extraction
    to: Path
    rows: int = ROWS
    compression: str | None = None
    offline: bool = False

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is fetched; OSError."""
        specs = [spec for fusion in self.nets for spec in fusion]
        for spec in specs:
            check_net(spec)
        if len(specs) != 1:
            raise OptionError(
                f"{self.to}: holds the descriptors of one net at one layer, and {len(specs)} are"
                f" asked for. Give each its own command and folder, such as --net {specs[0]}."
            )
        try:
            files.check_writable(self.to)
        except (FileExistsError, NotADirectoryError) as error:
            raise OptionError(
                f"{self.to}: {error.filename} is no folder. Choose another one by --to."
            ) from error


def extract_into_shards(
    job: ShardJob, progress: Progress, workers: Workers = ALONE
) -> tuple[str, ShardedExtraction]:
    """Make the shards that are missing; the net as it is called, and what came of it.

    Raises VggfeatError and OSError.
    """
    job.check()
    parts = open_parts(job.images, copies=job.folders.copies, rows=job.rows, offline=job.offline)
    with workers.leader_first("nets"):
        fusions = load_fusions(job.nets, weights_dir=job.folders.weights, offline=job.offline)
    ((network,),) = fusions
    made = extract_shards(
        parts,
        network,
        job.options,
        folder=job.to,
        compression=job.compression,
        workers=workers,
        progress=progress,
    )
    if workers.leads and not made.num_rows:
        raise DatasetError(
            f"{job.images}: holds no picture that can be read"
            f" ({', '.join(PICTURE_SUFFIXES)}; hidden files and folders are left out), and"
            f" {counted(made.num_broken, 'broken one')}. Name another source by --images, and"
            f" another folder than {job.to} by --to."
        )
    return network.label, made
