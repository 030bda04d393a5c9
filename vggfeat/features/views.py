"""What a net sees of a picture for its descriptor: all of it or crops, and mirror images.

Shapes: B pictures of a batch, h w their sides.
"""

from collections.abc import Sequence

from torch import Tensor

from vggfeat.backbones.network import Network
from vggfeat.features import crops


def views_of(network: Network, batch: Tensor) -> list[Tensor]:
    """Pictures [B, 3, h, w] as the net's view has them: themselves, or several crops of each."""
    side = network.backbone.input_size
    match network.backbone.view:
        case "centre":
            return [crops.centre(batch, side)]
        case "corners":
            return crops.corners_and_centre(batch, side)
    return [batch]


def with_mirror_images(views: Sequence[Tensor]) -> list[Tensor]:
    """Each view [B, 3, h, w] followed by its mirror image."""
    return [image for view in views for image in (view, view.flip(3))]


def is_square(network: Network) -> bool:
    """Whether pictures are rescaled to squares, their aspect ratio not kept."""
    return network.backbone.view == "resized"


def sees_crops(network: Network) -> bool:
    """Whether descriptors are of crops of the net's input size."""
    return network.backbone.view in ("centre", "corners")
