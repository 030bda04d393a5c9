"""ImageNet-R: art, toys and drawings of 200 of ImageNet's classes; trained on ImageNet.

Its authors let nets that know all 1,000 classes choose among the 200; here the probe learns the 200
alone, from their photographs.
"""

from vggfeat.benchmarks.datasets.definition import KnownCounts
from vggfeat.benchmarks.datasets.imagenet import NUM_TRAIN, other_test_set
from vggfeat.benchmarks.sources.loader_root import Part
from vggfeat.storage.sources import Source

SOURCE = Source(
    "https://people.eecs.berkeley.edu/~hendrycks/imagenet-r.tar",
    "sha256",
    "18c6bf493b39a0d975d48e587437f562caab9c52ae6327dcfa9dd8eb54aa1b52",
    2_191_079_936,
)
IMAGENET_R = other_test_set(
    "imagenet_r",
    title="ImageNet-R",
    about="renditions of 200 of ImageNet's classes",
    pictures=Part("imagenet-r", (SOURCE,)),
    disk_bytes=SOURCE.size,
    tested=KnownCounts(set="test", total=30_000, source="readme of hendrycks/imagenet-r"),
    num_trained=NUM_TRAIN // 5,  # about: of 200 of 1,000 classes
    facts={"training_pictures": "ImageNet's, of the test set's classes alone"},
)
