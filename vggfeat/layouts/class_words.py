"""The words of classes whose names are WordNet ids, from the lists that lie beside the pictures.

words.txt                Tiny ImageNet's and WordNet's: id, tab, words
LOC_synset_mapping.txt   Kaggle's ILSVRC: id, space, words; also up to three folders above
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vggfeat.layouts.ilsvrc_devkit import KAGGLE_CLASSES, WNID
from vggfeat.weights.ilsvrc import wordnet_ids

WORDS = "words.txt"
LEVELS = 4  # folders that Kaggle's list is looked for in


def class_words(classes: Sequence[str], root: Path | None = None) -> list[str]:
    """What each class is called: its words, such as "goldfish, Carassius auratus", else its name.

    root is the folder of pictures; ids of ILSVRC that no list there names have torchvision's words.
    """
    wanted = {name for name in classes if WNID.fullmatch(name)}
    words: dict[str, str] = {}
    for path in _lists(root) if root is not None and wanted else ():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            wnid, *rest = re.split(r"[\t ]", line, maxsplit=1)
            if wnid in wanted and rest and rest[0].strip():
                words.setdefault(wnid, rest[0].strip())
    if wanted & set(wordnet_ids()) - words.keys():
        from vggfeat.weights.torchvision import imagenet_classes  # 2 s to import

        words = dict(zip(wordnet_ids(), imagenet_classes(), strict=True)) | words
    return [words.get(name, name) for name in classes]


def _lists(root: Path) -> Iterator[Path]:
    """The lists that are there."""
    folders = [root, *root.resolve().parents[: LEVELS - 1]]
    candidates = [root / WORDS, *(folder / KAGGLE_CLASSES for folder in folders)]
    return (path for path in candidates if path.is_file())
