"""SUN397: scenes, by all ten partitions of its authors, or by the first; accuracy.

torchvision has the pictures and their classes; the partitions, of 50 and 50 pictures a class, come
in an archive apart, as lists of lines such as `/a/abbey/sun_aakbdcgfpksytcwj.jpg`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.labelled_sets import Labelled, LabelledSets
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.protocols.torchvision_sets import class_names, files_of, opened
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.errors import DatasetError, reason_of
from vggfeat.plurals import counted
from vggfeat.storage.sources import Source

PARTITIONS = range(1, 11)
SETS = {"train": "Training", "test": "Testing"}  # and how the lists call them
FOLDER, LISTS = "SUN397", "SUN397-partitions"


def _reader(*partitions: int) -> Callable[[Path], LabelledSets]:
    """A reader of the sets of these partitions, train1, test1 and so on."""

    def read(root: Path) -> LabelledSets:
        dataset = opened("SUN397", root)
        on_disk = files_of(dataset, root / FOLDER)
        class_of = {
            _folder(picture): label
            for picture, label in zip(on_disk.pictures, on_disk.labels, strict=True)
        }
        paths = on_disk.pictures
        lists = {
            f"{name}{n}": _listed(root / LISTS / f"{word}_{n:02d}.txt", class_of)
            for n in partitions
            for name, word in SETS.items()
        }
        # A listed picture that is not there is one of a set all the same: measuring names it.
        sets = {
            key: Labelled(
                pictures={i: paths.get(i) or root / FOLDER / i for i in ids},
                labels=[class_of[_folder(i)] for i in ids],
            )
            for key, ids in lists.items()
        }
        return LabelledSets(classes=class_names(dataset), sets=sets)

    return read


def _listed(path: Path, class_of: Mapping[str, int]) -> list[str]:
    """The pictures of a list, in its order, all in folders that have a class.

    Raises DatasetError.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as a list: {reason_of(error)}") from error
    if odd := next((line for line in lines if not line.isprintable()), None):
        raise DatasetError(f"{path}: {odd!r} is no picture's path. Fetch Partitions.zip again.")
    ids = list(dict.fromkeys(line.lstrip("/") for line in lines))
    if unknown := sorted({_folder(picture) for picture in ids}.difference(class_of)):
        more = f" and {counted(len(unknown) - 1, 'more folder')}" if unknown[1:] else ""
        raise DatasetError(
            f"{path}: names pictures in {unknown[0]!r}{more}, where {FOLDER} has none. Complete it"
            " from SUN397.tar.gz."
        )
    return ids


def _folder(picture: str) -> str:
    return picture.rpartition("/")[0]


def _protocol(*partitions: int) -> OfficialSplits:
    """Trained and tested on these partitions, whose mean is the number."""
    splits = tuple(GivenSplit(train=(f"train{n}",), test=f"test{n}") for n in partitions)
    return OfficialSplits(metric="accuracy", read=_reader(*partitions), splits=splits)


def _counts(*partitions: int) -> tuple[KnownCounts, ...]:
    return tuple(
        KnownCounts(
            set=f"{name}{n}",
            total=19_850,
            per_class=50,
            source="the page of SUN397; Grill et al. (2020), Table 10",
        )
        for n in partitions
        for name in SETS
    )


SUN397 = DatasetDefinition(
    name="sun397",
    title="SUN397",
    about="397 scenes; the mean of ten partitions",
    num_pictures=108_754,  # at most: whichever the partitions name
    source=LoaderRoot(
        "sun397",
        (
            Part(
                FOLDER,
                (
                    Source(
                        "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
                        "md5",
                        "8ca2778205c41d23104230ba66911c7a",
                        39_077_296_924,
                    ),
                ),
                marker="ClassName.txt",
            ),
            Part(
                LISTS,
                (
                    # torchvision has no lists: address and digest of TensorFlow Datasets.
                    Source(
                        "https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip",
                        "sha256",
                        "e3311ea5f812d4cc6faef194688343d1111f6cd6f70f2c62f393c2b8d6ba1ec9",
                        18_293_705,
                    ),
                ),
                inside=".",
                marker="Training_01.txt",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=_protocol(*PARTITIONS),
    scales=(256,),
    licence="for research purposes only",  # as its page states
    known_counts=_counts(*PARTITIONS),
)
SUN397_1 = replace(
    SUN397,
    name="sun397_1",
    title="SUN397, partition 1",
    about="397 scenes; the first partition alone",
    num_pictures=39_700,
    features_of="sun397",
    protocol=_protocol(1),
    known_counts=_counts(1),
)
