"""How long a job takes, how much disk, and which stage bounds it: `estimate`.

An extraction's stages overlap (features/pipeline.py): threads decode and rescale, the device runs
the net, another thread stores. On a GPU the slowest of them decides. On a CPU decoding and the net
take the same cores, so that their times add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vggfeat.costs.rates import DiskRate, LoadingRate
from vggfeat.costs.work import INDEX_BYTES, PictureWork

READ, LOAD, FORWARD, STORE, WRITE = "read", "decode", "forward", "store", "write"
STAGES = (READ, LOAD, FORWARD, STORE, WRITE)


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What runs a job: devices that share `cores` in all and one disk.

    is_cpu says that the devices are the cores themselves. A picture takes a device forward_s
    seconds; start_s pass before it has the first.
    """

    num_devices: int
    cores: int
    is_cpu: bool
    forward_s: float
    start_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a job takes. Seconds are of the wall clock, for all pictures."""

    num_pictures: int
    work: PictureWork
    machines: Machines
    stage_s: Mapping[str, float]  # stage -> seconds if it were the only one
    seconds: float
    descriptor_bytes: int
    file_bytes: int  # with everything else that feature files hold
    index_bytes: int

    @property
    def disk_bytes(self) -> int:
        """Bytes on the disk in the end."""
        return self.file_bytes + self.index_bytes

    @property
    def device_hours(self) -> float:
        """Hours of all devices together."""
        return self.seconds * self.machines.num_devices / 3600

    @property
    def read_bytes_s(self) -> float:
        """Bytes of pictures a second that all devices together take."""
        return self.num_pictures * self.work.source_bytes / self.seconds

    @property
    def write_bytes_s(self) -> float:
        """Bytes of descriptors a second."""
        return self.file_bytes / self.seconds

    @property
    def bottleneck(self) -> str:
        """The stage that takes longest."""
        return max(STAGES, key=lambda stage: self.stage_s[stage])

    @property
    def margin(self) -> float:
        """How many times as long as the next stage the bottleneck takes."""
        slowest, second = sorted(self.stage_s.values(), reverse=True)[:2]
        return slowest / second if second else float("inf")


def estimate(
    num_pictures: int,
    work: PictureWork,
    machines: Machines,
    loading: LoadingRate,
    disk: DiskRate,
    *,
    is_sharded: bool = True,
) -> Estimate:
    """What so many pictures take. is_sharded: they go into a folder of shards, with an index."""
    per_picture = {
        READ: work.source_bytes / disk.read_bytes_s,
        LOAD: loading.core_s(work) / machines.cores,
        FORWARD: machines.forward_s / machines.num_devices,
        STORE: disk.row_s * work.row_bytes / disk.row_bytes / machines.num_devices,
        WRITE: work.row_bytes / disk.write_bytes_s,
    }
    stage_s = {stage: num_pictures * seconds for stage, seconds in per_picture.items()}
    return Estimate(
        num_pictures=num_pictures,
        work=work,
        machines=machines,
        stage_s=stage_s,
        seconds=machines.start_s + overlapped(stage_s, is_cpu=machines.is_cpu),
        descriptor_bytes=num_pictures * work.vector_bytes,
        file_bytes=num_pictures * work.row_bytes,
        index_bytes=num_pictures * INDEX_BYTES if is_sharded else 0,
    )


def overlapped(stage_s: Mapping[str, float], *, is_cpu: bool) -> float:
    """Seconds of stages that work at the same time: the slowest; on a CPU decoding and the net
    take turns."""
    together: Sequence[str] = (LOAD, FORWARD) if is_cpu else ()
    others = [seconds for stage, seconds in stage_s.items() if stage not in together]
    return max([sum(stage_s.get(stage, 0.0) for stage in together), *others])
