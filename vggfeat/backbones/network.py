"""A net with its weights and input statistics, built on first use: `Network`."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from vggfeat.backbones.backbone import Backbone, FirstMap
from vggfeat.backbones.spec import NetSpec, options_text
from vggfeat.input_statistics import InputStatistics
from vggfeat.weights.checkpoint import Card, is_blank
from vggfeat.weights.released import Released

log = logging.getLogger(__name__)

ILSVRC_CLASSES = 1000
OWN = "own"  # weights that come with a net of the user's


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A net and its weights, as `--net` names them; `load_network` makes it.

    spec has the input statistics and the part of the file that the user states besides the
    backbone's options. weights is a file's name, a released name, "random:SEED" or "own".
    weights_sha256 identifies them: the digest that a file states of what it holds, else that of the
    file, or of a net's own weights and code; empty for random ones, which their name determines.
    """

    spec: NetSpec  # without weights, and without the options that are the net's defaults
    name: str  # the text of spec: how feature files and records name the net
    weights: str
    weights_sha256: str
    code_sha256: str = ""  # of the user's code that the net is made of
    statistics: InputStatistics
    assumed: tuple[str, ...] = ()  # which of the statistics, "mean" and "std", nobody states
    backbone: Backbone
    # Builds the net as it was trained, with its weights, in eval mode. Weights that the layer does
    # not need may be what they want, unless `whole=True`. Raises WeightsError.
    net: Callable[..., nn.Module]
    # What the weights file holds, under the net's keys; None: the net is built with its weights.
    tensors: Callable[[], dict[str, Tensor]] | None = None
    weights_path: Path | None = None
    card: Card | None = None  # what the file says of itself
    released: Released | None = None  # what the catalogue says of the file

    @property
    def label(self) -> str:
        """The net with its weights, as messages and tables name it."""
        return f"{self.name}@{self.weights}"

    @property
    def assumption(self) -> str:
        """What is assumed of its input, as a record's notes say it; empty if all is stated."""
        return _assumption(self.label, self.assumed_text) if self.assumed else ""

    def warn_of_assumption(self) -> None:
        """Log what is assumed of its input, once in a process, however many layers are used."""
        trunk = str(replace(self.spec, layer=None))
        _warn(_assumption(f"{trunk}@{self.weights}", self.assumed_text))

    @property
    def assumed_text(self) -> str:
        """The statistics that nobody states, as `--net` would."""
        return options_text({name: getattr(self.statistics, name) for name in self.assumed})

    @property
    def assumed_fact(self) -> dict[str, str]:
        """What a record's net says of it. Older records of nets in files say nothing."""
        says = bool(self.assumed) or self.weights == OWN
        return {"assumed": self.assumed_text} if says else {}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the K classes; empty if nobody says."""
        if self.card and self.card.classes:
            return self.card.classes
        # torchvision says its classes; of the originals' files none does but MatConvNet's card.
        if self.released is None or self.original or self.num_outputs != ILSVRC_CLASSES:
            return ()
        from vggfeat.weights.torchvision import imagenet_classes  # 2 s to import

        return imagenet_classes()

    @property
    def original(self) -> str:
        """How published rows name these weights; empty if none has them."""
        if self.released:
            return self.released.original
        imported = self.card.training.get("imported") if self.card else None
        return str(imported.get("original", "")) if isinstance(imported, dict) else ""

    @property
    def weights_identity(self) -> str:
        """What decides the weights: "random:SEED", or "sha256:" and the file's digest.

        Of a net of the user's the digest of its code, too.
        """
        identity = f"sha256:{self.weights_sha256}" if self.weights_sha256 else self.weights
        return f"{identity}, code {self.code_sha256}" if self.code_sha256 else identity

    @property
    def identity(self) -> tuple[str, str, InputStatistics]:
        """What decides the descriptors: networks of one identity give the same."""
        return self.name, self.weights_identity, self.statistics

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        return re.sub(r"[^A-Za-z0-9.]+", "_", self.name)

    @property
    def module(self) -> nn.Module:
        """The net up to its layer: normalised images [N, 3, H, W] -> descriptor map [N, D, h, w].

        In eval mode on the CPU. Raises WeightsError if the file does not fit the net.
        """
        return FirstMap(self.maps)

    # What is kept may serve outside of inference mode too.
    @cached_property
    @torch.inference_mode(False)
    def maps(self) -> nn.Module:
        """The net up to its layer, as `module`, but with its one map in a list."""
        return self.backbone.to_maps(self.net(), [self.backbone.layer_name])

    @cached_property
    @torch.inference_mode(False)
    def output_map(self) -> nn.Module:
        """The net up to its last layer: -> map of class scores or boxes [N, K, h, w]."""
        return self.backbone.to_outputs(self.net(whole=True))

    @cached_property
    def num_outputs(self) -> int:
        """K, as the weights have it; 0 if the file lacks the last layer. Raises WeightsError."""
        if self.tensors is not None and self.backbone.last_layer:
            last = self.tensors().get(f"{self.backbone.last_layer}.weight")
            return len(last) if last is not None and last.ndim and not is_blank(last) else 0
        return self.backbone.num_outputs

    def shares_pass(self, other: "Network") -> bool:
        """Whether it is the same net with the same weights, perhaps at another layer."""
        return self._forward_identity == other._forward_identity

    @property
    def _forward_identity(self) -> tuple[NetSpec, str | None, str, InputStatistics]:
        return self.backbone.trunk, self.spec.part, self.weights_identity, self.statistics


def _assumption(net: str, statistics: str) -> str:
    return f"{net}: nothing says what its input is normalised with; assumed: {statistics}"


@cache
def _warn(assumption: str) -> None:
    log.warning("%s. State mean= and std= as options of the net if they are others.", assumption)


def sharing_forward(network: Network, candidates: Sequence[Network]) -> list[Network]:
    """Those of the candidates that share a forward pass with this network, each layer once."""
    sharing = {net.identity: net for net in candidates if network.shares_pass(net)}
    sharing.pop(network.identity, None)
    return list(sharing.values())


def joint_module(networks: Sequence[Network]) -> nn.Module:
    """Networks that share a pass -> images [N, 3, H, W] to a list of their maps [N, D, h, w]."""
    first = networks[0]
    if len(networks) == 1:
        return first.maps
    return first.backbone.to_maps(
        first.net(), [network.backbone.layer_name for network in networks]
    )
