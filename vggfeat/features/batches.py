"""Which pictures go through a net together: batches of equal shape, of at most so many pixels."""

from collections.abc import Mapping, Sequence

from vggfeat.images import rescaled_size

# A batch of this many pixels, and its mirror images, keeps two cores busy and the first layers of
# the nets within 1 GiB of float32.
BATCH_PIXELS = 2**20


def plan_batches(
    sizes: Mapping[str, tuple[int, int]],
    scales: Sequence[int],
    batch_size: int | None = None,
    *,
    batch_pixels: int = BATCH_PIXELS,
    square: bool = False,
) -> list[list[str]]:
    """Split ids into batches whose pictures have the same shape at every scale.

    sizes maps id -> (width, height). batch_size is in pictures; None fills batches up to
    batch_pixels. The batches depend on the arguments alone, so that a resumed run has the same.
    """
    groups: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for picture_id, size in sizes.items():
        shapes = tuple(rescaled_size(size, scale, square=square) for scale in scales)
        groups.setdefault(shapes, []).append(picture_id)
    batches = []
    for shapes, ids in groups.items():
        pixels = max(width * height for width, height in shapes)
        count = batch_size or max(1, batch_pixels // pixels)
        batches += [ids[i : i + count] for i in range(0, len(ids), count)]
    return batches
