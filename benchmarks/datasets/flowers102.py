"""Flowers-102: trained on `train`, C chosen on `val`, scored on `test`; mean class recall.

Papers that train on the 6,149 pictures of setid.mat's `tstid`, and score the others, measure
something else.
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

URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
COUNTS = "Grill et al. (2020), Table 10"
SETS = ("train", "val", "test")  # setid.mat's trnid, valid and tstid


def _part(path: str, name: str, md5: str, size: int, marker: str = "") -> Part:
    return Part(f"flowers-102/{path}", (Source(URL + name, "md5", md5, size),), marker=marker)


FLOWERS102 = DatasetDefinition(
    name="flowers102",
    title="Flowers-102",
    about="102 flowers",
    num_pictures=8189,
    source=LoaderRoot(
        "flowers102",
        (
            _part(
                "jpg", "102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", 344_862_509,
                marker="image_00001.jpg",
            ),
            _part("imagelabels.mat", "imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", 502),
            _part("setid.mat", "setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", 14_989),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="mean_class_recall",
        read=sets_of_files("Flowers102", "flowers-102", {n: {"split": n} for n in SETS}),
        splits=(GivenSplit(validation="val"),),
    ),
    scales=(256,),
    known_counts=(
        KnownCounts(set="train", total=1020, per_class=10, source=COUNTS),
        KnownCounts(set="val", total=1020, per_class=10, source=COUNTS),
        KnownCounts(set="test", total=6149, source=COUNTS),
    ),
)  # fmt: skip
