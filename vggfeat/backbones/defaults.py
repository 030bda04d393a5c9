"""Defaults of each kind of net: its layer, its view, its input statistics and its input size.

One row for each kind: the nets of the paper, SqueezeNet, torchvision's nets with several fully
connected layers (AlexNet, VGG with batch normalisation) and its others, timm's, the function of a
user, and files that are nets. A value that `--net` states, such as layer=, view=, mean= or
input_size=, goes before the row's, and so do the input statistics that the card of a weights file
or the catalogue of released weights states.
"""

from dataclasses import dataclass

from vggfeat.input_statistics import PAPER_STATISTICS, TORCHVISION_STATISTICS, InputStatistics

INPUT_OF = "input of "  # before a module's name: what goes into it
OUTPUT = "output"  # of the whole net
CLASSIFIER_INPUT = INPUT_OF + "{classifier}"  # the module that gives the class scores
FROM_METADATA = None  # it is what torchvision's metadata or timm's configuration of the net say


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
        """The view of a net of this kind; any_size says whether it takes pictures of any size."""
        return self.view if any_size else self.view_of_one_size


_PAPER, _TORCHVISION = PAPER_STATISTICS, TORCHVISION_STATISTICS
_META = FROM_METADATA
# The paper does not say whether its descriptor, fc7, is before or after its ReLU; here it is after.
# ONNX files call their output by another name, which takes the place of OUTPUT.
# fmt: off
#                         layer             view     view of   statistics    statistics    input
#                                                    one size                of files      size
PAPER          = Defaults("fc7",            "dense", "centre", _PAPER,       _TORCHVISION, 224)
SQUEEZENET     = Defaults("features",       "dense", "centre", _META,        _META,        _META)
TORCHVISION_FC = Defaults(CLASSIFIER_INPUT, "dense", "centre", _META,        _META,        _META)
TORCHVISION    = Defaults(CLASSIFIER_INPUT, "dense", "centre", _META,        _META,        _META)
TIMM           = Defaults(CLASSIFIER_INPUT, "dense", "centre", _META,        _META,        _META)
FACTORY        = Defaults(OUTPUT,           "dense", "centre", _TORCHVISION, _TORCHVISION, 224)
EXPORTED       = Defaults(OUTPUT,           "dense", "centre", _TORCHVISION, _TORCHVISION, 224)
# fmt: on
