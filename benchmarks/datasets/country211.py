"""Country211: in which of 211 countries was a photograph taken? From YFCC100M, with GPS positions."""

from pathlib import Path

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    LabelledSets,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.protocols.torchvision_sets import class_names, files_of, opened
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

NUM_CLASSES = 211
PER_CLASS = {"train": 150, "valid": 50, "test": 100}


def read(root: Path) -> LabelledSets:
    """The sets train, valid and test in root/country211. Raises DatasetError."""
    sets = {name: opened("Country211", root, split=name) for name in PER_CLASS}
    return LabelledSets(
        classes=class_names(sets["train"]),
        sets={name: files_of(dataset, root / "country211") for name, dataset in sets.items()},
    )


COUNTRY211 = DatasetDefinition(
    name="country211",
    title="Country211",
    about="211 countries, by photographs taken there",
    num_pictures=NUM_CLASSES * sum(PER_CLASS.values()),
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
        metric="accuracy", read=read, splits=(GivenSplit(validation="valid", test="test"),)
    ),
    scales=(256,),
    known_counts=tuple(
        KnownCounts(
            set=name,
            total=NUM_CLASSES * count,
            classes={},
            source="openai/CLIP, data/country211.md",
        )
        for name, count in PER_CLASS.items()
    ),
)
