"""CUB-200-2011: 200 species of birds, trained and tested by the authors' split.

Its folder holds lists of lines that begin with the number of a picture or of a class, from 1.
"""

from pathlib import Path, PurePosixPath

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.labelled_sets import Labelled, LabelledSets
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.errors import DatasetError
from vggfeat.storage.sources import Source

FOLDER = "CUB_200_2011"
SET_OF = {"1": "train", "0": "test"}  # by train_test_split.txt
OVERLAP = (
    "its authors warn that its pictures overlap with those of ImageNet, on which nets are trained"
)


def read(root: Path) -> LabelledSets:
    """The sets train and test of root/CUB_200_2011. Raises DatasetError."""
    root = root / FOLDER
    names = _numbered(root / "classes.txt")
    paths = _numbered(root / "images.txt")
    class_of, in_train = (
        _numbered(root / name) for name in ("image_class_labels.txt", "train_test_split.txt")
    )
    row_of = {number: row for row, number in enumerate(names)}
    sets = {name: ({}, []) for name in SET_OF.values()}
    seen = set()
    for number, path in paths.items():
        if class_of.get(number) not in row_of or in_train.get(number) not in SET_OF:
            raise DatasetError(
                f"{root}: picture {number}, {path!r}, has no class of classes.txt or no line of"
                " train_test_split.txt. Fetch the dataset again."
            )
        below = PurePosixPath("images", path)
        if str(below) in seen:
            raise DatasetError(f"{root / 'images.txt'}: {path!r} is there twice.")
        seen.add(str(below))
        if path.startswith("/") or ".." in below.parts:
            raise DatasetError(f"{root / 'images.txt'}: {path!r} is not below the folder images.")
        pictures, labels = sets[SET_OF[in_train[number]]]
        pictures[str(below)] = root / below
        labels.append(row_of[class_of[number]])
    return LabelledSets(
        classes=tuple(names.values()),
        sets={name: Labelled(pictures=p, labels=k) for name, (p, k) in sets.items()},
        notes=(OVERLAP,),
    )


def _numbered(path: Path) -> dict[str, str]:
    """Number -> the rest of its line, in order. Raises DatasetError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}). Fetch the dataset again.") from error
    numbered: dict[str, str] = {}
    for line in filter(str.strip, lines):
        number, _, rest = line.strip().partition(" ")
        if not (number.isdecimal() and rest) or number in numbered:
            raise DatasetError(
                f"{path}: {line!r} is not a new number and what it has. Fetch the dataset again."
            )
        numbered[number] = rest
    return numbered


CUB200 = DatasetDefinition(
    name="cub200",
    title="CUB-200-2011",
    about="200 birds; pictures overlap with ImageNet's",
    num_pictures=11788,
    source=LoaderRoot(
        name="cub200",
        parts=(
            Part(
                FOLDER,
                (
                    Source(
                        f"https://data.caltech.edu/records/65de6-vp158/files/{FOLDER}.tgz",
                        "sha256",
                        "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
                        1_150_585_339,
                    ),
                ),
                marker="images.txt",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(metric="accuracy", read=read),
    scales=(256,),
    known_counts=(
        KnownCounts(set="train", total=5994, source="card of cassiekang/cub200_dataset"),
        KnownCounts(set="test", total=5794, source="card of cassiekang/cub200_dataset"),
    ),
)
