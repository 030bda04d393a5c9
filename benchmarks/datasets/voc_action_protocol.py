"""PASCAL VOC 2012 action classification: what is a given person doing? Mean average precision.

An example is a person in a picture, named "<picture> <person>" as in the lists. Ten actions are
scored; people who do something else (`other`) are negatives of them all. Two settings of the paper
(appendix B): the whole picture alone, and stacked with the descriptor of the person's box.

As in voc.py the test labels are not public: `val` is scored here, and the archive for the
evaluation server is made where the test pictures are there.
"""

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.voc_protocol import (
    NO_ARCHIVE,
    VERSION,
    VOC_SCALES,
    limit_notes,
    local_split,
    official_split,
    rows_of_sets,
)
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.submission import Submission
from vggfeat.errors import DatasetError
from vggfeat.images import Crop, Picture
from vggfeat.layouts.options import DataOptions
from vggfeat.layouts.voc_devkit import Devkit, check_disjoint

log = logging.getLogger(__name__)

ACTIONS = (
    "jumping", "phoning", "playinginstrument", "reading", "ridingbike", "ridinghorse", "running",
    "takingphoto", "usingcomputer", "walking",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ActionProtocol:
    """A setting of the task."""

    name: str
    title: str
    dataset: str  # whose feature files it shares
    with_box: bool
    actions: tuple[str, ...] = ACTIONS
    scales: tuple[int, ...] = VOC_SCALES
    server_file: str = "results/VOC2012/Action/comp10_action_test_{}.txt"


WHOLE_PICTURE = ActionProtocol(
    name="voc2012_actions", title="VOC-2012 actions, image", dataset="voc2012", with_box=False
)
PICTURE_AND_BOX = ActionProtocol(
    name="voc2012_actions_box",
    title="VOC-2012 actions, image and box",
    dataset="voc2012",
    with_box=True,
)


def actions_benchmark(root: Path, options: DataOptions, protocol: ActionProtocol) -> Benchmark:
    """The benchmark of a devkit folder. Raises DatasetError."""
    devkit, actions = Devkit(root), protocol.actions
    lists = {name: devkit.labels("Action", actions, name) for name in ("train", "val")}
    sets = {
        name: _everyone(by_action.values())[: options.limit] for name, by_action in lists.items()
    }
    people = sets["train"] + sets["val"]
    pictures, examples = _described(devkit, people, protocol, options)
    tested = {}
    if devkit.has_list("Action", "test"):
        try:
            tested = _test_people(devkit, actions)
            sets["test"] = _everyone(tested.values())[: options.limit]
            more_pictures, more_examples = _described(devkit, sets["test"], protocol, options)
        except DatasetError as error:  # what has no public labels must not cost the local score
            log.warning(NO_ARCHIVE, protocol.name, error)
            sets.pop("test", None)
        else:
            pictures, examples = pictures | more_pictures, examples | more_examples
    check_disjoint(sets)
    rows = rows_of_sets(sets)
    # Who is not in an action's list neither trains it nor is scored, as in the devkit. (`jumping`
    # came a year later than the first pictures, whose people its lists are said to leave out.)
    labels = np.zeros((len(examples), len(actions)), dtype=np.int8)
    for name, by_action in lists.items():
        labels[rows[name]] = [[by_action[a].get(i, 0) for a in actions] for i in sets[name]]
    return Benchmark(
        name=protocol.name,
        title=protocol.title,
        version=VERSION,
        classes=actions,
        pictures=pictures,
        examples=examples,
        dataset=protocol.dataset,
        labels=labels,
        splits=(local_split(sets, rows),),
        submission=Submission(
            split=official_split(sets, rows),
            file=protocol.server_file,
            listed=_membership(sets["test"], [tested[action] for action in actions]),
        )
        if "test" in sets
        else None,
        sets=rows,
        scales=protocol.scales,
        aggregate="average",
        task=MultiLabel(metric="map_area"),
        protocol={
            "trained_on": "train",
            "scored_on": "val",
            "people": len(people),
        }
        | ({"box_margin": options.box_margin} if protocol.with_box else {}),
        notes=(*limit_notes(options), *_absence_notes(lists, sets)),
        limited=options.limit is not None,
    )


def _described(
    devkit: Devkit, people: Sequence[str], protocol: ActionProtocol, options: DataOptions
) -> tuple[dict[str, Picture], dict[str, tuple[str, ...]]]:
    """The pictures and boxes of these people, and which of them stand for each."""
    if wrong := [person for person in people if not person.split()[1].isdecimal()]:
        raise DatasetError(f"{devkit.root}: {wrong[0]!r} in a list is not `<picture> <person>`.")
    files = devkit.pictures(list(dict.fromkeys(map(_picture, people))))
    pictures: dict[str, Picture] = dict(files)
    examples = {person: (_picture(person),) for person in people}
    if protocol.with_box:
        for person in people:
            crop = _crop(devkit, person, files[_picture(person)], options.box_margin)
            # The name holds the box, so that descriptors of another margin are never taken for it.
            crop_id = f"{_picture(person)} {','.join(map(str, crop.box))}"
            pictures[crop_id] = crop
            examples[person] = (_picture(person), crop_id)
    return pictures, examples


def _absence_notes(
    lists: Mapping[str, Mapping[str, Mapping[str, int]]], sets: Mapping[str, Sequence[str]]
) -> list[str]:
    absent = {
        action: sum(i not in lists[name][action] for name in lists for i in sets[name])
        for action in lists["train"]
    }
    return [
        f"{action}: {count} people are not in its lists; they neither train it nor are scored"
        for action, count in absent.items()
        if count
    ]


def _picture(example: str) -> str:
    return example.split()[0]


def _everyone(lists: Iterable[Collection[str]]) -> list[str]:
    """Who is in any of the lists of a set, in the order of the longest list."""
    by_length = sorted(lists, key=len, reverse=True)
    return list(dict.fromkeys(person for people in by_length for person in people))


def _test_people(devkit: Devkit, actions: Sequence[str]) -> dict[str, list[str]]:
    """The people in each action's test list; without lists, every object of the test pictures."""
    if not any(devkit.has_list("Action", f"{action}_test") for action in actions):
        everyone = [
            f"{picture} {index}"
            for picture in devkit.names("Action", "test")
            for index in range(1, devkit.num_objects(picture) + 1)
        ]
        return dict.fromkeys(actions, everyone)
    listed = {a: devkit.rows("Action", f"{a}_test", 2, 3) for a in actions}
    return {a: [" ".join(row[:2]) for row in rows] for a, rows in listed.items()}


def _membership(people: Sequence[str], lists: Sequence[Sequence[str]]) -> np.ndarray:
    """[people, lists]: who is in which list."""
    sets = [set(listed) for listed in lists]
    return np.array([[person in listed for listed in sets] for person in people], dtype=bool)


def _crop(devkit: Devkit, example: str, picture: Path, margin: float) -> Crop:
    """The person's box, widened by `margin` of its sides and cut off at the picture's edges."""
    name, index = example.split()
    (left, upper, right, lower), (width, height) = devkit.box(name, int(index))
    across, down = margin * (right - left), margin * (lower - upper)
    box = (
        max(0, math.floor(left - across)),
        max(0, math.floor(upper - down)),
        min(width, math.ceil(right + across)),
        min(height, math.ceil(lower + down)),
    )
    if not (left < right and upper < lower and box[0] < box[2] and box[1] < box[3]):
        raise DatasetError(
            f"{devkit.root / 'Annotations' / name}.xml: the box of object {index},"
            f" {left + 1:g} to {right:g} by {upper + 1:g} to {lower:g}, is outside the picture of"
            f" {width}x{height}."
        )
    return Crop(picture, box)
