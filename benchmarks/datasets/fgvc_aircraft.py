"""FGVC Aircraft by its 100 variants: the authors' train, val and test; mean class recall.

Its authors ask to cut off the banner, the 20 pixels at the bottom that name the photographer. It
stays, as torchvision's loader leaves it; records say so.
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

SETS = ("train", "val", "test")
COUNTS = "Grill et al. (2020), Table 10"

FGVC_AIRCRAFT = DatasetDefinition(
    name="fgvc_aircraft",
    title="FGVC Aircraft",
    about="100 variants of aircraft",
    num_pictures=10_000,
    source=LoaderRoot(
        name="fgvc_aircraft",
        parts=(
            Part(
                "fgvc-aircraft-2013b",
                (
                    # torchvision states no digest; its R package of the same name does.
                    Source(
                        "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
                        "md5",
                        "d4acdd33327262359767eeaa97a4f732",
                        2_753_340_328,
                    ),
                ),
                marker="data/variants.txt",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="mean_class_recall",
        read=sets_of_files(
            "FGVCAircraft", "fgvc-aircraft-2013b", {name: {"split": name} for name in SETS}
        ),
        splits=(GivenSplit(validation="val"),),
        facts={"labels": "variant", "banner": "kept"},
    ),
    scales=(256,),
    known_counts=(
        KnownCounts(set="train", total=3334, source=COUNTS),
        KnownCounts(set="val", total=3333, source=COUNTS),
        KnownCounts(set="test", total=3333, source=COUNTS),
    ),
    licence="non-commercial research",
)
