"""What decides the vectors of a dataset by a net, and whether the net can give them."""

from collections.abc import Callable

from vggfeat import images
from vggfeat.backbones.network import Network
from vggfeat.errors import OptionError
from vggfeat.features import store
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import Head
from vggfeat.features.options import Extraction
from vggfeat.features.views import is_square, sees_crops


def conditions(
    dataset: str,
    network: Network,
    options: Extraction,
    head: Callable[[Network], Head] = Descriptor,
) -> store.Conditions:
    """The conditions that decide the vectors of this dataset, net, options and head."""
    return store.Conditions(
        dataset=dataset,
        network=network.name,
        weights=network.weights_identity,
        layer=head(network).layer,
        scales=options.scales,
        mirror=options.mirror,
        mean=network.statistics.mean,
        std=network.statistics.std,
        decoder=store.SCALED_DECODER if options.scaled_jpeg else store.DECODER,
        exif=options.exif,
        resize_filter=images.RESIZE_FILTER,
        precision=options.resolved_precision,
        dtype=options.dtype,
    )


def check_scales(network: Network, options: Extraction) -> None:
    """Raise OptionError if the net's descriptors cannot be computed at one of the scales."""
    backbone, smallest = network.backbone, min(options.scales)
    needed = max(backbone.min_size, backbone.input_size if sees_crops(network) else 0)
    if smallest < needed:
        raise OptionError(
            f"scale {smallest} is too small for {network.name}: it needs at least {needed}. Give"
            f" --scales {needed} or larger (in Python scales=)."
        )
    if is_square(network) and not backbone.any_size and set(options.scales) != {needed}:
        raise OptionError(
            f"{network.name} takes squares of {needed} only: give --scales {needed}, or view=centre"
            " or view=corners for larger ones."
        )
