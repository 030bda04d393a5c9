"""The classes of pictures found among a net's, where the net has others: which output is which.

Three proofs are accepted, and the record names the one that was used: the folders' names are those
of the net's card; they are WordNet ids of ILSVRC's classes, or their usual English names, and the
net has ILSVRC's 1000 outputs. Without a proof a net is refused (class_checks.py).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vggfeat.backbones.network import ILSVRC_CLASSES, Network
from vggfeat.benchmarks.ilsvrc.class_checks import (
    are_ilsvrcs_names,
    check_classes,
    check_predicts_classes,
)
from vggfeat.benchmarks.ilsvrc.class_order import are_wordnet_ids
from vggfeat.benchmarks.ilsvrc.test_set import TestSet
from vggfeat.errors import DatasetError, WeightsError
from vggfeat.weights.ilsvrc import letters, numbers_by_name, wordnet_ids

log = logging.getLogger(__name__)

CARD, SYNSETS, ENGLISH = "names in the net's card", "WordNet ids", "usual English names"
NUM_NAMED = 3  # classes that a message names


@dataclass(frozen=True)
class ClassMatch:
    """Classes of pictures among those of a net."""

    classes: tuple[str, ...]  # the net's, in the order of its outputs
    numbers: Mapping[str, int]  # class of the pictures -> number of its output
    unknown: tuple[str, ...]  # classes of the pictures that the net has not
    proof: str  # in words: how the classes were matched


def among_classes_of(
    networks: Sequence[Network], test_set: TestSet, data: Path, *, skip_unknown: bool = False
) -> TestSet:
    """The test set with the classes of the nets, of which its pictures have some.

    As it is where each net has as many classes as the pictures, or no proof of which they are:
    class_checks.py says whether they are the same. skip_unknown leaves out pictures of classes that
    the nets have not. Raises DatasetError at classes that the nets have not, or whose names mean
    two of theirs; WeightsError where the nets have not the same classes.
    """
    classes = test_set.pictures.classes
    for network in networks:
        check_predicts_classes(network)
    matches = {
        network: match
        for network in networks
        if (skip_unknown or network.num_outputs != len(classes))
        and (match := match_classes(network, classes, data))
    }
    if not matches:
        return test_set
    for network, match in matches.items():
        if match.unknown and not skip_unknown:
            raise DatasetError(_unknown(network, match, classes, data))
    first = next(iter(matches))
    for network in networks:
        if network not in matches:
            check_classes(network, classes, data)
        if network not in matches or matches[network].classes != matches[first].classes:
            raise WeightsError(
                f"{network.label}: its {network.num_outputs} classes are not the"
                f" {first.num_outputs} of {first.label}. Evaluate each of them alone."
            )
    return _relabelled(test_set, matches[first], data)


def match_classes(network: Network, classes: Sequence[str], data: Path) -> ClassMatch | None:
    """How pictures' classes are found among the net's; None if there is no proof for any.

    Raises DatasetError at a name that means two classes, or two names that mean one.
    """
    names = network.card.classes if network.card else ()
    if set(names) == set(classes) or set(wordnet_ids()) == set(classes):
        return None  # nothing to match: order and names are checked as ever
    if network.num_outputs == ILSVRC_CLASSES and (not names or are_ilsvrcs_names(names)):
        match = _among_ilsvrcs(network, classes, data)
    elif len(set(names)) < len(names):
        return None
    else:
        number_of = {name: number for number, name in enumerate(names)}
        numbers = {name: number_of[name] for name in classes if name in number_of}
        match = ClassMatch(names, numbers, _without(classes, numbers), CARD)
    return match if match.numbers else None


def _among_ilsvrcs(network: Network, classes: Sequence[str], data: Path) -> ClassMatch:
    """Classes among ILSVRC's by WordNet id, and those that are no ids by English name."""
    number_of = {synset: number for number, synset in enumerate(wordnet_ids())}
    numbers = {name: number_of[name] for name in classes if name in number_of}
    proofs = [SYNSETS] if numbers else []
    others = [name for name in classes if not are_wordnet_ids([name])]
    meant = {name: numbers_by_name().get(letters(name), ()) for name in others}
    for name, candidates in meant.items():
        if len(candidates) > 1:
            synsets = " and ".join(wordnet_ids()[number] for number in candidates)
            raise DatasetError(
                f"{data}: {name!r} is the name of {len(candidates)} of the classes of"
                f" {network.label}, {synsets}. Name its folder by the WordNet id that is meant."
            )
        if candidates:
            numbers[name] = candidates[0]
    if any(meant.values()):
        proofs.append(ENGLISH)
    by_number: dict[int, str] = {}
    for name, number in numbers.items():
        if (other := by_number.setdefault(number, name)) != name:
            raise DatasetError(
                f"{data}: {other!r} and {name!r} are one class of {network.label},"
                f" {wordnet_ids()[number]}. Put their pictures into one folder."
            )
    return ClassMatch(wordnet_ids(), numbers, _without(classes, numbers), " and ".join(proofs))


def _without(classes: Sequence[str], numbers: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(name for name in classes if name not in numbers)


def _unknown(network: Network, match: ClassMatch, classes: Sequence[str], data: Path) -> str:
    """Why pictures of classes that a net has not cannot be tested, and what to do."""
    num, is_named = len(match.classes), network.card and network.card.classes
    counts = f"is a net of {num} classes, and {data} has {len(classes)}"
    if is_named:
        counts = (
            f"its classes are not those of {data}: it has {num} classes, there are {len(classes)}"
        )
    return (
        f"{network.label}: {counts}, of which {len(match.unknown)} {_named(match.unknown)} are not"
        " among the net's. Name a net that was trained on them, or leave them out by"
        " --skip-unknown-classes."
    )


def _named(names: Sequence[str]) -> str:
    """The first of the names, such as "('gnu', 'yak')"."""
    more = ", ..." if len(names) > NUM_NAMED else ""
    return f"({', '.join(map(repr, names[:NUM_NAMED]))}{more})"


def _relabelled(test_set: TestSet, match: ClassMatch, data: Path) -> TestSet:
    """The pictures of matched classes, labelled by the numbers of the net's outputs."""
    pictures = test_set.pictures
    if len(match.numbers) < 2:
        raise DatasetError(
            f"{data}: has one class of the {len(match.classes)} of the net, and two are needed."
        )
    labelled = [
        (path, match.numbers[pictures.classes[number]])
        for path, number in pictures.validation
        if pictures.classes[number] in match.numbers
    ]
    if not labelled:
        raise DatasetError(f"{data}: holds no picture of the classes of the net.")
    present = tuple(match.classes[number] for number in sorted(match.numbers.values()))
    facts = {"matched_by": match.proof}
    notes = [
        f"{len(present)} of the {len(match.classes)} classes of the nets are present, matched by"
        f" {match.proof}"
    ]
    if match.unknown:
        num_skipped = len(pictures.validation) - len(labelled)
        facts |= {"classes_skipped": len(match.unknown), "images_skipped_with_them": num_skipped}
        notes.append(
            f"left out: {num_skipped:,} pictures of {len(match.unknown)} classes that the nets have"
            f" not {_named(match.unknown)}"
        )
        log.warning("%s: %s", data, notes[-1])
    log.info("%s: %s", data, notes[0])
    return replace(
        test_set,
        pictures=replace(
            pictures,
            classes=match.classes,
            validation=sorted(labelled, key=lambda one: one[1]),
            notes=(*pictures.notes, *notes),
        ),
        present=present if len(present) < len(match.classes) else (),
        matching=facts,
    )
