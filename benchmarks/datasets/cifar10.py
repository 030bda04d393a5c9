"""CIFAR-10: 60,000 pictures of 32 x 32 pixels, enlarged to the net's input; accuracy.

Its files are pickles. torchvision compares the MD5 of each with the one it knows before it reads
it, batches.meta too, so a file of anybody else's is never unpickled.
"""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import sets_in_arrays
from vggfeat.benchmarks.scales import OfInput
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

PAGE = "www.cs.toronto.edu/~kriz/cifar.html"

CIFAR10 = DatasetDefinition(
    name="cifar10",
    title="CIFAR-10",
    about="10 classes of 32 x 32 pixels",
    num_pictures=60_000,
    source=LoaderRoot(
        name="cifar10",
        parts=(
            Part(
                "cifar-10-batches-py",
                (
                    Source(
                        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                        "md5",
                        "c58f30108f718f92721af3b95e74349a",
                        170_498_071,
                    ),
                ),
                marker="batches.meta",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=sets_in_arrays("CIFAR10", {"train": {"train": True}, "test": {"train": False}}),
    ),
    scales=OfInput(),
    known_counts=(
        KnownCounts(set="train", total=50_000, per_class=5000, source=PAGE),
        KnownCounts(set="test", total=10_000, per_class=1000, source=PAGE),
    ),
    disk_bytes=186_000_000,  # the pixels of 60,000 rows, and their names
)
