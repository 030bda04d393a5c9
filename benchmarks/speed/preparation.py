"""Pictures at three scales from one decoding, on one core: `load_batch` beside the usual way."""

from vggfeat.benchmarks.speed import usual
from vggfeat.benchmarks.speed.limits import MEGA, jpeg_decoding
from vggfeat.benchmarks.speed.measuring import (
    Asked,
    Contender,
    Measured,
    in_turns,
    one_core,
    share_row,
    speed_row,
)
from vggfeat.benchmarks.speed.photographs import write_photographs
from vggfeat.images import load_batch, picture_size

OURS = "vggfeat"
NOTE = (
    "The usual way ends with float tensors; vggfeat ends with bytes, which become floats where the"
    " net runs."
)


def measure(
    asked: Asked, *, scales: tuple[int, ...] = (256, 384, 512), num_pictures: int = 64
) -> Measured:
    """Pictures a second of one core, and their share of what decoding alone would allow."""
    paths = list(write_photographs(asked.folder / "pictures", num_pictures).values())

    def ours() -> None:
        for path in paths:
            load_batch([path], scales)

    def theirs() -> None:
        for path in paths:
            for scale in scales:
                usual.prepared(path, scale)

    contenders = [
        Contender(usual.NAME, theirs, num_pictures, "pictures/s"),
        Contender(OURS, ours, num_pictures, "pictures/s"),
        jpeg_decoding(paths),
    ]
    with one_core():
        timed = in_turns(contenders, asked.repeats)
    reference, mine, limit = timed.values()
    megapixels = sum(width * height for width, height in map(picture_size, paths)) / MEGA
    return Measured(
        settings={"scales": list(scales), "pictures": num_pictures, "cores": 1},
        rows=[
            speed_row(reference, "cpu"),
            speed_row(mine, "cpu", peer=reference),
            share_row(mine, num_pictures, limit, "cpu"),
        ],
        limits=[
            speed_row(limit, "cpu"),
            speed_row(limit.counted(megapixels, "megapixels/s"), "cpu"),
        ],
        notes=[NOTE],
    )
