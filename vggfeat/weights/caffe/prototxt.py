"""Caffe's deploy prototxts: whether one describes the net of a .caffemodel."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from vggfeat.errors import WeightsError
from vggfeat.weights.caffe.caffemodel import find_net
from vggfeat.weights.caffe.layers import check_layers, computing_layers, kind_of
from vggfeat.weights.caffe.schema import NetParameter
from vggfeat.weights.caffe.wire import Layer

MAX_PROTOTXT = 2**20  # bytes; a net of the family takes 5000


def check_prototxt(path: Path, prototxt: Path) -> None:
    """See that a deploy prototxt describes the net of a .caffemodel.

    Raises WeightsError naming the layer and both values if it does not.
    """
    caffe_net = find_net(path)
    text = _read_prototxt(prototxt)
    stated = [*text.layer, *text.layers]
    if text.layer and text.layers or not stated:
        holds = "layers of two generations" if stated else "no layers"
        raise WeightsError(f"{prototxt}: not a deploy prototxt: it has {holds}.")
    if any(layer.HasField("layer") for layer in text.layers):
        raise WeightsError(
            f"{prototxt}: its layers are V0LayerParameter, the oldest kind. Caffe's"
            " upgrade_net_proto_text makes a file of it that can be read."
        )
    layers = [Layer(str(layer.name), layer, ()) for layer in stated]
    computing = computing_layers(layers, prototxt)
    check_layers(computing, caffe_net.layout, caffe_net.round_mode, prototxt, f"{path.name} has")
    # As a convolution fc6 takes any size from its own on.
    exact = any(kind_of(la.parameters) == "innerproduct" for la in computing if la.name == "fc6")
    side = caffe_net.layout.input_size
    for dims in _inputs(text):
        if dims[1:2] != [3] or len(dims) != 4 or (exact and dims[2:] != [side, side]):
            raise WeightsError(
                f"{prototxt}: its input is {'x'.join(map(str, dims))}, and {path.name} has"
                f" Nx3x{side}x{side}."
            )


def _read_prototxt(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(f"{path}: no such prototxt. Check the path.")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_PROTOTXT + 1)
        if len(text) > MAX_PROTOTXT:
            raise WeightsError(f"{path}: not a deploy prototxt: over {MAX_PROTOTXT} bytes.")
        return text_format.Parse(text.decode(), NetParameter(), allow_unknown_field=True)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from error
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200]
        raise WeightsError(f"{path}: not a deploy prototxt ({reason}).") from error


def _inputs(text: Any) -> Iterable[list[int]]:
    """Each shape of its input that a net states."""
    if text.input_dim:
        yield list(text.input_dim)
    for shape in text.input_shape:
        yield list(shape.dim)
    for layer in text.layer:
        for shape in layer.input_param.shape:
            yield list(shape.dim)
