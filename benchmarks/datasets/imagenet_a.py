"""ImageNet-A: photographs of 200 of ImageNet's classes that nets fail at; trained on ImageNet.

Its authors let nets that know all 1,000 classes choose among the 200; here the probe learns the 200
alone.
"""

from vggfeat.benchmarks.datasets.definition import KnownCounts
from vggfeat.benchmarks.datasets.imagenet import NUM_TRAIN, other_test_set
from vggfeat.benchmarks.sources.loader_root import Part
from vggfeat.storage.sources import Source

SOURCE = Source(
    "https://people.eecs.berkeley.edu/~hendrycks/imagenet-a.tar",
    "sha256",
    "3bb3632277e6ba6392ea64c02ddbf4dd2266c9caffd6bc09c9656d28f012589e",
    687_552_512,
)
IMAGENET_A = other_test_set(
    "imagenet_a",
    title="ImageNet-A",
    about="photographs of 200 classes that nets fail at",
    pictures=Part("imagenet-a", (SOURCE,)),
    disk_bytes=SOURCE.size,
    tested=KnownCounts(
        set="test", total=7_500, source="a count in a public repository of benchmarks"
    ),
    num_trained=NUM_TRAIN // 5,  # about: of 200 of 1,000 classes
    facts={"training_pictures": "ImageNet's, of the test set's classes alone"},
)
