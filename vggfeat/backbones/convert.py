"""Weights from any format to the native one, and from there to others, with their card."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vggfeat.backbones.load import load_network
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import OptionError, WeightsError
from vggfeat.storage.files import sha256_of
from vggfeat.weights import formats, onnx, released
from vggfeat.weights.caffe import caffemodel
from vggfeat.weights.caffe.prototxt import check_prototxt
from vggfeat.weights.checkpoint import Card


def import_weights(
    path: Path, out: Path, *, net: NetSpec | None = None, prototxt: Path | None = None
) -> Network:
    """Write a weights file as .safetensors with a card, and give the network that it is then.

    net names the net where the file does not. prototxt is Caffe's description of the net, which is
    compared with the file. Raises VggfeatError if the file does not fit the net.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out}: the native format is .safetensors. Choose such a name.")
    formats.check_kind(path)
    _check_new(out)
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

    Raises WeightsError if that format cannot hold them.
    """
    if out.suffix not in formats.WRITTEN:
        raise WeightsError(
            f"{out}: unknown format {out.suffix!r}. Known: {', '.join(formats.WRITTEN)}."
        )
    _check_new(out)
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
        # Where they came from first, however many files they have gone through since.
        training["imported"] = imported if "file" in imported else imported | origin
    return Card(
        net=str(network.spec.architecture),
        classes=network.classes,
        mean=network.statistics.mean,
        std=network.statistics.std,
        training=training,
    )


def _write(network: Network, out: Path) -> None:
    if network.spec.is_file:
        raise WeightsError(f"{network.name}: a net in a file, not weights. Use it as it is.")
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


def _check_new(out: Path) -> None:
    """Nothing of the user's is written over: neither the file nor what comes beside it."""
    for file in _files_of(out):
        if file.exists():
            raise WeightsError(f"{file}: is there already. Move it away, or choose another name.")
