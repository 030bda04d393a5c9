"""The 1000 classes of ILSVRC-2012 to 2017: their WordNet ids, and which of them a name means.

ilsvrc_synsets.txt holds the ids in sorted order, which is that of the outputs of nets trained on
them with the folders sorted by name, as Caffe's, torchvision's and timm's were.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

# Each is the usual name of two classes: a bird and a machine, a tank suit and its tights.
TWO_CLASSES = ("crane", "maillot")


@cache
def wordnet_ids() -> tuple[str, ...]:
    """The WordNet ids of the classes, such as n01440764, in the order of nets' outputs."""
    text = resources.files(__package__).joinpath("ilsvrc_synsets.txt").read_text(encoding="ascii")
    return tuple(text.split())


@cache
def numbers_by_name() -> Mapping[str, tuple[int, ...]]:
    """`letters` of each usual English name -> the numbers of the classes that it may mean.

    The names are torchvision's; of an ambiguous one all classes that may be meant.
    """
    from vggfeat.weights.torchvision import imagenet_classes  # 2 s to import

    numbers: dict[str, tuple[int, ...]] = {}
    for number, name in enumerate(imagenet_classes()):
        first_word = name.lower().split()[0]  # newer versions say "crane bird" to tell them apart
        for key in {letters(name), *({first_word} & set(TWO_CLASSES))}:
            numbers[key] = (*numbers.get(key, ()), number)
    return numbers


def letters(name: str) -> str:
    """A name without case, spaces, signs and digits, by which two spellings are compared."""
    return re.sub("[^a-z]", "", name.lower())
