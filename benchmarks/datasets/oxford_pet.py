"""Oxford-IIIT Pet: 37 breeds; trained on `trainval`, scored on `test`; mean class recall.

Some of its .jpg files are PNG or GIF, or grey; each is read as what it is.
"""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.protocols.torchvision_sets import sets_of_files
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

# The second address of each is the one that TensorFlow Datasets takes.
HOSTS = (
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
    "https://thor.robots.ox.ac.uk/~vgg/data/pets/",
)
COUNTS = "Grill et al. (2020), Table 10"


def _part(name: str, md5: str, size: int, marker: str) -> Part:
    mirrors = tuple(Source(f"{host}{name}.tar.gz", "md5", md5, size) for host in HOSTS)
    return Part(f"oxford-iiit-pet/{name}", mirrors, marker=marker)


OXFORD_PET = DatasetDefinition(
    name="oxford_pet",
    title="Oxford-IIIT Pet",
    about="37 breeds of cats and dogs",
    num_pictures=7349,
    licence="CC BY-SA 4.0",  # as cards of copies on the Hugging Face hub say of its page
    source=LoaderRoot(
        "oxford_pet",
        (
            _part("images", "5c4f3ee8e5d25df40f4fd59a7f44e54c", 791_918_971, "Abyssinian_1.jpg"),
            _part("annotations", "95a8c909bbe2e81eed6a22bccdf3f68f", 19_173_078, "trainval.txt"),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="mean_class_recall",
        read=sets_of_files(
            "OxfordIIITPet",
            "oxford-iiit-pet",
            {"trainval": {"split": "trainval"}, "test": {"split": "test"}},
        ),
        splits=(GivenSplit(train=("trainval",)),),
    ),
    scales=(256,),
    known_counts=(
        KnownCounts(set="trainval", total=3680, source=COUNTS),
        KnownCounts(set="test", total=3669, source=COUNTS),
    ),
)
