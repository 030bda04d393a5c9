"""An extraction that several processes share: parts of it are handed out, done, and counted.

Each part that a process takes becomes a file of its own, see part_files.py. Nothing fails here but
a process: what a part could not do, the extraction that follows in the leading process finds
missing, does, or says why it cannot be done.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from torch import nn

from vggfeat import images
from vggfeat.errors import StoreError, in_one_line
from vggfeat.features import part_files, store
from vggfeat.features.batches import BATCH_PIXELS
from vggfeat.features.heads.head import Head
from vggfeat.features.incomplete import Incomplete
from vggfeat.features.inference import for_inference
from vggfeat.features.merging import ids_in
from vggfeat.features.part_plan import Plan
from vggfeat.features.pipeline import ExtractionRun
from vggfeat.features.stage_times import StageTimes
from vggfeat.processes.claims import Claim, handed_out
from vggfeat.processes.launched import processes_here
from vggfeat.processes.meeting import StoreLost
from vggfeat.processes.workers import WorkerFailed, Workers
from vggfeat.progress import Progress, no_progress
from vggfeat.provenance import library_versions
from vggfeat.storage.late_files import wait_until_seen

log = logging.getLogger(__name__)

FOLDER_S = 90.0  # until a file server shows a new folder to all machines


@dataclass(frozen=True)
class Shared:
    """What several processes extracted together."""

    skipped: Mapping[str, str] = field(default_factory=dict)  # id -> why its header is unreadable
    num_parts: int = 0
    num_new: int = 0  # pictures
    seconds: float = 0.0
    scale_seconds: Mapping[int, float] = field(default_factory=dict)  # summed over processes
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


class SharedExtraction:
    """One extraction that all processes work at, each with an object of its own.

    job is its name among them; lack is what the leading process found missing, as far as others
    need it: its pictures, nets, options and files.
    """

    def __init__(
        self,
        workers: Workers,
        job: str,
        lack: Incomplete,
        *,
        batch_pixels: int | None,
        num_parts: int,
        progress: Progress = no_progress,
    ):
        self.workers, self.job, self.lack = workers, job, lack
        self.batch_pixels, self.num_parts, self.progress = batch_pixels, num_parts, progress
        self.total = 0  # pictures of all parts, where that is known
        self.is_late = False  # whether another process has a part of this one's meanwhile

    def lead(self, plan: Plan) -> Shared:
        """Hand the parts of the plan out, do some, and wait for the others' to be done.

        The folders of the parts are there.
        """
        began = time.monotonic()
        for number, part in enumerate(plan.parts):
            self.workers.announce(f"{self.job}/part{number}", [part.scales, part.batches])
        self.workers.announce(f"{self.job}/ready")
        self.total = sum(part.num_pictures for part in plan.parts)
        self.take_parts()
        self.workers.announce(f"{self.job}/over")
        if processes_here() < self.workers.size:  # on other machines, too
            wait_until_seen(self._made())
        self._report(f"extracting {self.lack.network.label}", 0, 0)
        if self.workers.announced(f"{self.job}/stopped"):
            stopped = self.workers.wait_for(f"{self.job}/stopped")
            log.info(
                "one process goes on with what is missing, as another had to stop: %s", stopped
            )
        of_one_kind = len({part.scales for part in plan.parts}) == 1
        scales = plan.parts[0].scales if of_one_kind else ()
        return Shared(
            skipped=plan.skipped,
            num_parts=len(plan.parts),
            num_new=self._sum("pictures"),
            seconds=time.monotonic() - began,
            scale_seconds={scale: self._sum(f"scale {scale}") / 1e6 for scale in scales},
            stage_seconds={
                stage: seconds
                for stage in StageTimes().seconds
                if (seconds := self._sum(stage) / 1e6)
            },
        )

    def follow(self) -> None:
        """Do parts until all are done. Raises StoreError if the leader's folder is not seen."""
        self.workers.wait_for(f"{self.job}/ready")
        if all(self._sees(part_files.folder_of(path)) for path in self.lack.files):
            self.take_parts()
        for path in self.lack.files if self.is_late else ():
            part_files.clear(path)  # what was merged while this process wrote to it

    def take_parts(self) -> None:
        """Do one part after the other. An error ends all processes' work at this extraction."""
        stopped = f"{self.job}/stopped"
        for claim in handed_out(self.workers, self.job, self.num_parts, is_done=lambda _: False):
            if self.workers.announced(stopped):
                continue
            try:
                self._extract(claim)
            except (WorkerFailed, StoreLost):
                raise
            except Exception as error:
                log.debug("part %d: left to the leading process", claim.part, exc_info=error)
                self.workers.announce(stopped, f"{type(error).__name__}: {in_one_line(error)}")

    @cached_property
    def _joint(self) -> Head:
        joint = self.lack.joint_head()
        joint.batch_pixels = self.batch_pixels or BATCH_PIXELS
        return joint

    @cached_property
    def _module(self) -> nn.Module:
        """Prepared once: what prepares it takes as long as many batches."""
        options, network = self.lack.options, self.lack.network
        return for_inference(
            self._joint.module, network, options.resolved_device, options.resolved_precision
        )

    @cached_property
    def _ids(self) -> list[str]:
        return list(self.lack.pictures)

    @cached_property
    def _dims(self) -> dict[Path, int]:
        return {path: self.lack.head(net).dim for path, (net, _) in self.lack.files.items()}

    def _extract(self, claim: Claim) -> None:
        """Do a part: its pictures into a part file of each feature file."""
        scales, rows = self.workers.wait_for(f"{self.job}/part{claim.part}")
        options = replace(self.lack.options, scales=tuple(scales))
        batches = [[self._ids[row] for row in batch] for batch in rows]
        pictures = {i: self.lack.pictures[i] for batch in batches for i in batch}
        file_bytes = {i: images.picture_bytes(picture) for i, picture in pictures.items()}
        with ExitStack() as opened:
            writers = []
            done: list[set[str]] = []
            for path in self.lack.files:
                wanted = replace(self.lack.files[path][1], scales=options.scales)
                done.append(self._done_before(path, claim, wanted, file_bytes))
                writers.append(opened.enter_context(self._writer(path, claim, wanted, file_bytes)))
            of_all = set.intersection(*done)
            left = [kept for ids in batches if (kept := [i for i in ids if i not in of_all])]
            run = ExtractionRun(self._joint, options, pictures, writers, self._report)
            run.loader.skipped_level = logging.DEBUG  # the extraction that follows says it
            run.extract_batches(self._module, left)
        self.workers.announce(f"{self.job}/made{claim.part}", claim.token)
        self.is_late |= claim.lost
        self._note(run, len(pictures))

    def _made(self) -> Iterator[Path]:
        """The part files of whoever came to the end of a part last."""
        for part in range(self.num_parts):
            if self.workers.announced(made := f"{self.job}/made{part}"):  # else nobody could
                token = self.workers.wait_for(made)
                for path in self.lack.files:
                    yield part_files.part_path(path, part, token)

    def _writer(
        self, path: Path, claim: Claim, wanted: store.Conditions, file_bytes: Mapping[str, int]
    ) -> store.FeatureWriter:
        make = partial(
            store.FeatureWriter,
            part_files.part_path(path, claim.part, claim.token),
            wanted,
            dim=self._dims[path],
            file_bytes=file_bytes,
            weights_name=self.lack.files[path][0].weights,
            versions=library_versions(),
            batch_pixels=self.batch_pixels,
        )
        try:
            return make()
        except FileNotFoundError:  # another job removed the folder, which was empty
            return make()

    def _done_before(
        self, path: Path, claim: Claim, wanted: store.Conditions, file_bytes: Mapping[str, int]
    ) -> set[str]:
        """The pictures of a part that a process has done from which it was taken over."""
        alone = store.OtherScales(None, "", wanted, {}, path=path)
        there = part_files.paths(path, claim.part)
        return ids_in(there, alone, file_bytes, self.lack.changeable)

    def _note(self, run: ExtractionRun, num_pictures: int) -> None:
        """Add what a part took to the sums of all processes."""
        sums = Counter({"pictures": run.num_new, "progress": num_pictures})
        sums.update({f"scale {scale}": int(1e6 * s) for scale, s in run.scale_seconds.items()})
        sums.update({stage: int(1e6 * seconds) for stage, seconds in run.times.seconds.items()})
        for name, value in sums.items():
            self.workers.store.add(f"{self.job}/sum {name}", value)

    def _sum(self, name: str) -> int:
        return self.workers.store.add(f"{self.job}/sum {name}", 0)

    def _report(self, label: str, done: int, total: int) -> None:
        """Report how far all processes are, whenever this one has done a batch."""
        if self.total:
            self.progress(label, min(self._sum("progress") + done, self.total), self.total)

    def _sees(self, folder: Path) -> bool:
        """Whether there is something left to do in the folder that the leading process made."""
        ends = time.monotonic() + FOLDER_S
        for _ in self.workers.looks():
            if self.workers.announced(f"{self.job}/over"):
                return False  # it may be gone again
            if folder.is_dir():
                break
            if time.monotonic() > ends:
                raise StoreError(
                    f"{folder}: the leading process has made this folder, and this one does not"
                    " see it. Feature files must lie where all machines see them: name such a"
                    " folder by --cache-dir or --to."
                )
        return True
