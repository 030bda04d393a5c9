"""ImageNet-A: photographs of 200 of ImageNet's classes that nets fail at; trained on ImageNet.

Its authors let nets that know all 1,000 classes choose among the 200; here the probe learns the 200
alone.
"""

from functools import partial

from vggfeat.benchmarks.datasets.definition import IMAGENET as GROUP
from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.datasets.imagenet import BY_HAND, IMAGENET, TRAIN, TRAIN_BYTES
from vggfeat.benchmarks.protocols.imagenet_sets import read_test_set
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

FOLDER = "imagenet-a"

IMAGENET_A = DatasetDefinition(
    name="imagenet_a",
    title="ImageNet-A",
    about="photographs of 200 classes that nets fail at",
    num_pictures=1_281_167 // 5 + 7_500,
    source=LoaderRoot(
        name="imagenet_a",
        parts=(
            TRAIN,
            Part(
                FOLDER,
                (
                    Source(
                        "https://people.eecs.berkeley.edu/~hendrycks/imagenet-a.tar",
                        "sha256",
                        "3bb3632277e6ba6392ea64c02ddbf4dd2266c9caffd6bc09c9656d28f012589e",
                        687_552_512,
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
    known_counts=(
        KnownCounts(set="test", total=7_500, source="a count in a public repository of benchmarks"),
    ),
    group=GROUP,
    disk_bytes=TRAIN_BYTES + 687_552_512,  # the tar of ImageNet's training pictures, and its own
)
