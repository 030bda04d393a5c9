"""The classes of ILSVRC-2012's validation pictures where these lie in one folder.

ILSVRC2012_devkit_t12/data/    meta.mat and a line of ground truth for each picture, in or
                               beside the data folder
LOC_val_solution.csv           Kaggle's list, in the data folder or up to three folders above
LOC_synset_mapping.txt         Kaggle's list of the classes, beside it
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vggfeat.errors import DatasetError, WeightsError
from vggfeat.weights.matconvnet import mat_file

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"
META = "data/meta.mat"
KAGGLE, KAGGLE_CLASSES = "LOC_val_solution.csv", "LOC_synset_mapping.txt"
KAGGLE_HEADER = ["ImageId", "PredictionString"]
WNID = re.compile("n[0-9]{1,8}")
# As in ILSVRC2012_val_00000001.JPEG; some copies have the class behind it: ..._n01751748.JPEG
VALIDATION_NUMBER = re.compile(r"val_([0-9]{1,8})(?![0-9])")


def classes_of(root: Path) -> tuple[str, ...]:
    """The wnids of all classes, in the order of their names. Raises DatasetError."""
    if kaggle := _kaggle(root):
        beside = kaggle.with_name(KAGGLE_CLASSES)
        wnids = _kaggle_classes(beside) if beside.is_file() else _kaggle_labels(kaggle).values()
        return tuple(sorted(set(wnids)))
    return tuple(sorted(_wnids(_devkit(root) / META).values()))


def wnids_of(root: Path, paths: Sequence[str]) -> dict[str, str]:
    """Path -> wnid of validation pictures, paths below the root. Raises DatasetError."""
    if kaggle := _kaggle(root):
        return _by_name(kaggle, root, paths)
    return _by_number(_devkit(root), root, paths)


def text_of(path: Path) -> str:
    """A text file's content, without a byte order mark. Raises DatasetError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}).") from error


def _by_number(devkit: Path, root: Path, paths: Sequence[str]) -> dict[str, str]:
    """Line n of the ground truth is the ILSVRC2012_ID of the picture whose name has the number n.

    meta.mat says which wnid that is. The IDs are not in the order of the wnids.
    """
    wnid_of = _wnids(devkit / META)
    lines = text_of(devkit / GROUND_TRUTH).split()
    if len(lines) != len(paths):
        raise DatasetError(
            f"{root / 'val'}: holds {len(paths)} pictures, {devkit / GROUND_TRUTH} has"
            f" {len(lines)} lines. All of them must be there, so that names and lines agree."
        )
    wnids = {}
    for path, number in _numbers_in(root, paths).items():
        line = lines[number - 1]
        if line not in wnid_of:
            raise DatasetError(f"{devkit / GROUND_TRUTH}: {line!r} is no ILSVRC2012_ID.")
        wnids[path] = wnid_of[line]
    return wnids


def _numbers_in(root: Path, paths: Sequence[str]) -> dict[str, int]:
    """The numbers in the names of ILSVRC's validation pictures; raises unless they are 1 to N."""
    numbers = {}
    for path in paths:
        match = VALIDATION_NUMBER.search(Path(path).name)
        if match is None:
            raise DatasetError(
                f"{root / path}: its name has no number, which says the picture's line of"
                f" {GROUND_TRUTH}. Names are such as ILSVRC2012_val_00000001.JPEG."
            )
        numbers[path] = int(match[1])
    missing = set(range(1, len(paths) + 1)) - set(numbers.values())
    if missing:
        raise DatasetError(
            f"{root / 'val'}: no picture of its {len(paths)} has the number {min(missing)} in its"
            " name. Each line of the ground truth needs the picture with its number."
        )
    return numbers


def _devkit(root: Path) -> Path:
    places = [root / DEVKIT, root.parent / DEVKIT]
    for place in places:
        for folder in (place, place / DEVKIT):  # some programs unpack into a folder of the name
            if (folder / "data").is_dir():
                return folder
    if existing := next(filter(Path.is_dir, places), None):
        return existing
    raise DatasetError(
        f"{root / 'val'}: has no class folders. Put the devkit's folder at {places[0]}"
        f" (tar xf {DEVKIT}.tar.gz) or Kaggle's {KAGGLE} at {root / KAGGLE}, or sort the pictures"
        " into folders by class."
    )


def _wnids(path: Path) -> dict[str, str]:
    """ILSVRC2012_ID -> wnid of the devkit's synsets that are leaves, from meta.mat.

    Read as weights are, as scipy ends the process at some damaged files.
    """
    try:
        synsets = mat_file.read(path, ["synsets"])["synsets"]
        wnids = [synset["WNID"] for synset in synsets]
        ids, num_children = (
            [_whole(synset[field], len(synsets)) for synset in synsets]
            for field in ("ILSVRC2012_ID", "num_children")
        )
    except (WeightsError, LookupError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: not the devkit's table of synsets ({error}).") from error
    if odd := [wnid for wnid in wnids if not (isinstance(wnid, str) and WNID.fullmatch(wnid))]:
        raise DatasetError(f"{path}: {odd[0]!r} is no WNID, such as n01440764. Get it again.")
    leaves = {i: wnid for i, wnid, count in zip(ids, wnids, num_children, strict=True) if not count}
    if (
        sorted(ids) != list(range(1, len(ids) + 1))
        or sorted(leaves) != list(range(1, len(leaves) + 1))
        or len(set(wnids)) < len(wnids)
    ):
        raise DatasetError(
            f"{path}: its {len(ids)} synsets do not have the ILSVRC2012_IDs 1 to {len(ids)}, leaves"
            " first, and a WNID of their own each. Get it again."
        )
    return {str(i): wnid for i, wnid in leaves.items()}


def _whole(values: np.ndarray, largest: int) -> int:
    """The one whole number, 0 to `largest`, of a 1x1 array. Raises TypeError or ValueError."""
    number = float(np.asarray(values).item())
    if not (number.is_integer() and 0 <= number <= largest):
        raise ValueError(f"{number} is no number of a synset")
    return int(number)


def _kaggle(root: Path) -> Path | None:
    """Kaggle's list, unless the devkit is there; its archive has it beside ILSVRC/Data/CLS-LOC."""
    if (root / DEVKIT).is_dir() or (root.parent / DEVKIT).is_dir():
        return None
    places = (root, *root.resolve().parents[:3])
    return next((place / KAGGLE for place in places if (place / KAGGLE).is_file()), None)


def _by_name(kaggle: Path, root: Path, paths: Sequence[str]) -> dict[str, str]:
    wnid_of = _kaggle_labels(kaggle)
    wnids = {path: wnid_of.get(Path(path).stem) for path in paths}
    if missing := [path for path, wnid in wnids.items() if wnid is None]:
        raise DatasetError(
            f"{kaggle}: lacks {len(missing)} of the {len(paths)} pictures of {root / 'val'},"
            f" {Path(missing[0]).name} among them."
        )
    return wnids


def _kaggle_labels(path: Path) -> dict[str, str]:
    """Picture, without suffix -> wnid: lines of a picture and `wnid left upper right lower ...`."""
    labels: dict[str, str] = {}
    rows = _csv_rows(path)
    if next(rows, None) != KAGGLE_HEADER:
        raise DatasetError(f"{path}: does not begin with {','.join(KAGGLE_HEADER)!r}.")
    for number, row in enumerate(rows, start=2):
        wnids = set(row[1].split()[::5]) if len(row) == 2 else set()
        if len(wnids) != 1 or not WNID.fullmatch(min(wnids)) or len(row[1].split()) % 5:
            raise DatasetError(
                f"{path}, line {number}: {','.join(row)!r} is not a picture and boxes of one class."
            )
        if row[0] in labels:
            raise DatasetError(f"{path}, line {number}: lists {row[0]!r} twice.")
        labels[row[0]] = min(wnids)
    return labels


def _csv_rows(path: Path) -> Iterator[list[str]]:
    try:
        yield from filter(None, csv.reader(text_of(path).splitlines(), strict=True))
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file ({error}).") from error


def _kaggle_classes(path: Path) -> list[str]:
    """The wnids of lines such as `n01440764 tench, Tinca tinca`."""
    lines = [line for line in text_of(path).splitlines() if line.strip()]
    wnids = [line.split()[0] for line in lines]
    for number, wnid in enumerate(wnids, start=1):
        if not WNID.fullmatch(wnid):
            raise DatasetError(f"{path}, line {number}: {wnid!r} is no WNID, such as n01440764.")
    return wnids
