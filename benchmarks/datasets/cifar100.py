"""CIFAR-100 by its 100 fine labels: 60,000 pictures of 32 x 32 pixels, enlarged; accuracy.

Its files are pickles, each of which torchvision compares with its MD5 first, as those of CIFAR-10.
"""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import sets_in_arrays
from vggfeat.benchmarks.scales import OfInput
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

PAGE = "www.cs.toronto.edu/~kriz/cifar.html"

CIFAR100 = DatasetDefinition(
    name="cifar100",
    title="CIFAR-100",
    about="100 fine classes of 32 x 32 pixels",
    num_pictures=60_000,
    source=LoaderRoot(
        name="cifar100",
        parts=(
            Part(
                "cifar-100-python",
                (
                    Source(
                        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                        "md5",
                        "eb9058c3a382ffc7106e4002c42a8d85",
                        169_001_437,
                    ),
                ),
                marker="meta",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=sets_in_arrays("CIFAR100", {"train": {"train": True}, "test": {"train": False}}),
        facts={"labels": "fine"},
    ),
    scales=OfInput(),
    known_counts=(
        KnownCounts(set="train", total=50_000, per_class=500, source=PAGE),
        KnownCounts(set="test", total=10_000, per_class=100, source=PAGE),
    ),
    disk_bytes=186_000_000,  # the pixels of 60,000 rows, and their names
)
