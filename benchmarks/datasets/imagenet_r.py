"""ImageNet-R: art, toys and drawings of 200 of ImageNet's classes; trained on ImageNet.

Its authors let nets that know all 1,000 classes choose among the 200; here the probe learns the 200
alone, from their photographs.
"""

from functools import partial

from vggfeat.benchmarks.datasets.definition import IMAGENET as GROUP
from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.datasets.imagenet import BY_HAND, IMAGENET, TRAIN, TRAIN_BYTES
from vggfeat.benchmarks.protocols.imagenet_sets import read_test_set
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

FOLDER = "imagenet-r"

IMAGENET_R = DatasetDefinition(
    name="imagenet_r",
    title="ImageNet-R",
    about="renditions of 200 of ImageNet's classes",
    num_pictures=1_281_167 // 5 + 30_000,
    source=LoaderRoot(
        name="imagenet_r",
        parts=(
            TRAIN,
            Part(
                FOLDER,
                (
                    Source(
                        "https://people.eecs.berkeley.edu/~hendrycks/imagenet-r.tar",
                        "sha256",
                        "18c6bf493b39a0d975d48e587437f562caab9c52ae6327dcfa9dd8eb54aa1b52",
                        2_191_079_936,
                    ),
                ),
            ),
        ),
        by_hand=BY_HAND,
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=partial(read_test_set, folder=FOLDER),
        facts={"training_pictures": "ImageNet's, of the test set's classes alone"},
    ),
    scales=(256,),
    features_of=IMAGENET.name,
    known_counts=(KnownCounts(set="test", total=30_000, source="readme of hendrycks/imagenet-r"),),
    group=GROUP,
    disk_bytes=TRAIN_BYTES + 2_191_079_936,  # the tar of ImageNet's training pictures, and its own
)
