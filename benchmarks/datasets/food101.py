"""Food-101: 101 dishes; trained on `train`, scored on `test`; accuracy.

Its authors left the training pictures uncleaned on purpose: some have a wrong label. There is no
official validation set: a fifth of each dish's training pictures is drawn.
"""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import sets_of_files
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

COUNTS = "the card of the hub's ethz/food101"
SETS = ("train", "test")

FOOD101 = DatasetDefinition(
    name="food101",
    title="Food-101",
    about="101 dishes; training pictures with some wrong labels",
    num_pictures=101_000,
    licence="scientific fair use",  # its licence agreement: the pictures are Foodspotting's
    source=LoaderRoot(
        "food101",
        (
            Part(
                "food-101",
                (
                    Source(
                        "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
                        "md5",
                        "85eeb15f3717b99a5da872d97d918f87",
                        4_996_278_331,
                    ),
                ),
                marker="meta/train.json",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=sets_of_files("Food101", "food-101", {name: {"split": name} for name in SETS}),
    ),
    scales=(256,),
    known_counts=(
        KnownCounts(set="train", total=75_750, per_class=750, source=COUNTS),
        KnownCounts(set="test", total=25_250, per_class=250, source=COUNTS),
    ),
)
