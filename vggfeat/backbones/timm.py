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

from vggfeat.backbones.backbone import Backbone, Scores, check_input_size
from vggfeat.backbones.hooks import INPUT_OF, Survey, Taps, survey, surveyed_backbone
from vggfeat.errors import DownloadError, NetworkError, UnknownNameError, WeightsError, reason_of
from vggfeat.images import InputStatistics

PREFIX = "timm/"
FILE = "model.safetensors"  # what timm's repositories hold
MIN_SIZE = 32  # pixels, the usual stride; timm does not say which sizes are too small


def timm(
    name: str, *, input_size: int | None = None, layer: str | None = None, view: str | None = None
) -> Backbone:
    """Raises NetworkError, also where timm is not installed, or UnknownNameError."""
    plain = name.removeprefix(PREFIX)
    known = _timm().list_models()
    if plain.partition(".")[0] not in known:
        raise UnknownNameError("network", name, (PREFIX + other for other in known), listed=())
    config = _configuration(plain)
    usual = config["input_size"][-1]
    side = usual if input_size is None else input_size
    check_input_size(side)
    surveyed, classifier = _survey(plain, side if side != usual else None)
    default = INPUT_OF + classifier if classifier else None
    tap = layer or default
    if tap is None:
        raise NetworkError(f"{name}: has several classifiers. Choose a layer: {name}:layer=NAME.")
    mean, std = (tuple(round(255 * number, 6) for number in config[key]) for key in ("mean", "std"))
    return surveyed_backbone(
        name,
        surveyed,
        tap=tap,
        usual_tap=default,
        side=side,
        usual_side=usual,
        min_size=MIN_SIZE,
        view=view,
        statistics=InputStatistics(mean, std),
        build=partial(_build, plain, side if side != usual else None),
        to_maps=lambda net, taps: Taps(net, taps, surveyed),
        to_outputs=Scores,
        last_layer=classifier,
    )


def file_of(name: str, folder: Path, *, offline: bool = False) -> Path:
    """The weights that timm has for a net, fetched into `folder` if need be.

    Raises WeightsError if it has none, DownloadError if they cannot be had.
    """
    repository = _configuration(name.removeprefix(PREFIX)).get("hf_hub_id")
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


def _configuration(plain: str) -> dict:
    try:
        found = _timm().get_pretrained_cfg(plain, allow_unregistered=False)
    except RuntimeError as error:
        raise NetworkError(f"timm/{plain}: timm has no configuration of that tag.") from error
    return found.to_dict()


def _build(
    plain: str, side: int | None, tensors: Mapping[str, Tensor] | None, **keywords
) -> nn.Module:
    _, classifier = _survey(plain, side)
    last = None if tensors is None else tensors.get(f"{classifier}.weight")
    if last is not None and last.ndim:
        keywords["num_classes"] = len(last)
    return _create(plain, side, **keywords)


def _create(plain: str, side: int | None, **keywords) -> nn.Module:
    if side is not None:
        keywords["img_size"] = side
    try:
        return _timm().create_model(plain, pretrained=False, **keywords)
    except TypeError:
        keywords.pop("img_size", None)  # a net that takes any size does not know the word
        return _timm().create_model(plain, pretrained=False, **keywords)
    except (AssertionError, ValueError) as error:
        if side is None:
            raise
        raise NetworkError(f"timm/{plain}: cannot have input_size={side} ({error}).") from error


@cache
def _survey(plain: str, side: int | None) -> tuple[Survey, str]:
    """What its modules give, and which of them is the classifier; "" if there are several."""
    try:
        with torch.device("meta"):
            net = _create(plain, side).eval()
    except (NotImplementedError, RuntimeError):
        net = _create(plain, side).eval()
    classifier = net.get_classifier()
    found = (name for name, module in net.named_modules() if module is classifier)
    name = "" if isinstance(classifier, nn.ModuleList) else next(found, "")
    inputs_of = (name,) if name else ()
    return survey(net, side or net.pretrained_cfg["input_size"][-1], inputs_of=inputs_of), name
