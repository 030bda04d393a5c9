"""What each picture of a job takes, on average: pixels, forward passes, bytes. No seconds yet.

Pictures of equal shape go through a net together. How many do, and how often a shape is new to the
processor's kernels, is counted by planning batches of the pictures' own sizes, or of a sample's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vggfeat.backbones.network import Network
from vggfeat.features.batches import BATCH_PIXELS, plan_batches
from vggfeat.features.options import Extraction
from vggfeat.features.views import is_square, sees_crops
from vggfeat.images import rescaled_size

NUM_CROPS = {"centre": 1, "corners": 5}  # of a picture, by view
BYTES_OF = {"float32": 4, "float16": 2}
# Of a row of a feature file: its id in HDF5's heap with a pointer to it, width and height, size of
# the picture's file, whether it is done, and the row's checksums.
ROW_BYTES = 48 + 8 + 8 + 1 + 36
INDEX_BYTES = 16  # of a row in the index of a folder of shards: a hash and a row


@dataclass(frozen=True)
class ScaleWork:
    """What a picture takes at one scale, on average."""

    scale: int
    rescaled_mp: float  # megapixels that it is rescaled to
    net_mp: float  # megapixels that go through the net: all views, and their mirror images
    passes: float  # forward passes, of which it shares most with others
    new_shapes: float  # passes of a shape that no pass before it had


@dataclass(frozen=True)
class PictureWork:
    """What a picture of a job takes, on average."""

    source_mp: float
    source_bytes: float
    scales: tuple[ScaleWork, ...]
    vector_bytes: int

    @property
    def rescaled_mp(self) -> float:
        """Megapixels that it is rescaled to, at all scales."""
        return sum(scale.rescaled_mp for scale in self.scales)

    @property
    def row_bytes(self) -> int:
        """Bytes of its row in a feature file."""
        return self.vector_bytes + ROW_BYTES


def work_of(
    network: Network,
    options: Extraction,
    sizes: Sequence[tuple[int, int]],
    source_bytes: float,
    *,
    batch_pixels: int = BATCH_PIXELS,
) -> PictureWork:
    """What a picture takes, if the pictures have these (width, height), and its file these bytes.

    A single size stands for many pictures of that size, which fill batches.
    """
    square, num_sizes = is_square(network), len(sizes)
    if num_sizes == 1:
        shapes = [rescaled_size(sizes[0], scale, square=square) for scale in options.scales]
        most = max(width * height for width, height in shapes)
        sizes = list(sizes) * (options.batch_size or max(1, batch_pixels // most))
    by_id = {str(number): size for number, size in enumerate(sizes)}
    batches = plan_batches(
        by_id, options.scales, options.batch_size, batch_pixels=batch_pixels, square=square
    )
    return PictureWork(
        source_mp=sum(width * height for width, height in sizes) / len(sizes) / 1e6,
        source_bytes=source_bytes,
        scales=tuple(
            _at_scale(network, options, scale, by_id, batches, batch_pixels, is_one=num_sizes == 1)
            for scale in options.scales
        ),
        vector_bytes=len(options.scales) * network.backbone.dim * BYTES_OF[options.dtype],
    )


def net_megapixels(network: Network, options: Extraction, shape: tuple[int, int]) -> float:
    """Megapixels that go through the net of a picture rescaled to (width, height): all views."""
    num_views, width, height = _views(network, options, shape)
    return num_views * width * height / 1e6


def _views(network: Network, options: Extraction, shape: tuple[int, int]) -> tuple[int, int, int]:
    """How many views the net sees of a picture rescaled to this shape, their width and height."""
    number = NUM_CROPS.get(network.backbone.view, 1) * (2 if options.mirror else 1)
    side = network.backbone.input_size
    return (number, side, side) if sees_crops(network) else (number, *shape)


def _at_scale(
    network: Network,
    options: Extraction,
    scale: int,
    sizes: dict[str, tuple[int, int]],
    batches: Sequence[Sequence[str]],
    batch_pixels: int,
    *,
    is_one: bool,
) -> ScaleWork:
    rescaled = net = 0.0
    num_passes, shapes = 0, []
    for ids in batches:
        width, height = rescaled_size(sizes[ids[0]], scale, square=is_square(network))
        rescaled += len(ids) * width * height
        num_views, width, height = _views(network, options, (width, height))
        net += len(ids) * width * height * num_views
        # As heads.descriptor.in_passes joins the views of a batch.
        joined = min(num_views, max(1, 2 * batch_pixels // (len(ids) * width * height)))
        num_passes += -(-num_views // joined)
        shapes.append((width, height, len(ids)))
    # Batches of a shape follow each other, and kernels of long ago may be gone.
    num_new = 0 if is_one else 1 + sum(a != b for a, b in pairwise(shapes))
    count = len(sizes)
    return ScaleWork(
        scale,
        rescaled_mp=rescaled / count / 1e6,
        net_mp=net / count / 1e6,
        passes=num_passes / count,
        new_shapes=num_new / count,
    )
