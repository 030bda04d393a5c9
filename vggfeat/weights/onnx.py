"""ONNX files as weights: nets that vggfeat exported, with their card and their tensors unchanged.

The card lies in the file's metadata, as in a .safetensors file, and beside it the keys of the
net's tensors, which are the graph's initializers. Files of others are nets to run, not weights.
Shapes: N images, S side of a picture, K outputs.
"""

import copy
import json
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vggfeat.errors import WeightsError
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.files import new_path
from vggfeat.weights.checkpoint import KEY, Card, parse_card

if TYPE_CHECKING:
    from onnx import ModelProto

KEYS = f"{KEY}.tensors"  # metadata: the keys of the net's tensors, as a list of JSON
INPUT, OUTPUT = "images", "scores"
MAX_BYTES = 2**31 - 2**24  # of tensors: protobuf's limit, and room for the graph
UNNEEDED = "num_batches_tracked"  # counts of training steps, which no net computes with


def read_card(path: Path) -> Card | None:
    """The card of an ONNX file that `write` made; None for another's.

    Raises WeightsError if the file is missing or damaged, or the card cannot be understood.
    """
    text = _metadata(parse(path)).get(KEY)
    return None if text is None else parse_card(text, path)


def read(path: Path) -> dict[str, Tensor]:
    """The net's tensors under its torch module's keys, to the last bit. Raises WeightsError."""
    onnx = library(path)
    model = parse(path)
    metadata = _metadata(model)
    if KEY not in metadata:
        raise WeightsError(
            f"{path}: this ONNX file was not exported by vggfeat: its tensors have no known keys."
            " Name it alone to use it as a net."
        )
    try:
        keys = set(parse_json(metadata[KEYS]))
        tensors = {}
        for stored in model.graph.initializer:
            if stored.name in keys:
                if stored.data_location == onnx.TensorProto.EXTERNAL:
                    raise WeightsError(f"{path}: its tensors lie in another file. Export it again.")
                tensors[stored.name] = torch.tensor(onnx.numpy_helper.to_array(stored))
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: its tensors cannot be understood ({error}).") from error
    if missing := sorted(keys - tensors.keys()):
        raise WeightsError(f"{path}: lacks the tensor {missing[0]!r} that it lists.")
    return tensors


def write(path: Path, net: nn.Module, card: Card, *, input_size: int) -> None:
    """Write a net as it was trained, with its card, whole or not at all.

    The graph takes `images` [N, 3, S, S] of any N, normalised, and gives `scores` [N, K]. The
    tensors are float32 and come back from `read` bit for bit; only BatchNorm's counts of training
    steps are left out. Raises WeightsError if ONNX cannot hold the net.
    """
    onnx = library(path)
    tensors = net.state_dict()
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > MAX_BYTES:
        raise WeightsError(
            f"{path}: the net has {size / 2**30:.1f} GiB of weights and an ONNX file holds 2. Write"
            " a .safetensors file."
        )
    net = copy.deepcopy(net).to("cpu", torch.float32).eval()
    with warnings.catch_warnings():  # the exporter's remarks on torch's own code
        warnings.simplefilter("ignore")
        try:
            model = torch.onnx.export(
                net,
                (torch.zeros(2, 3, input_size, input_size),),
                dynamo=True,
                external_data=False,
                optimize=False,  # it folds BatchNorm into convolutions, and renames
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("N")},),
            ).model_proto
        except ImportError as error:
            raise _no_library(path) from error
        except Exception as error:  # the exporter runs the net's own code
            reason = str(error).strip().partition("\n")[0]
            raise WeightsError(f"{path}: the net cannot be exported to ONNX: {reason}") from error
    _put_tensors(model, net.state_dict(), path)
    _without_traces(model)
    keys = [key for key in net.state_dict() if not key.endswith(UNNEEDED)]
    onnx.helper.set_model_props(model, {**card.metadata(), KEYS: json.dumps(keys)})
    with new_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def parse(path: Path) -> "ModelProto":
    """An ONNX file without the tensors that lie in other files. Raises WeightsError."""
    onnx = library(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such ONNX file. Check the path.")
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a whole ONNX file ({error}).") from error
    if not (model.ir_version and model.opset_import and model.graph.node):  # an empty file parses
        raise WeightsError(f"{path}: not a whole ONNX file (it holds no graph).")
    return model


def library(path: Path) -> ModuleType:
    """The onnx library. Raises WeightsError where it is not installed."""
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise _no_library(path) from error
    return onnx


def _no_library(path: Path) -> WeightsError:
    return WeightsError(f"{path}: ONNX files need a library: pip install 'vggfeat[onnx]'.")


def _metadata(model: "ModelProto") -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _put_tensors(model: "ModelProto", tensors: dict[str, Tensor], path: Path) -> None:
    """See that the graph has the tensors under their keys, and add those it does not compute with.

    Raises WeightsError if the exporter has changed one.
    """
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for key, tensor in tensors.items():
        if key.endswith(UNNEEDED):
            continue
        if key not in stored:
            model.graph.initializer.append(numpy_helper.from_array(tensor.numpy(), key))
        elif not torch.equal(torch.tensor(numpy_helper.to_array(stored[key])), tensor):
            raise WeightsError(
                f"{path}: the ONNX exporter changed {key!r}. Write a .safetensors file."
            )


def _without_traces(model: "ModelProto") -> None:
    """Take out where in this machine's source files each operator came from."""
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
