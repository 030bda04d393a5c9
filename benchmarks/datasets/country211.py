"""Country211: in which of 211 countries was a photograph taken? From YFCC100M, by GPS positions."""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.protocols.torchvision_sets import sets_of_files
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

NUM_CLASSES = 211
PER_CLASS = {"train": 150, "valid": 50, "test": 100}


COUNTRY211 = DatasetDefinition(
    name="country211",
    title="Country211",
    about="211 countries, by photographs taken there",
    num_pictures=NUM_CLASSES * sum(PER_CLASS.values()),
    disk_bytes=11_000_000_000,  # the archive, by CLIP's data/country211.md
    source=LoaderRoot(
        name="country211",
        parts=(
            Part(
                "country211",
                (
                    Source(
                        "https://openaipublic.azureedge.net/clip/data/country211.tgz",
                        "md5",
                        "84988d7644798601126c29e9877aab6a",
                    ),
                ),
                marker="valid",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=sets_of_files("Country211", "country211", {n: {"split": n} for n in PER_CLASS}),
        splits=(GivenSplit(validation="valid"),),
    ),
    scales=(256,),
    licence="Creative Commons, as each photograph's author chose",
    known_counts=tuple(
        KnownCounts(
            set=name,
            total=NUM_CLASSES * count,
            per_class=count,
            source="openai/CLIP, data/country211.md",
        )
        for name, count in PER_CLASS.items()
    ),
)
