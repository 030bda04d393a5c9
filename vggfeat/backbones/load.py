"""A specification -> the `Network` that it names: which kind of net, whose weights, which input.

A file of weights never chooses code that is run; a net of the user's, or in a file, is code.
"""

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vggfeat.backbones.backbone import Backbone, stated
from vggfeat.backbones.exported import backbone as programs
from vggfeat.backbones.factory import own, sources
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import RANDOM, TIMM_WEIGHTS, Specification, Value, parse, split_fusion
from vggfeat.backbones.timm import PREFIX as TIMM
from vggfeat.backbones.vgg import family
from vggfeat.errors import NetworkError, OptionError, UnknownNameError, WeightsError
from vggfeat.images import TORCHVISION_STATISTICS, InputStatistics
from vggfeat.storage.download import download
from vggfeat.storage.files import sha256_of
from vggfeat.storage.folders import folders
from vggfeat.vgg import CONFIGURATIONS
from vggfeat.weights import formats, released
from vggfeat.weights.card import Card
from vggfeat.weights.released import TORCHVISION, Released

log = logging.getLogger(__name__)

OWN = "own"  # weights that come with a net of the user's
OF_STATISTICS = ("mean", "std")
INPUT_SIZE = 224  # of the paper's nets, pixels
IN_CARD = ("width", "input_size")  # options that weights decide


def load_network(text: str, *, weights_dir: Path | None = None, offline: bool = False) -> Network:
    """The network that a specification without `+` names.

    weights_dir receives released files, the user's cache folder if it is not given. A file is
    hashed now and read when the net is first used. Raises UnknownNameError, OptionError,
    NetworkError, WeightsError or DownloadError.
    """
    if len(split_fusion(text)) > 1:
        raise OptionError(f"{text}: names several nets, and one is taken here.")
    asked = parse(text)
    if asked.is_file:
        path = Path(asked.weights).expanduser()
        if programs.is_program(path):
            return _program(path, asked.options)
        return _of_file(_with_its_net(asked, path), path)
    if not asked.weights and asked.is_factory:
        return _own(asked)
    weights = asked.weights or asked.usual_weights
    if weights.startswith(RANDOM):
        if asked.is_factory:
            raise OptionError(f"{text}: a net of your own comes with its weights, or takes a file.")
        backbone = _backbone(asked.name, asked.options)
        return Network(
            weights=weights,
            weights_sha256="",
            **_statistics(asked.options, backbone.statistics),
            backbone=backbone,
        )
    if released.NAMES.fullmatch(weights):
        return _released(asked, weights, weights_dir or folders().weights, offline)
    path = Path(weights).expanduser()
    if re.fullmatch(r"[\w-]+", weights) and not asked.is_factory and not path.exists():
        _backbone(asked.name, asked.options)
        released.released(asked.name, weights)  # raises: a mistyped name rather than a file
    return _of_file(asked, path)


def check_net(text: str) -> None:
    """Raise VggfeatError at whatever is mistyped in a specification, before anything is fetched."""
    for part in split_fusion(text):
        asked = parse(part)
        if asked.is_file:
            path = Path(asked.weights).expanduser()
            if not programs.is_program(path):
                _with_its_net(asked, path)
        elif not asked.is_factory:
            _backbone(asked.name, asked.options)


def _backbone(name: str, options: Mapping[str, Value], weights: str = TORCHVISION) -> Backbone:
    """The net of that name; weights names torchvision's set where it decides the net's size."""
    options = {key: value for key, value in options.items() if key not in OF_STATISTICS}
    try:
        if name in CONFIGURATIONS:
            return family(name, **options)
        if ":" in name:
            return own(name, **options)
        if name.startswith(TIMM):
            from vggfeat.backbones.timm import timm

            return timm(name, **options)
        from vggfeat.backbones.torchvision import torchvision
        from vggfeat.weights.torchvision import NAMES

        if name in NAMES:
            return torchvision(name, weights=weights, **options)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None or unknown[1] not in options:
            raise
        raise NetworkError(f"{name} has no option {unknown[1]!r}.") from error
    raise UnknownNameError("network", name, {*NAMES, *CONFIGURATIONS}, listed=CONFIGURATIONS)


def yet_to_be_fetched(text: str) -> Network:
    """A network whose released weights are not here, with random ones, for plans.

    No feature file and no record will be found for it. Raises what `load_network` raises.
    """
    asked = parse(text)
    weights = asked.weights or asked.usual_weights
    if asked.name.startswith(TIMM):
        backbone = _backbone(asked.name, asked.options)
        statistics = backbone.statistics
    else:
        entry, backbone = _entry(asked, weights)
        weights, statistics = entry.name, entry.statistics
    return Network(
        weights=weights,
        weights_sha256="to be fetched",
        **_statistics(asked.options, statistics),
        backbone=backbone,
    )


def _released(asked: Specification, weights: str, folder: Path, offline: bool) -> Network:
    if asked.name.startswith(TIMM):
        if weights != TIMM_WEIGHTS:
            raise UnknownNameError(f"weights of {asked.name}", weights, [TIMM_WEIGHTS])
        from vggfeat.backbones import timm

        backbone = _backbone(asked.name, asked.options)
        path = timm.file_of(asked.name, folder, offline=offline)
        return Network(
            weights=weights,
            weights_sha256=_digest(path),
            **_statistics(asked.options, backbone.statistics),
            backbone=backbone,
            weights_path=path,
        )
    entry, backbone = _entry(asked, weights)  # what is mistyped is told before anything is fetched
    path = download(list(entry.sources), folder, offline=offline)
    sha256 = _digest(path)
    released.check_digest(entry, path, sha256)
    return Network(
        weights=entry.name,
        weights_sha256=sha256,
        **_statistics(asked.options, entry.statistics),
        backbone=backbone,
        weights_path=path,
        released=entry,
    )


def _entry(asked: Specification, weights: str) -> tuple[Released, Backbone]:
    """What the catalogue says of the net with weights of that name, and the net."""
    _backbone(asked.name, asked.options)
    entry = released.released(asked.name, weights)
    ceil_mode = {"ceil_mode": True} if entry.ceil_mode else {}
    backbone = _backbone(asked.name, ceil_mode | dict(asked.options), entry.name)
    its_own = {key: value for key, value in asked.options.items() if key not in IN_CARD}
    if backbone.name != _backbone(asked.name, ceil_mode | its_own, entry.name).name:
        changed = [key for key in IN_CARD if key in asked.options]
        raise WeightsError(
            f"{asked.text}: there are no released weights for a net with another {changed[0]}. Give"
            f" a file or random weights, such as {asked.name}@random:0."
        )
    return entry, backbone


def _of_file(asked: Specification, path: Path) -> Network:
    formats.check_kind(path)
    if not asked.is_factory:
        _backbone(asked.name, asked.options)
    sha256 = _digest(path)
    card = formats.read_card(path)
    options, entry = dict(asked.options), None
    if card is None or path.suffix not in formats.TORCH:  # a card beside it says enough
        entry = released.identified(asked.name, path, sha256)
    if card:
        options = dict(_net_in(card, path).options) | options
        _check_card(card, asked, path)
        statistics = InputStatistics(card.mean, card.std)
    else:
        statistics = entry.statistics if entry else None
        options = ({"ceil_mode": True} if entry and entry.ceil_mode else {}) | options
    backbone = _backbone(asked.name, options, entry.name if entry else TORCHVISION)
    if statistics is None:
        is_family = asked.name in CONFIGURATIONS
        statistics = TORCHVISION_STATISTICS if is_family else backbone.statistics
        if not options.keys() & set(OF_STATISTICS):
            _tell_usual(path, statistics)
    return Network(
        weights=path.name,
        weights_sha256=sha256,
        code_sha256=_code(asked.name, backbone.build(None)) if asked.is_factory else "",
        **_statistics(asked.options, statistics),
        backbone=backbone,
        weights_path=path,
        card=card,
        released=entry,
    )


@cache  # once, however many layers are asked for
def _tell_usual(path: Path, statistics: InputStatistics) -> None:
    usual = stated("", vars(statistics), joined="")
    log.info("%s: says no input statistics; the usual ones are taken, %s", path, usual)


def _digest(path: Path) -> str:
    """SHA-256 of a weights file. Raises WeightsError."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from error


def _own(asked: Specification) -> Network:
    """A net of the user's that comes with its weights."""
    backbone = _backbone(asked.name, asked.options)
    net = backbone.build(None)
    digest = hashlib.sha256()
    for key, tensor in net.state_dict().items():
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return Network(
        weights=OWN,
        weights_sha256=digest.hexdigest(),
        code_sha256=_code(asked.name, net),
        **_statistics(asked.options, backbone.statistics),
        backbone=backbone,
    )


def _code(name: str, net: nn.Module) -> str:
    """The digest of the user's code that a net is made of: with other code it is another net."""
    digest = hashlib.sha256()
    for path in sources(name, net):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _program(path: Path, options: Mapping[str, Value]) -> Network:
    """A file that is a net itself."""
    of_net = {key: value for key, value in options.items() if key not in OF_STATISTICS}
    backbone = programs.program(path, **of_net)
    return Network(
        weights=OWN,
        weights_sha256=programs.sha256_of(path),
        **_statistics(options, backbone.statistics),
        backbone=backbone,
    )


def _with_its_net(asked: Specification, path: Path) -> Specification:
    """A file that stands alone, as the net that it says it is. Raises WeightsError."""
    card = formats.read_card(path)
    if card is None:
        raise WeightsError(f"{path}: does not say which net it belongs to. Write NET@{path}.")
    its = _net_in(card, path)
    if its.is_factory:  # a weights file must not choose code that is run
        raise WeightsError(
            f"{path}: its card names a function, {card.net}. Write {card.net}@{path} to call it."
        )
    size = {key: value for key, value in its.options.items() if key in IN_CARD}
    return Specification(asked.text, its.name, size | dict(asked.options), asked.weights)


def _net_in(card: Card, path: Path) -> Specification:
    """The net that a card names. Raises WeightsError."""
    try:
        its = parse(card.net)
    except (OptionError, UnknownNameError) as error:
        raise WeightsError(f"{path}: its card names the net {card.net!r}: {error}") from error
    if its.is_file or its.weights:
        raise WeightsError(f"{path}: its card names {card.net!r}, which is no net.")
    return its


def _check_card(card: Card, asked: Specification, path: Path) -> None:
    """Raise WeightsError if the weights are another net's than was asked for."""
    its = _net_in(card, path)
    usual = {"width": 1.0, "input_size": INPUT_SIZE} if its.name in CONFIGURATIONS else {}
    stated, wanted = usual | dict(its.options), usual | dict(asked.options)
    if its.name != asked.name or any(stated.get(k) != wanted.get(k) for k in IN_CARD):
        raise WeightsError(f"{path}: holds weights of {card.net}. Name the file alone.")


def _statistics(options: Mapping[str, Value], usual: InputStatistics) -> dict[str, Any]:
    """What the user states, the usual for the rest, as fields of Network. Raises OptionError."""
    given = {key: options[key] for key in OF_STATISTICS if key in options}
    statistics = replace(usual, **given)
    if not all(number > 0 for number in statistics.std):
        raise OptionError(f"std must be above 0 for each channel; got {statistics.std}.")
    return {"statistics": statistics, "given": given}
