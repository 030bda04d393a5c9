"""A `NetSpec` -> the `Network` that it names: which kind of net, whose weights, which input.

A file of weights never chooses code that is run; a net of the user's, or in a file, is code.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from os.path import expanduser
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vggfeat.backbones import from_file
from vggfeat.backbones.backbone import Backbone
from vggfeat.backbones.defaults import PAPER
from vggfeat.backbones.exported import backbone as exported
from vggfeat.backbones.factory import code_digest, factory_backbone, weights_digest
from vggfeat.backbones.network import OWN, Network
from vggfeat.backbones.spec import (
    EXPORTED_SUFFIXES,
    SIZE,
    STATISTICS,
    TIMM_WEIGHTS,
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
from vggfeat.storage.folders import folders
from vggfeat.vgg import initialise
from vggfeat.weights import formats, released
from vggfeat.weights.released import TORCHVISION, Released

NetName = str | Path | NetSpec | Network  # how a net may be named from Python


def load_network(
    net: NetName,
    *,
    weights_dir: Path | str | None = None,
    offline: bool = False,
) -> Network:
    """The network that a specification without `+` names; a Network is returned as it is.

    weights_dir receives released files, the user's cache folder if it is not given. A file is
    hashed now and read when the net is first used. Raises UnknownNameError, OptionError,
    NetworkError, WeightsError or DownloadError.
    """
    if isinstance(net, Network):
        return net
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
    fusions: Sequence[Sequence[NetSpec | Network]],
    *,
    weights_dir: Path | None = None,
    offline: bool = False,
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

    return torchvision_backbone(spec, weights=weights)


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
    sha256 = from_file.digest(path)
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
    return _with_file(spec, backbone, path, from_file.digest(path), weights=weights)


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
    sha256 = from_file.identity(path)
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
    tensors = partial(from_file.known_tensors, backbone, path, more.get("released"))
    if spec.part or not (more.get("card") or more.get("released")):
        tensors = partial(from_file.file_tensors, backbone, path, spec.part)
    return _network(
        spec,
        backbone,
        weights_sha256=sha256,
        weights_path=path,
        tensors=tensors,
        net=partial(from_file.build, backbone, path, tensors),
        **more,
    )


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
    from_file.check_entries(path)
    backbone = exported.exported_backbone(spec)
    from_file.compare_with_first(path)
    own = {"weights": OWN, "weights_sha256": exported.sha256_of(path)}
    assumed = not backbone.shows_statistics
    return _network(spec, backbone, net=partial(_build, backbone), assumed=assumed, **own)


@torch.inference_mode(False)
def _build(backbone: Backbone, *, whole: bool = False) -> nn.Module:
    return backbone.build(None).eval()
