"""Whether what `--net` says of a net can be right, before anything is fetched or loaded."""

from os.path import expanduser
from pathlib import Path

from vggfeat.backbones.exported.backbone import is_exported_net
from vggfeat.backbones.load import backbone_of
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import NetSpec, named_by_card, net_of_card
from vggfeat.weights import formats


def check_net(spec: NetSpec | Network) -> None:
    """Raise VggfeatError at whatever is mistyped in a specification, before anything is fetched."""
    if isinstance(spec, Network):
        return  # loaded already
    if spec.is_file:
        path = Path(expanduser(spec.weights))
        if not is_exported_net(path):
            card = formats.read_card(path)
            named_by_card(spec, card and net_of_card(card, path), path)
    elif not spec.is_factory:
        backbone_of(spec)
