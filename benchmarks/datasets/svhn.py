"""SVHN: 99,289 house numbers' digits of 32 x 32 pixels, enlarged to the net's input; accuracy.

The 531,131 digits of `extra` are not used.
"""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import sets_in_arrays
from vggfeat.benchmarks.scales import OfInput
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

PAGE = "ufldl.stanford.edu/housenumbers"


def _part(name: str, md5: str, size: int) -> Part:
    return Part(name, (Source(f"http://{PAGE}/{name}", "md5", md5, size),))


SVHN = DatasetDefinition(
    name="svhn",
    title="SVHN",
    about="digits of 32 x 32 pixels, without `extra`",
    num_pictures=99_289,
    source=LoaderRoot(
        name="svhn",
        parts=(
            _part("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", 182_040_794),
            _part("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", 64_275_384),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=sets_in_arrays("SVHN", {n: {"split": n} for n in ("train", "test")}, num_classes=10),
    ),
    scales=OfInput(),
    known_counts=(
        KnownCounts(set="train", total=73_257, source=PAGE),
        KnownCounts(set="test", total=26_032, source=PAGE),
    ),
    licence="non-commercial use only",
    disk_bytes=182_040_794 + 64_275_384,
)
