"""DTD: textures, by all ten partitions of its authors, or by the first as most papers do; accuracy.

A picture's class is its key attribute, the folder that it lies in. labels_joint_anno.txt names
further attributes of many pictures, which neither torchvision nor the papers here use.
"""

from dataclasses import replace

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.protocols.torchvision_sets import sets_of_files
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

PARTITIONS = range(1, 11)
SETS = ("train", "val", "test")


def _protocol(*partitions: int) -> OfficialSplits:
    """Trained, validated and tested on these partitions, whose mean is the number."""
    sets = {f"{s}{n}": {"split": s, "partition": n} for n in partitions for s in SETS}
    splits = (
        GivenSplit(train=(f"train{n}",), validation=f"val{n}", test=f"test{n}") for n in partitions
    )
    return OfficialSplits(
        metric="accuracy", read=sets_of_files("DTD", "dtd/dtd", sets), splits=tuple(splits)
    )


def _counts(*partitions: int) -> tuple[KnownCounts, ...]:
    return tuple(
        KnownCounts(
            set=f"{s}{n}", total=1880, per_class=40, source="Grill et al. (2020), Table 10; 47 x 40"
        )
        for n in partitions
        for s in SETS
    )


DTD = DatasetDefinition(
    name="dtd",
    title="DTD",
    about="47 textures; the mean of ten partitions",
    num_pictures=5640,
    source=LoaderRoot(
        "dtd",
        (
            Part(
                "dtd/dtd",
                (
                    Source(
                        "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
                        "md5",
                        "fff73e5086ae6bdbea199a49dfb8a4c1",
                        625_239_812,
                    ),
                ),
                marker="labels",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=_protocol(*PARTITIONS),
    scales=(256,),
    licence="for research purposes",  # as its page states
    known_counts=_counts(*PARTITIONS),
)
DTD_1 = replace(
    DTD,
    name="dtd_1",
    title="DTD, partition 1",
    about="47 textures; the first partition alone",
    features_of="dtd",
    protocol=_protocol(1),
    known_counts=_counts(1),
)
