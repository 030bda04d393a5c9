"""PASCAL VOC's action classification: what is this person doing? Mean average precision.

An example is a person in a picture, named "<picture> <person>" as in the lists. Ten actions are
scored; people who do something else (`other`) are negatives of them all. Two settings of the paper
(appendix B): the whole picture alone, and stacked with the descriptor of the person's box.

As in voc_protocol.py the test labels are not public: `val` is scored here, and the archive for the
evaluation server is made where the test pictures are there.
"""

import logging
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.protocols.voc_protocol import (
    NO_ARCHIVE,
    VERSION,
    limit_notes,
    local_split,
    official_split,
    rows_of_sets,
)
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
PERSON = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, kw_only=True)
class ActionProtocol:
    """A setting of the task: whether the person's box is described, too, and which actions count.

    `server_file` names the evaluation server's files, with {} for the action.
    """

    metric: ClassVar[str] = "map_area"
    with_box: bool
    actions: tuple[str, ...] = ACTIONS
    server_file: str = "results/VOC2012/Action/comp10_action_test_{}.txt"


def actions_benchmark(definition: DatasetDefinition, root: Path, options: DataOptions) -> Benchmark:
    """The benchmark of a devkit folder by an ActionProtocol. Raises DatasetError."""
    protocol: ActionProtocol = definition.protocol
    devkit, actions = Devkit(root), protocol.actions
    lists = {name: devkit.labels("Action", actions, name) for name in ("train", "val")}
    sets = {
        name: _people_in(by_action.values())[: options.limit] for name, by_action in lists.items()
    }
    people = sets["train"] + sets["val"]
    pictures, examples = _pictures_of(devkit, people, protocol, options)
    if test_set := _test_set(devkit, definition, options):
        sets["test"] = list(test_set.examples)
        pictures |= test_set.pictures
        examples |= test_set.examples
    check_disjoint(sets)
    rows = rows_of_sets(sets)
    # Who is not in an action's list neither trains it nor is scored, as in the devkit. (`jumping`
    # came a year later than the first pictures, whose people its lists are said to leave out.)
    labels = np.zeros((len(examples), len(actions)), dtype=np.int8)
    for name, by_action in lists.items():
        labels[rows[name]] = [[by_action[a].get(i, 0) for a in actions] for i in sets[name]]
    return Benchmark(
        name=definition.name,
        title=definition.title,
        version=VERSION,
        classes=actions,
        pictures=pictures,
        examples=examples,
        dataset=definition.features_of,
        labels=labels,
        splits=(local_split(sets, rows),),
        submission=test_set and _submission(sets, rows, protocol, test_set),
        sets=rows,
        scales=definition.scales,
        aggregate=definition.aggregate,
        task=MultiLabel(metric=protocol.metric),
        protocol={
            "trained_on": "train",
            "scored_on": "val",
            "people": len(people),
        }
        | ({"box_margin": options.box_margin} if protocol.with_box else {}),
        notes=(*limit_notes(options), *_absence_notes(lists, sets)),
        limited=options.limit is not None,
    )


@dataclass(frozen=True)
class _TestSet:
    """The test people of each action, all of them as examples, and the pictures of those."""

    people_of: Mapping[str, Sequence[str]]
    examples: Mapping[str, tuple[str, ...]]
    pictures: Mapping[str, Picture]


def _test_set(
    devkit: Devkit, definition: DatasetDefinition, options: DataOptions
) -> _TestSet | None:
    """The set that only the evaluation server can score, if it is there and whole.

    What is wrong with it is a warning, as it must not stop the measurement on `val`.
    """
    if not devkit.has_list("Action", "test"):
        return None
    protocol: ActionProtocol = definition.protocol
    try:
        people_of = _test_people(devkit, protocol.actions)
        people = _people_in(people_of.values())[: options.limit]
        pictures, examples = _pictures_of(devkit, people, protocol, options)
    except DatasetError as error:
        log.warning(NO_ARCHIVE, definition.name, error)
        return None
    return _TestSet(people_of, examples, pictures)


def _submission(
    sets: dict[str, list[str]],
    rows: dict[str, np.ndarray],
    protocol: ActionProtocol,
    test_set: _TestSet,
) -> Submission:
    """What the evaluation server is sent, with the people that each action's list has."""
    return Submission(
        split=official_split(sets, rows),
        file=protocol.server_file,
        listed=_membership(sets["test"], test_set.people_of.values()),
    )


def _pictures_of(
    devkit: Devkit, people: Sequence[str], protocol: ActionProtocol, options: DataOptions
) -> tuple[dict[str, Picture], dict[str, tuple[str, ...]]]:
    """The pictures and boxes of these people by id, and person -> ids of what stands for them."""
    if wrong := [person for person in people if not PERSON.fullmatch(person.split()[1])]:
        raise DatasetError(f"{devkit.root}: {wrong[0]!r} in a list is not `<picture> <person>`.")
    files = devkit.pictures(list(dict.fromkeys(map(_picture, people))))
    pictures: dict[str, Picture] = dict(files)
    examples = {person: (_picture(person),) for person in people}
    if protocol.with_box:
        for person in people:
            crop = _crop(devkit, person, files[_picture(person)], options.box_margin)
            # The id holds the box, so that descriptors of another margin are never taken for it.
            crop_id = f"{_picture(person)} {','.join(map(str, crop.box))}"
            pictures[crop_id] = crop
            examples[person] = (_picture(person), crop_id)
    return pictures, examples


def _absence_notes(
    lists: Mapping[str, Mapping[str, Mapping[str, int]]], sets: Mapping[str, Sequence[str]]
) -> list[str]:
    """How many people of the sets each action's lists leave out, where they leave out any."""
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
    """The picture of an example `<picture> <person>`."""
    return example.split()[0]


def _people_in(lists: Iterable[Collection[str]]) -> list[str]:
    """The people in any of the lists of a set, in the order of the longest list."""
    by_length = sorted(lists, key=len, reverse=True)
    return list(dict.fromkeys(person for people in by_length for person in people))


def _test_people(devkit: Devkit, actions: Sequence[str]) -> dict[str, list[str]]:
    """The people in each action's test list; without lists, every object of the test pictures."""
    if not any(devkit.has_list("Action", f"{action}_test") for action in actions):
        all_people = [
            f"{picture} {index}"
            for picture in devkit.names("Action", "test")
            for index in range(1, devkit.num_objects(picture) + 1)
        ]
        return dict.fromkeys(actions, all_people)
    listed = {a: devkit.rows("Action", f"{a}_test", 2, 3) for a in actions}
    return {a: [" ".join(row[:2]) for row in rows] for a, rows in listed.items()}


def _membership(people: Sequence[str], lists: Iterable[Sequence[str]]) -> np.ndarray:
    """Whether each person is in each of the lists, bool [people, lists]."""
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
