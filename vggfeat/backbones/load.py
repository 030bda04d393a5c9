"""A `NetSpec` -> the `Network` that it names: which kind of net, whose weights, which input.

A file of weights never chooses code that is run; a net of the user's, or in a file, is code.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from os.path import expanduser
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vggfeat.backbones.backbone import Backbone
from vggfeat.backbones.defaults import PAPER
from vggfeat.backbones.exported import backbone as exported
from vggfeat.backbones.factory import code_digest, factory_backbone, weights_digest
from vggfeat.backbones.from_file import file_tensors
from vggfeat.backbones.network import OWN, Network
from vggfeat.backbones.spec import (
    EXPORTED_SUFFIXES,
    SIZE,
    STATISTICS,
    TIMM_WEIGHTS,
    Fusion,
    NetSpec,
    check_card,
    named_by_card,
    net_of_card,
    parse_fusion,
)
from vggfeat.backbones.vgg import vgg_backbone
from vggfeat.errors import OptionError, UnknownNameError, WeightsError
from vggfeat.input_statistics import InputStatistics
from vggfeat.storage.download import download
from vggfeat.storage.files import sha256_of
from vggfeat.storage.folders import folders
from vggfeat.storage.seen import warn_of_difference
from vggfeat.vgg import CONFIGURATIONS, initialise
from vggfeat.weights import checkpoint, formats, released
from vggfeat.weights.released import TORCHVISION, Released

# Kinds of files that do not notice damage themselves, as zip archives do.
WITHOUT_SUMS = (checkpoint.SUFFIX, ".onnx", ".mat")


def load_network(
    net: str | Path | NetSpec, *, weights_dir: Path | str | None = None, offline: bool = False
) -> Network:
    """The network that a specification without `+` names.

    weights_dir receives released files, the user's cache folder if it is not given. A file is
    hashed now and read when the net is first used. Raises UnknownNameError, OptionError,
    NetworkError, WeightsError or DownloadError.
    """
    spec = net if isinstance(net, NetSpec) else _parse_one(str(net))
    if spec.is_file:
        path = Path(expanduser(spec.weights))
        if path.suffix.lower() in EXPORTED_SUFFIXES and exported.is_exported_net(path):
            return _exported(spec, path)
        return _from_file(spec, path)
    if spec.is_factory and not spec.weights:
        return _from_factory(spec)
    if spec.seed is not None:
        return _random(spec)
    if released.NAMES.fullmatch(spec.weights_or_default):
        return _released(spec, Path(weights_dir or folders().weights), offline)
    path = Path(expanduser(spec.weights))
    if not spec.is_factory:
        backbone_of(spec)  # what is mistyped is an error of its own, before a file is looked for
        if re.fullmatch(r"[\w-]+", spec.weights) and not path.exists():
            released.released(spec.name, spec.weights)  # raises: a mistyped name
    return _from_file(spec, path)


def load_fusions(
    fusions: Sequence[Fusion], *, weights_dir: Path | None = None, offline: bool = False
) -> list[list[Network]]:
    """The networks of each fusion; a net that is named twice is loaded once, as the same object."""
    loaded = {
        spec: load_network(spec, weights_dir=weights_dir, offline=offline)
        for spec in dict.fromkeys(spec for fusion in fusions for spec in fusion)
    }
    return [[loaded[spec] for spec in fusion] for fusion in fusions]


def yet_to_be_fetched(spec: NetSpec) -> Network:
    """A network whose released weights are not here, with random ones, for plans.

    No feature file and no record will be found for it. Raises what `load_network` raises.
    """
    if spec.is_of_timm:
        backbone = backbone_of(spec)
        weights = {"weights": spec.weights_or_default}
    else:
        entry, backbone = _entry(spec)
        weights = {"weights": entry.name, "statistics": entry.statistics}
    net = partial(_build, backbone)
    return _network(spec, backbone, weights_sha256="to be fetched", net=net, **weights)


def _parse_one(text: str) -> NetSpec:
    spec, *more_specs = parse_fusion(text)
    if more_specs:
        raise OptionError(f"{text}: names several nets, and one is taken here.")
    return spec


def backbone_of(spec: NetSpec, weights: str = TORCHVISION) -> Backbone:
    """The net at its layer; weights names torchvision's set where it decides the net's size."""
    if spec.is_of_paper:
        return vgg_backbone(spec)
    if spec.is_factory:
        return factory_backbone(spec)
    if spec.is_of_timm:
        from vggfeat.backbones.timm import timm_backbone

        return timm_backbone(spec)
    from vggfeat.backbones.torchvision import torchvision_backbone
    from vggfeat.weights.torchvision import NAMES

    if spec.name in NAMES:
        return torchvision_backbone(spec, weights=weights)
    names = {*NAMES, *CONFIGURATIONS}
    raise UnknownNameError("network", spec.name, names, listed=CONFIGURATIONS)


def _network(
    spec: NetSpec,
    backbone: Backbone,
    *,
    statistics: InputStatistics | None = None,
    assumed: bool = False,  # whether nobody states these
    **weights: Any,
) -> Network:
    """The network, whose input is as the user states it, else by statistics or the net's own."""
    statistics = statistics or backbone.statistics
    mean, std = spec.mean or statistics.mean, spec.std or statistics.std
    if not all(number > 0 for number in std):
        raise OptionError(f"std must be above 0 for each channel; got {std}.")
    if spec.part and "tensors" not in weights:
        raise OptionError(f"{spec}: part= is of a weights file that holds several nets.")
    named = replace(backbone.spec, mean=spec.mean, std=spec.std, part=spec.part)
    unstated = [name for name in STATISTICS if getattr(spec, name) is None]
    network = Network(
        spec=named,
        name=str(named),
        statistics=InputStatistics(mean, std),
        assumed=tuple(unstated) if assumed else (),
        backbone=backbone,
        **weights,
    )
    if network.assumed:
        network.warn_of_assumption()
    return network


# Random weights.


def _random(spec: NetSpec) -> Network:
    if spec.is_factory:
        raise OptionError(f"{spec}: a net of your own comes with its weights, or takes a file.")
    backbone = backbone_of(spec)
    net = partial(_build_random, backbone, spec.seed)
    return _network(spec, backbone, weights=spec.weights, weights_sha256="", net=net)


@torch.inference_mode(False)
def _build_random(backbone: Backbone, seed: int, *, whole: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = backbone.build(None)
    initialise(net, "glorot", seed=seed)
    return net.eval()


# Released weights, by their name.


def _released(spec: NetSpec, folder: Path, offline: bool) -> Network:
    if spec.is_of_timm:
        return _released_by_timm(spec, folder, offline)
    entry, backbone = _entry(spec)  # what is mistyped is an error before anything is fetched
    path = download(list(entry.sources), folder, offline=offline)
    sha256 = _digest(path)
    released.check_digest(entry, path, sha256)
    of_entry = {"weights": entry.name, "statistics": entry.statistics, "released": entry}
    return _with_file(spec, backbone, path, sha256, **of_entry)


def _released_by_timm(spec: NetSpec, folder: Path, offline: bool) -> Network:
    from vggfeat.backbones import timm

    weights = spec.weights_or_default
    if weights != TIMM_WEIGHTS:
        raise UnknownNameError(f"weights of {spec.name}", weights, [TIMM_WEIGHTS])
    backbone = backbone_of(spec)
    path = timm.file_of(spec.name, folder, offline=offline)
    return _with_file(spec, backbone, path, _digest(path), weights=weights)


def _entry(spec: NetSpec) -> tuple[Released, Backbone]:
    """What the catalogue says of the net with weights of that name, and the net."""
    backbone_of(spec)
    entry = released.released(spec.name, spec.weights_or_default)
    asked = _as_released(spec, entry)
    backbone = backbone_of(asked, entry.name)
    changed = [key for key in SIZE if key in spec.options]
    released_size = replace(asked, width=None, input_size=None)
    if changed and backbone.spec != backbone_of(released_size, entry.name).spec:
        raise WeightsError(
            f"{spec}: there are no released weights for a net with another {changed[0]}. Give a"
            f" file or random weights, such as {spec.name}@random:0."
        )
    return entry, backbone


def _as_released(spec: NetSpec, entry: Released | None) -> NetSpec:
    """The net as its released weights need it, unless the user says otherwise."""
    rounds_up = entry is not None and entry.ceil_mode and spec.ceil_mode is None
    return replace(spec, ceil_mode=True) if rounds_up else spec


# Weights in a file.


def _from_file(spec: NetSpec, path: Path) -> Network:
    if path.suffix.lower() in EXPORTED_SUFFIXES:
        exported.check_no_net(path)
    card, entry = formats.read_card(path), None
    card_spec = net_of_card(card, path) if card else None
    if spec.is_file:
        spec = named_by_card(spec, card_spec, path)
    sha256 = checkpoint.identity_of(path) if formats.kind_of(path) == checkpoint.SUFFIX else None
    if sha256 is None:
        sha256 = _digest(path)
        _compare_with_first(path, sha256)
    if card is None or formats.kind_of(path) in released.CARRYING_CARDS:
        entry = released.identified(spec.name, path, sha256)
    if card:
        check_card(card, card_spec, spec, path)
        backbone = backbone_of(spec.filled_in(card_spec), entry.name if entry else TORCHVISION)
        statistics = InputStatistics(card.mean, card.std)
        assumed = entry is None and card.assumes_statistics
    elif entry:
        backbone = backbone_of(_as_released(spec, entry), entry.name)
        statistics, assumed = entry.statistics, False
    else:
        backbone = backbone_of(spec)
        assumed = not backbone.shows_statistics
        statistics = PAPER.file_statistics if spec.is_of_paper else backbone.statistics
    code = code_digest(spec.name, backbone.build(None)) if spec.is_factory else ""
    return _with_file(
        spec, backbone, path, sha256,
        weights=path.name, statistics=statistics, assumed=assumed, code_sha256=code, card=card,
        released=entry,
    )  # fmt: skip


def _with_file(spec: NetSpec, backbone: Backbone, path: Path, sha256: str, **more: Any) -> Network:
    """The network whose weights lie in a file with this digest."""
    tensors = partial(_tensors, backbone, path, more.get("released"))
    if spec.part or not (more.get("card") or more.get("released")):
        tensors = partial(file_tensors, backbone, path, spec.part)
    return _network(
        spec,
        backbone,
        weights_sha256=sha256,
        weights_path=path,
        tensors=tensors,
        net=partial(_build_from_file, backbone, path, tensors),
        **more,
    )


def _tensors(backbone: Backbone, path: Path, entry: Released | None) -> dict[str, Tensor]:
    """What a file that says which net it is holds, under the net's keys. Raises WeightsError."""
    tensors = formats.FORMATS[formats.kind_of(path)].read(path)
    tensors = backbone.renamed(tensors) if backbone.renamed else tensors
    return released.to_rgb(tensors) if entry and entry.bgr else tensors


@torch.inference_mode(False)
def _build_from_file(
    backbone: Backbone, path: Path, read: Callable[[], dict[str, Tensor]], *, whole: bool = False
) -> nn.Module:
    tensors = read()
    net = backbone.build(tensors)
    needs = backbone.needs if not whole else lambda key: True
    missing = checkpoint.missing(net, tensors, needs)
    if missing and checkpoint.is_part(net, tensors):
        scores = "" if any(map(backbone.needs, missing)) else f"has no {missing[0]!r}: no scores"
        if reason := backbone.missing_part(tensors) or scores:
            raise WeightsError(f"{path}: {reason}.")
    checkpoint.load(net, tensors, path, needs=needs)
    return net.eval()


def _compare_with_first(path: Path, sha256: str) -> None:
    """Warn of a file of a kind without checksums that is not the one that was seen first."""
    if path.suffix in WITHOUT_SUMS:
        warn_of_difference(path, sha256)


def _digest(path: Path) -> str:
    """SHA-256 of a weights file. Raises WeightsError."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from error


# Nets that come with their weights: the user's own code, and exported nets.


def _from_factory(spec: NetSpec) -> Network:
    backbone = backbone_of(spec)
    net = backbone.build(None)
    return _network(
        spec,
        backbone,
        weights=OWN,
        weights_sha256=weights_digest(net),
        code_sha256=code_digest(spec.name, net),
        net=partial(_build, backbone),
        assumed=not backbone.shows_statistics,
    )


def _exported(spec: NetSpec, path: Path) -> Network:
    backbone = exported.exported_backbone(spec)
    _compare_with_first(path, _digest(path))
    own = {"weights": OWN, "weights_sha256": exported.sha256_of(path)}
    assumed = not backbone.shows_statistics
    return _network(spec, backbone, net=partial(_build, backbone), assumed=assumed, **own)


@torch.inference_mode(False)
def _build(backbone: Backbone, *, whole: bool = False) -> nn.Module:
    return backbone.build(None).eval()
