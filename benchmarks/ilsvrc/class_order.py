"""The order of the classes that nets are tested on: their own, where anything says what it is.

Folders lie in the order of their names as text, in which "10" comes before "2". Outputs of a net
are numbered as its weights have them, and weights seldom say how.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from vggfeat.backbones.network import ILSVRC_CLASSES, Network
from vggfeat.errors import DatasetError
from vggfeat.layouts.imagenet import Pictures


def in_order_of_nets(pictures: Pictures, networks: Sequence[Network]) -> Pictures:
    """The pictures to test on, with their classes numbered as the nets number them.

    Only folders named 0 to K-1 are renumbered: as a net's card lists these names, else in the order
    of the numbers. All others are in the order of their names.
    """
    if not are_numbers(pictures.classes):
        return pictures
    cards = [network.card.classes for network in networks if network.card]
    same = [classes for classes in cards if sorted(classes) == sorted(pictures.classes)]
    return _numbered(pictures, same[0] if same else sorted(pictures.classes, key=int))


def are_numbers(classes: Sequence[str]) -> bool:
    """Whether the names are the numbers 0 to K-1, with or without leading zeros."""
    if not all(re.fullmatch("[0-9]{1,9}", name) for name in classes):
        return False
    return sorted(map(int, classes)) == list(range(len(classes)))


def are_wordnet_ids(classes: Sequence[str]) -> bool:
    """Whether the names are WordNet ids such as n01440764, in whose order ILSVRC's classes are."""
    return all(re.fullmatch("n[0-9]{8}", name) for name in classes)


def assumption(nets: str, classes: Sequence[str], *, is_matched: bool = False) -> str:
    """What is taken for the order of nets' outputs whose weights do not name their classes.

    is_matched: the pictures' classes were matched with ILSVRC's.
    """
    if is_matched:
        return (
            f"{nets}: the weights do not name their classes; ILSVRC's in the order of their WordNet"
            " ids are taken for theirs"
        )
    kind = "names"
    if are_wordnet_ids(classes):
        kind = "WordNet ids"
    elif are_numbers(classes):
        kind = "numbers"
    return (
        f"{nets}: the weights do not name their classes; the order of the folders' {kind} is taken"
        " for theirs"
    )


def check_order(network: Network, classes: Sequence[str]) -> None:
    """Raise DatasetError if the order of the classes cannot be that of the net's outputs.

    For nets whose weights do not name their classes.
    """
    if are_numbers(classes):
        out_of_place = [n for n, name in enumerate(classes) if int(name) != n]
        if out_of_place:
            raise DatasetError(
                f"{network.label}: its weights do not name their classes, and a net beside it has"
                f" the folder {classes[out_of_place[0]]!r} as class {out_of_place[0]}. Evaluate"
                " each of them alone."
            )
        return
    if all(name.isdecimal() for name in classes) and list(classes) != sorted(classes, key=int):
        raise DatasetError(
            f"{network.label}: its weights do not name their classes, and the folders have other"
            f" numbers than 0 to {len(classes) - 1}, such as {max(classes, key=int)!r}. Name each"
            " folder by the number of its class in the net, the first one 0."
        )
    english = _usual_names(classes)
    if len(english) > len(classes) / 2:
        raise DatasetError(
            f"{network.label}: {len(english)} of {len(classes)} folders have English names of"
            f" ILSVRC's classes, such as {english[0]!r}, and its classes are in the order of their"
            " WordNet ids, which is another. Name the folders by their WordNet ids (n01440764 and"
            " so on), or by the numbers 0 to 999."
        )


def _usual_names(classes: Sequence[str]) -> list[str]:
    """Those folders that are named as ILSVRC's classes usually are, whatever their spelling."""
    if len(classes) != ILSVRC_CLASSES or are_wordnet_ids(classes):
        return []
    from vggfeat.weights.torchvision import imagenet_classes  # 2 s to import

    usual = {_letters(name) for name in imagenet_classes()}
    return [name for name in classes if _letters(name) in usual]


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _numbered(pictures: Pictures, classes: Sequence[str]) -> Pictures:
    """The pictures with these classes, in whose order the pictures are then listed.

    Another order is another list, and so another digest: nothing that was measured in the order
    of before is found again.
    """
    if tuple(classes) == pictures.classes:
        return pictures
    number_of = {name: number for number, name in enumerate(classes)}
    validation = [(path, number_of[pictures.classes[n]]) for path, n in pictures.validation]
    validation.sort(key=lambda labelled: labelled[1])
    return replace(pictures, classes=tuple(classes), validation=validation)
