"""timm's nets as backbones, named `timm/NAME` as timm names them; timm is an optional extra.

The descriptor is what goes into the classifier: the pooled features, or the class token. What a net
expects of pictures, and at which size it was trained, is what timm's configuration of it says.
"""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from vggfeat.backbones import defaults
from vggfeat.backbones.anatomy import Anatomy
from vggfeat.backbones.backbone import Backbone, check_input_size
from vggfeat.backbones.hooks import ShapeProbe, hooked_backbone, probe_shapes
from vggfeat.backbones.spec import TIMM, NetSpec
from vggfeat.errors import DownloadError, NetworkError, UnknownNameError, WeightsError, reason_of
from vggfeat.input_statistics import InputStatistics
from vggfeat.storage.library_facts import known

FILE = "model.safetensors"  # what timm's repositories hold
MIN_SIZE = 32  # pixels, the usual stride; timm does not say which sizes are too small


OPTIONS = ("input_size", "layer", "view")


def timm_backbone(spec: NetSpec) -> Backbone:
    """A net of timm at a layer.

    Raises NetworkError, also where timm is not installed, OptionError or UnknownNameError.
    """
    spec.check_options(OPTIONS)
    name, timm_name = spec.name, spec.name.removeprefix(TIMM)
    question = [timm_name, spec.input_size]
    anatomy = Anatomy.from_json(known("timm", question, lambda: _anatomy(*question).to_json()))
    side, default_side, classifier = anatomy.input_size, anatomy.default_size, anatomy.classifier
    default_layer = defaults.TIMM.layer.format(classifier=classifier) if classifier else None
    layer = spec.layer or default_layer
    if layer is None:
        raise NetworkError(f"{name}: has several classifiers. Choose a layer: {name}:layer=NAME.")
    return hooked_backbone(
        spec,
        anatomy.shapes,
        layer=layer,
        side=side,
        default=NetSpec(name, layer=default_layer, input_size=default_side),
        defaults=defaults.TIMM,
        min_size=anatomy.min_size,
        statistics=anatomy.statistics,
        build=partial(_build, timm_name, side if side != default_side else None),
        last_layer=classifier,
    )


def _anatomy(timm_name: str, asked_side: int | None) -> Anatomy:
    """What timm says of a net. Raises UnknownNameError, OptionError or NetworkError."""
    models = _timm().list_models()
    if timm_name.partition(".")[0] not in models:
        names = (TIMM + model for model in models)
        raise UnknownNameError("network", TIMM + timm_name, names, listed=())
    config = _configuration(timm_name)
    default_side = config["input_size"][-1]
    side = default_side if asked_side is None else asked_side
    check_input_size(side)
    shapes, classifier = _shapes(timm_name, side if side != default_side else None)
    mean, std = (tuple(round(255 * number, 6) for number in config[key]) for key in ("mean", "std"))
    return Anatomy(
        default_size=default_side,
        input_size=side,
        min_size=MIN_SIZE,
        statistics=InputStatistics(mean, std),
        classifier=classifier,
        shapes=shapes,
    )


def file_of(name: str, folder: Path, *, offline: bool = False) -> Path:
    """The weights that timm has for a net, fetched into `folder` if need be.

    Raises WeightsError if it has none, DownloadError if they cannot be had.
    """
    repository = _configuration(name.removeprefix(TIMM)).get("hf_hub_id")
    if not repository:
        raise WeightsError(
            f"timm has no weights for {name}. Give a file ({name}@FILE) or random weights"
            f" ({name}@random:0)."
        )
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(repository, FILE, cache_dir=folder / "timm", local_files_only=offline)
        )
    except Exception as error:  # its errors have no common base
        raise DownloadError(
            f"{name}: {FILE} of {repository} cannot be had ({reason_of(error)})."
            f" Fetch it elsewhere and name it: {name}@FILE.safetensors."
        ) from error


def _timm() -> ModuleType:
    try:
        import timm as library
    except ImportError as error:
        raise NetworkError(
            "nets of timm need the extra of that name: pip install 'vggfeat[timm]'."
        ) from error
    return library


def _configuration(timm_name: str) -> dict:
    try:
        config = _timm().get_pretrained_cfg(timm_name, allow_unregistered=False)
    except RuntimeError as error:
        raise NetworkError(f"timm/{timm_name}: timm has no configuration of that tag.") from error
    return config.to_dict()


def _build(
    timm_name: str, side: int | None, tensors: Mapping[str, Tensor] | None, **keywords
) -> nn.Module:
    _, classifier = _shapes(timm_name, side)
    last = None if tensors is None else tensors.get(f"{classifier}.weight")
    if last is not None and last.ndim:
        keywords["num_classes"] = len(last)
    return _create(timm_name, side, **keywords)


def _create(timm_name: str, side: int | None, **keywords) -> nn.Module:
    if side is not None:
        keywords["img_size"] = side
    try:
        return _timm().create_model(timm_name, pretrained=False, **keywords)
    except TypeError:
        keywords.pop("img_size", None)  # a net that takes any size does not know the word
        return _timm().create_model(timm_name, pretrained=False, **keywords)
    except (AssertionError, ValueError) as error:
        if side is None:
            raise
        raise NetworkError(f"timm/{timm_name}: cannot have input_size={side} ({error}).") from error


@cache
def _shapes(timm_name: str, side: int | None) -> tuple[ShapeProbe, str]:
    """What its modules give, and which of them is the classifier; "" if there are several."""
    try:
        with torch.device("meta"):
            net = _create(timm_name, side).eval()
        return _probed(net, side)
    except (NotImplementedError, RuntimeError, NetworkError):
        # Some need values; and timm's efficientvit switched autocast off until 1.0.29, which torch
        # does not have on "meta".
        return _probed(_create(timm_name, side).eval(), side)


def _probed(net: nn.Module, side: int | None) -> tuple[ShapeProbe, str]:
    classifier = net.get_classifier()
    names = (name for name, module in net.named_modules() if module is classifier)
    name = "" if isinstance(classifier, nn.ModuleList) else next(names, "")
    inputs_of = (name,) if name else ()
    side = side or net.pretrained_cfg["input_size"][-1]
    return probe_shapes(net, side, inputs_of=inputs_of), name
