"""Weights files that are known by name, `NET@NAME`: where they are, and how to know them.

The paper's own two nets, as released for Caffe and as converted by others, and all that torchvision
has. torchvision's file names end with the first digits of the file's SHA-256.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vggfeat.errors import UnknownNameError, WeightsError
from vggfeat.input_statistics import PAPER_STATISTICS, TORCHVISION_STATISTICS, InputStatistics
from vggfeat.storage.library_facts import known
from vggfeat.storage.sources import Source
from vggfeat.weights import formats

TORCHVISION = "torchvision"
TORCHVISION_ADDRESS = "https://download.pytorch.org/models/"
MEBI = 2**20 / 1e6  # what torchvision states as megabytes is 2^20 bytes
# What a net of the paper can have of torchvision without waiting two seconds for its import.
TORCHVISION_FAMILY = {
    "vgg11": ("vgg11-8a719046.pth", 506.84, 69.02, 88.628),  # megabytes, top-1, top-5 accuracy
    "vgg13": ("vgg13-19584684.pth", 507.545, 69.928, 89.246),
    "vgg16": ("vgg16-397923af.pth", 527.796, 71.592, 90.382),
    "vgg19": ("vgg19-dcbb9e9d.pth", 548.051, 72.376, 90.876),
}
FEATURES_ONLY = "IMAGENET1K_FEATURES"  # convolutions of another VGG-16, and no classifier
ALGORITHMS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256"}
ORIGINAL = "released Caffe model"  # as the published rows call the paper's own weights
# Whose files have a card by their format, and are released files all the same.
CARRYING_CARDS = (".caffemodel", ".mat")
NAMES = re.compile(r"torchvision|caffe|matconvnet|caffe-pth|timm|IMAGENET1K_\w+|random:\d+")


@dataclass(frozen=True, kw_only=True)
class Released:
    """A released file of weights."""

    net: str  # as `--net` names it, without weights
    name: str  # after the @
    sources: tuple[Source, ...]  # the same file at several addresses
    megabytes: float  # about
    statistics: InputStatistics
    error: str  # published, in percent, and in which view
    use: str  # what it is good for
    original: str = ""  # as published rows name these weights; empty: no published row has them
    bgr: bool = False  # whether the file's first layer takes B, G, R and nothing in it says so
    ceil_mode: bool = False
    layer: str = ""  # the last one that it can give, if it has no more than a part of the net

    @property
    def label(self) -> str:
        """The file as `--net` names it, NET@NAME."""
        return f"{self.net}@{self.name}"

    def facts(self) -> dict[str, str]:
        """Name and value of what the catalogue says of it, for people to read."""
        statistics = self.statistics
        checksums = {f"{ALGORITHMS[s.algorithm]} {s.digest}" for s in self.sources}
        return {
            "good for": self.use,
            "published error, top-1 / top-5, %": self.error,
            "size": f"about {self.megabytes:.0f} MB",
            "address": ", ".join(source.url for source in self.sources),
            "checksum": ", ".join(checksums),
            "pixels": f"R, G, B of 0 to 255 less {_numbers(statistics.mean)}, divided by"
            f" {_numbers(statistics.std)}" + (", pooling rounds up" if self.ceil_mode else ""),
        }


_OXFORD = "https://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/VGG_ILSVRC_"
_MATCONVNET = "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-"
_MICHIGAN = "https://web.eecs.umich.edu/~justincj/models/"
_PAPERS_ERROR = {
    "vgg16": "top-5 8.1 dense at 384; 7.5 dense at 256, 384, 512",
    "vgg19": "top-5 8.0 dense at 384; 7.5 dense at 256, 384, 512",
}


def _original(
    net: str, name: str, source: Source, megabytes: float, error: str, use: str, **more
) -> Released:
    return Released(
        net=net,
        name=name,
        sources=(source,),
        megabytes=megabytes,
        statistics=PAPER_STATISTICS,
        error=error,
        use=use,
        original=ORIGINAL,
        ceil_mode=True,
        **more,
    )


def _originals(net: str, megabytes: float, sha1: str, md5: str, pth: str, crop: str):
    layers = net.removeprefix("vgg")
    caffe = Source(f"{_OXFORD}{layers}_layers.caffemodel", "sha1", sha1)
    matlab = Source(f"{_MATCONVNET}{layers}.mat", "md5", md5)
    torch = Source(f"{_MICHIGAN}{pth}.pth", "sha256", pth.rsplit("-", 1)[1])
    error = _PAPERS_ERROR[net]
    yield _original(net, "caffe", caffe, megabytes, error, "the paper's own weights, as released")
    yield _original(
        net,
        "matconvnet",
        matlab,
        megabytes,
        f"{crop} centre crop",
        "the paper's own weights, converted for MatConvNet",
    )
    yield _original(
        net,
        "caffe-pth",
        torch,
        megabytes,
        error,
        "the paper's own weights, converted for torch",
        bgr=True,
    )


ORIGINALS = (
    *_originals(
        "vgg16", 553, "9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24",
        "f72d927587ca4c97fbd165ec9cb9997f", "vgg16-00b39a1b", "28.5 / 9.9",
    ),
    *_originals(
        "vgg19", 575, "239785e7862442717d831f682bb824055e51e9ba",
        "106118b7cf60435e6d8e04f6a6dc3657", "vgg19-d01eb7cb", "28.7 / 9.9",
    ),
)  # fmt: skip


def released(net: str, name: str) -> Released:
    """The file that NET@NAME means. Raises WeightsError or UnknownNameError if there is none."""
    if name == TORCHVISION and net in TORCHVISION_FAMILY:
        return _of_family(net)
    by_name = {entry.name: entry for entry in ORIGINALS if entry.net == net} | _of_torchvision(net)
    if name in by_name:
        return by_name[name]
    if not by_name:
        raise WeightsError(
            f"there are no released weights of {net!r}. Give a file ({net}@FILE) or random weights"
            f" ({net}@random:0)."
        )
    raise UnknownNameError(f"weights of {net}", name, by_name)


def identified(net: str, path: Path, sha256: str) -> Released | None:
    """The released file for this net that a file is, by its digest, whatever its name.

    Those that are known by another digest than SHA-256 have to have their name as well.
    """
    of_family = [_of_family(net)] if net in TORCHVISION_FAMILY else []
    originals = [entry for entry in ORIGINALS if entry.net == net]
    for entry in [*originals, *of_family]:
        if _is_that(entry, path, sha256):
            return entry
    of_torchvision = _of_torchvision(net).values() if formats.kind_of(path) in formats.TORCH else ()
    return next((entry for entry in of_torchvision if _is_that(entry, path, sha256)), None)


def everything() -> Iterator[Released]:
    """Every released file that is known: the paper's own, then torchvision's net by net."""
    from vggfeat.weights import torchvision

    yield from ORIGINALS
    for net in sorted(torchvision.NAMES):
        yield from {entry.sources: entry for entry in _of_torchvision(net).values()}.values()


def to_rgb(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a net that takes B, G, R as those of one that takes R, G, B; old keys renewed."""
    first = "features.0.weight"
    # The files were made for nets whose dropout layers stood elsewhere.
    older = {"classifier.1": "classifier.0", "classifier.4": "classifier.3"}
    if "classifier.1.weight" in tensors:
        tensors = {
            older.get(layer, layer) + dot + kind: tensor
            for key, tensor in tensors.items()
            for layer, dot, kind in [key.rpartition(".")]
        }
    return dict(tensors) | {first: tensors[first].flip(1)}


def check_digest(
    entry: Released,
    path: Path,
    sha256: str,
    advice: str = "Remove it, and it will be fetched.",
) -> None:
    """Raise WeightsError unless a file that lies under a released name is that file.

    Downloads are checked as they arrive; this is for files that were put there by hand.
    """
    source = entry.sources[0]
    digest = sha256 if source.algorithm == "sha256" else source.digest_of(path)
    if not digest.startswith(source.digest):
        shown = len(source.digest)
        raise WeightsError(
            f"{path}: its {ALGORITHMS[source.algorithm]} starts with {digest[:shown]}, and"
            f" {entry.label} has {source.digest}: damaged, or another file. {advice}"
        )


def _is_that(entry: Released, path: Path, sha256: str) -> bool:
    source = entry.sources[0]
    if source.algorithm == "sha256":
        return sha256.startswith(source.digest)
    return path.name == source.name and source.matches(path)


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _of_family(net: str) -> Released:
    file, megabytes, *accuracies = TORCHVISION_FAMILY[net]
    return _torchvisions(
        net, TORCHVISION, TORCHVISION_ADDRESS + file, megabytes, accuracies, TORCHVISION_STATISTICS
    )


def _of_torchvision(net: str) -> dict[str, Released]:
    """torchvision's sets for a net by name; the first is also called `torchvision`."""
    facts = known("torchvision", ["sets of weights", net], lambda: _facts_of_torchvision(net))
    entries = {}
    for name, (url, megabytes, accuracies, mean, std) in facts["sets"].items():
        statistics = InputStatistics(tuple(mean), tuple(std))
        called = TORCHVISION if name == facts["first"] else name
        entries[name] = _torchvisions(net, called, url, megabytes, accuracies, statistics)
        entries[entries[name].name] = entries[name]
    return entries


def _facts_of_torchvision(net: str) -> dict[str, Any]:
    """What torchvision says of its sets of weights for a net, as plain JSON."""
    from vggfeat.weights import torchvision  # 2 s to import

    if net not in torchvision.NAMES:
        return {"first": "", "sets": {}}
    sets = {}
    for name, weights in torchvision.weights_of(net).items():
        metrics = weights.meta["_metrics"]["ImageNet-1K"]
        accuracies = [metrics["acc@1"], metrics["acc@5"]]
        statistics = torchvision.statistics_of(net, weights)
        size = weights.meta["_file_size"]
        sets[name] = [weights.url, size, accuracies, statistics.mean, statistics.std]
    return {"first": torchvision.weights_named(net, TORCHVISION).name, "sets": sets}


def _torchvisions(
    net: str,
    name: str,
    url: str,
    megabytes: float,
    accuracies: Sequence[float],
    statistics: InputStatistics,
) -> Released:
    digest = Path(url).stem.rsplit("-", 1)[1]
    errors = " / ".join(f"{100 - accuracy:.1f}" for accuracy in accuracies)
    use = "torchvision's training on ILSVRC"
    if name == FEATURES_ONLY:
        errors, use = "none", "convolutions only, from conv1_1 to pool5: no classifier"
    elif "SWAG" in name:
        use = "trained on 3.6 billion pictures of Instagram, then on ILSVRC"
    return Released(
        net=net,
        name=name,
        sources=(Source(url, "sha256", digest),),
        megabytes=megabytes * MEBI,
        statistics=statistics,
        error=errors if errors == "none" else f"{errors} centre crop",
        use=use,
        layer="pool5" if name == FEATURES_ONLY else "",
    )
