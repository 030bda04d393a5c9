"""Pictures at three scales from one decoding, on one core: `load_batch` beside the usual way."""

from vggfeat.benchmarks.speed import usual
from vggfeat.benchmarks.speed.limits import MEGA, jpeg_decoding
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Setup,
    SpeedResult,
    one_core,
    share_row,
    speed_row,
    time_interleaved,
)
from vggfeat.benchmarks.speed.photographs import write_photographs
from vggfeat.images import load_batch, picture_size

OURS = "vggfeat"
NOTE = (
    "The usual way ends with float tensors; vggfeat ends with bytes, which become floats where the"
    " net runs."
)


def measure(
    setup: Setup, *, scales: tuple[int, ...] = (256, 384, 512), num_pictures: int = 64
) -> SpeedResult:
    """Pictures a second of one core, and their share of the speed of decoding alone."""
    paths = list(write_photographs(setup.folder / "pictures", num_pictures).values())

    def run_ours() -> None:
        for path in paths:
            load_batch([path], scales)

    def run_peer() -> None:
        for path in paths:
            for scale in scales:
                usual.prepared(path, scale)

    contenders = [
        Contender(usual.NAME, run_peer, num_pictures, "pictures/s"),
        Contender(OURS, run_ours, num_pictures, "pictures/s"),
        jpeg_decoding(paths),
    ]
    with one_core():
        timings = time_interleaved(contenders, setup.repeats)
    reference, ours, limit = timings.values()
    megapixels = sum(width * height for width, height in map(picture_size, paths)) / MEGA
    return SpeedResult(
        settings={"scales": list(scales), "pictures": num_pictures, "cores": 1},
        rows=[
            speed_row(reference, "cpu"),
            speed_row(ours, "cpu", peer=reference),
            share_row(ours, num_pictures, limit, "cpu"),
        ],
        limits=[
            speed_row(limit, "cpu"),
            speed_row(limit.in_unit(megapixels, "megapixels/s"), "cpu"),
        ],
        notes=[NOTE],
    )
