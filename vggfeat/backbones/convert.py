"""Weights from any format to the native one, and from there to others, with their card."""

import filecmp
import logging
import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vggfeat.backbones.load import load_network
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import OptionError, WeightsError
from vggfeat.storage import seen
from vggfeat.storage.files import remove_parts, sha256_of
from vggfeat.storage.locks import exclusive
from vggfeat.weights import formats, onnx, released
from vggfeat.weights.caffe import caffemodel
from vggfeat.weights.caffe.prototxt import check_prototxt
from vggfeat.weights.checkpoint import ASSUMED, Card

log = logging.getLogger(__name__)


def import_weights(
    path: Path, out: Path, *, net: NetSpec | None = None, prototxt: Path | None = None
) -> Network:
    """Write a weights file as .safetensors with a card, and give the network that it is then.

    An `out` that is there already must be equal to what would be written.
    net names the net where the file does not. prototxt is Caffe's description of the net, which is
    compared with the file. Raises VggfeatError if the file does not fit the net.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out}: the native format is .safetensors. Choose such a name.")
    formats.check_kind(path)
    if out.exists() and path.samefile(out):
        raise _there_already(out)
    if net and net.weights:
        raise OptionError(f"{net}: names weights. Name the net alone, such as {net.name}.")
    if prototxt is not None:
        if formats.kind_of(path) != caffemodel.SUFFIX:
            raise WeightsError(f"{path}: a .prototxt describes {caffemodel.SUFFIX} files only.")
        check_prototxt(path, prototxt)
    net = net or _net_of(path)
    spec = replace(net or NetSpec(), weights=str(path))
    _write(load_network(spec), out)
    # Other layers may not be in the file.
    return load_network(NetSpec(weights=str(out), layer=spec.layer))


def export_weights(network: Network, out: Path) -> None:
    """Write the weights of a network in the format that the suffix of `out` names.

    An `out` that is there already must be equal to what would be written. Raises
    WeightsError if that format cannot hold them.
    """
    if out.suffix not in formats.WRITTEN:
        raise WeightsError(
            f"{out}: unknown format {out.suffix!r}. Known: {', '.join(formats.WRITTEN)}."
        )
    _write(network, out)


def card_of(network: Network) -> Card:
    """What a file of its weights says of itself."""
    training = dict(network.card.training) if network.card else {}
    if "recipe" not in training:  # not trained by us
        origin = {"file": network.weights}
        if network.weights_sha256:
            origin["sha256"] = network.weights_sha256
        if network.spec.part:
            origin["part"] = network.spec.part
        imported = training.get("imported")
        imported = dict(imported) if isinstance(imported, dict) else {}
        if (
            network.spec.mean or network.spec.std
        ):  # with pixels of the user's it is not what was published
            imported.pop("original", None)
        elif network.original:
            origin["original"] = network.original
        imported.pop("statistics", None)
        if network.assumed:
            origin["statistics"] = ASSUMED
        # Where they came from first, however many files they have gone through since.
        if "file" in imported:
            origin = {key: origin[key] for key in origin.keys() & {"statistics"}}
        training["imported"] = imported | origin
    return Card(
        net=str(network.spec.architecture),
        classes=network.classes,
        mean=network.statistics.mean,
        std=network.statistics.std,
        training=training,
    )


def _write(network: Network, out: Path) -> None:
    """Write what is not there. Nothing of the user's is written over, but equal files are done."""
    if network.spec.is_file:
        raise WeightsError(f"{network.name}: a net in a file, not weights. Use it as it is.")
    with exclusive(out):
        remove_parts(out)  # whoever holds the lock is alone
        _write_or_compare(network, out)
    _remember(out)


def _write_or_compare(network: Network, out: Path) -> None:
    if not any(file.exists() for file in _files_of(out)):
        _write_new(network, out)
        return
    # Perhaps by the same command, which was ended before or after it said that it was done.
    with tempfile.TemporaryDirectory(".part", f".{out.name}.", dir=out.parent) as folder:
        made = Path(folder) / out.name
        _write_new(network, made)
        files = list(zip(_files_of(made), _files_of(out), strict=True))
        for new, old in files:
            if old.exists() and not (old.is_file() and filecmp.cmp(new, old, shallow=False)):
                raise _there_already(old)
        for new, old in files:
            if not old.exists():
                os.replace(new, old)
    log.info("%s: is there already, and equal", out)


def _remember(out: Path) -> None:
    """Keep the digest of a file that does not hold its own."""
    if out.suffix != ".safetensors" and seen.first_seen(out) != (digest := sha256_of(out)):
        seen.remember(out, digest)


def _write_new(network: Network, out: Path) -> None:
    net = network.net()
    try:
        if out.suffix == ".onnx":
            onnx.write(out, net, card_of(network), input_size=network.backbone.input_size)
        else:
            formats.write(out, net.state_dict(), card_of(network))
    except BaseException:  # weights without the card beside them would have other statistics
        for file in _files_of(out):
            with suppress(OSError):
                file.unlink()
        raise


def _net_of(path: Path) -> NetSpec | None:
    """The net of a torch file that has the name of a released one and no card."""
    if formats.kind_of(path) not in formats.TORCH or not path.is_file() or formats.read_card(path):
        return None
    for entry in released.everything():
        if any(source.name == path.name for source in entry.sources):
            advice = f"If it is of that net all the same, say so: --net {entry.net}."
            released.check_digest(entry, path, sha256_of(path), advice)
            return NetSpec(entry.net, layer=entry.layer or None)
    raise WeightsError(f"{path}: does not say which net it belongs to. Name it with --net.")


def _files_of(out: Path) -> list[Path]:
    """A file of weights and what comes beside it."""
    files = [out]
    if out.suffix in formats.CARD_BESIDE:
        files.append(formats.card_path(out))
    if out.suffix == caffemodel.SUFFIX:
        files.append(out.with_suffix(".prototxt"))
    return files


def _there_already(file: Path) -> WeightsError:
    return WeightsError(
        f"{file}: is there already, and is another file. Move it away, or choose another name."
    )
