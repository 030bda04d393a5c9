"""Defaults of each kind of net: its layer, its view, its input statistics and its input size.

One row for each kind. A value that `--net` states, such as layer=, view=, mean= or input_size=,
goes before the row's, and so do the input statistics that the card of a weights file or the
catalogue of released weights states.
"""

from dataclasses import dataclass

from vggfeat.images import PAPER_STATISTICS, TORCHVISION_STATISTICS, InputStatistics

INPUT_OF = "input of "  # before a module's name: what goes into it
OUTPUT = "output"  # of the whole net
CLASSIFIER_INPUT = INPUT_OF + "{classifier}"  # the module that gives the class scores
FROM_METADATA = None  # what torchvision's or timm's configuration of the net says


@dataclass(frozen=True)
class Defaults:
    """A row: what a kind of net has where neither `--net` nor the weights say."""

    layer: str
    view: str  # of a net that takes pictures of any size
    view_of_one_size: str  # of a net that takes pictures of one size only
    statistics: InputStatistics | None  # of random weights
    file_statistics: InputStatistics | None  # of a weights file without a card
    input_size: int | None  # pixels

    def view_for(self, *, any_size: bool) -> str:
        return self.view if any_size else self.view_of_one_size


# fmt: off
# The paper does not say whether its descriptor, fc7, is before or after the ReLU; here it is after.
PAPER = Defaults(
    "fc7", "dense", "centre", PAPER_STATISTICS, TORCHVISION_STATISTICS, 224)
SQUEEZENET = Defaults(  # without a fully connected layer
    "features", "dense", "centre", FROM_METADATA, FROM_METADATA, FROM_METADATA)
TORCHVISION_FC = Defaults(  # AlexNet and VGG with batch normalisation: several such layers
    CLASSIFIER_INPUT, "dense", "centre", FROM_METADATA, FROM_METADATA, FROM_METADATA)
TORCHVISION = Defaults(
    CLASSIFIER_INPUT, "dense", "centre", FROM_METADATA, FROM_METADATA, FROM_METADATA)
TIMM = Defaults(
    CLASSIFIER_INPUT, "dense", "centre", FROM_METADATA, FROM_METADATA, FROM_METADATA)
FACTORY = Defaults(  # the user's function
    OUTPUT, "dense", "centre", TORCHVISION_STATISTICS, TORCHVISION_STATISTICS, 224)
EXPORTED = Defaults(  # ONNX, TorchScript, .pt2; ONNX calls its output by another name
    OUTPUT, "dense", "centre", TORCHVISION_STATISTICS, TORCHVISION_STATISTICS, 224)
# fmt: on
