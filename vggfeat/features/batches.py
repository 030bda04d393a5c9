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
    batch_pixels. Those of similar shape follow each other. The batches depend on the arguments
    alone, so that a resumed run has the same.
    """
    groups: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for picture_id, size in sizes.items():
        shapes = tuple(rescaled_size(size, scale, square=square) for scale in scales)
        groups.setdefault(shapes, []).append(picture_id)
    batches = []
    # oneDNN keeps the kernels of the last shapes only. Groups that have a shape in common at some
    # scale, but not at all, are neighbours in this order: it is by aspect ratio.
    for shapes, ids in sorted(groups.items()):
        pixels = max(width * height for width, height in shapes)
        count = _equal_or_full(len(ids), batch_size or max(1, batch_pixels // pixels))
        batches += [ids[i : i + count] for i in range(0, len(ids), count)]
    return batches


def _equal_or_full(number: int, most: int) -> int:
    """Pictures a batch if there are `number` of a shape and `most` may go together.

    Each size of a batch has kernels of its own, so that four are two and two if no more than three
    may go together. There are never more batches than of full ones, as each prepares the weights.
    """
    num_batches = -(-number // most)
    return most if number % num_batches else number // num_batches
