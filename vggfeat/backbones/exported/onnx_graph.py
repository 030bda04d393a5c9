"""ONNX graphs as torch modules: any of their values, computed by onnxruntime.

onnx and onnxruntime are an optional extra and imported where they are first needed.
Shapes: N images, H W sides of a picture.
"""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vggfeat.backbones.defaults import OUTPUT
from vggfeat.backbones.exported.exported_net import ExportedNet
from vggfeat.backbones.exported.training_mode import in_training_mode, of_onnx
from vggfeat.backbones.hooks import NUM_NAMED
from vggfeat.errors import NetworkError, UnknownNameError, WeightsError, reason_of
from vggfeat.storage import files
from vggfeat.storage.seen import warn_of_difference
from vggfeat.weights import onnx as onnx_file

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto
    from onnxruntime import InferenceSession

MAX_BYTES = 2**31 - 1  # of a graph with its tensors: protobuf's limit
PASSED_ON = ("Cast", "Dropout", "IsNaN", "Where")  # what exporters put behind a softmax
# Nodes in which positions or channels meet; before one of them a net normalises its input.
MIXING = (
    "Conv", "ConvInteger", "QLinearConv", "Gemm", "MatMul", "Einsum", "MaxPool", "AveragePool",
    "GlobalAveragePool", "LayerNormalization", "InstanceNormalization", "FusedConv", "Attention",
)  # fmt: skip
CUDA = "CUDAExecutionProvider"


class Onnx(nn.Module):
    """Values of an ONNX graph, computed by onnxruntime: images -> the first of them.

    Each value has a module that does nothing, so that hooks find it as in any net.
    """

    def __init__(self, path: Path, model: "ModelProto", names: Sequence[str] = ()):
        super().__init__()
        self.path = path
        self.model = model
        self.outputs = [value.name for value in model.graph.output]
        self.names = list(dict.fromkeys(names or self.outputs[:1]))
        for name in self.names:
            self._modules[name] = nn.Identity()  # add_module takes no names with a dot
        self._sessions: dict[str, InferenceSession] = {}

    def forward(self, images: Tensor) -> Tensor:
        session = self.session(images.device)
        inputs = {session.get_inputs()[0].name: images.detach().cpu().contiguous().numpy()}
        outputs = dict(zip(self.names, session.run(self.names, inputs), strict=True))
        # The shape probe calls what is returned OUTPUT, which may be the name of another value.
        returned = OUTPUT if OUTPUT in outputs else self.names[0]
        for name, values in outputs.items():
            outputs[name] = self._modules[name](torch.from_numpy(values).to(images.device))
        return outputs[returned]

    def with_outputs(self, names: Sequence[str]) -> "Onnx":
        """The same graph with these values as its outputs."""
        graph = Onnx(self.path, self.model, names)
        if graph.names == self.names:
            graph._sessions = self._sessions
        return graph

    def values(self) -> list[str]:
        """The names of all values that the graph computes."""
        return [value for node in self.model.graph.node for value in node.output if value]

    def check(self, name: str) -> None:
        """Raise UnknownNameError unless the graph has such a value."""
        inner = self.values()
        if name not in inner:
            last = [value for value in inner[-NUM_NAMED:] if value not in self.outputs]
            raise UnknownNameError(
                f"layer of {self.path.name}", name, inner, listed=[*self.outputs, *last]
            )

    def session(self, device: torch.device) -> "InferenceSession":
        """The session that computes on the images' device; on the CPU if onnxruntime lacks that."""
        if str(device) not in self._sessions:
            import onnxruntime

            providers: list = ["CPUExecutionProvider"]
            if device.type == "cuda" and CUDA in onnxruntime.get_available_providers():
                providers.insert(0, (CUDA, {"device_id": device.index or 0}))
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 4  # it writes errors to stderr besides raising them
            self._sessions[str(device)] = onnxruntime.InferenceSession(
                self._content(), options, providers=providers
            )
        return self._sessions[str(device)]

    def _content(self) -> bytes:
        """The graph with these values as its outputs."""
        from onnx import ModelProto, ValueInfoProto

        outputs = {value.name: value for value in self.model.graph.output}
        changed = ModelProto()
        changed.CopyFrom(self.model)
        del changed.graph.output[:]
        changed.graph.output.extend(
            outputs.get(name, ValueInfoProto(name=name)) for name in self.names
        )
        return changed.SerializeToString()


@dataclass(frozen=True, kw_only=True)
class _OnnxNet(ExportedNet):
    def check_layer(self, layer: str) -> None:
        self.net.check(layer)

    def with_outputs(self, net: nn.Module, layers: Sequence[str]) -> nn.Module:
        return net.with_outputs(layers)

    def layers(self) -> Sequence[str]:
        return self.net.values()

    def layer_shapes(self, side: int) -> dict[str, tuple[int, ...]]:
        shapes = super().layer_shapes(side)  # also of OUTPUT, the first value
        return {name: shapes[name] for name in self.layers() if name in shapes}

    def _given(self, images: Tensor) -> Tensor | None:
        name = first_layer_input(self.net.model)
        if name in [value.name for value in self.net.model.graph.input]:
            return images
        try:
            return None if name is None else self.net.with_outputs([name])(images)
        except Exception:  # no value that can be had
            return None


def open_onnx(path: Path) -> ExportedNet:
    """Load an ONNX file with what it computes with.

    Raises WeightsError, or NetworkError if it takes no pictures or onnxruntime is not there.
    """
    model = load_whole(path)
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise NetworkError(f"{path}: needs onnxruntime: pip install 'vggfeat[onnx]'.") from error
    net = Onnx(path, model)
    try:
        inputs = net.session(torch.device("cpu")).get_inputs()
    except Exception as error:
        if training := of_onnx(model):  # BatchNormalization, which it has for testing only
            raise in_training_mode(path, training) from error
        raise WeightsError(f"{path}: onnxruntime cannot load it: {reason_of(error)}") from error
    if not net.outputs:
        raise WeightsError(f"{path}: its graph has no output. Export it again.")
    if len(inputs) != 1:
        raise NetworkError(f"{path}: takes {len(inputs)} inputs, and a net takes pictures alone.")
    if inputs[0].type != "tensor(float)":
        raise NetworkError(
            f"{path}: takes {inputs[0].type}, and pictures are tensor(float). Export it for those."
        )
    return _OnnxNet(
        path=path,
        net=net,
        shape=tuple(side if isinstance(side, int) else None for side in inputs[0].shape),
        output=net.outputs[0],
        attends=attends(model),
        training=of_onnx(model),
    )


def load_whole(path: Path) -> "ModelProto":
    """An ONNX file with the tensors that lie in other files of its folder. Raises WeightsError."""
    onnx = onnx_file.library(path)
    model = onnx_file.parse(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # onnx refuses paths and links that lead out of the folder.
            onnx.load_external_data_for_model(model, str(path.absolute().parent))
    except Exception as error:
        raise WeightsError(f"{path}: the files with its tensors: {reason_of(error)}") from error
    if any(_external(model)):  # in places where onnx does not look
        raise WeightsError(f"{path}: refused: some of its tensors lie in other files.")
    if model.ByteSize() > MAX_BYTES:
        raise NetworkError(
            f"{path}: with its tensors it takes {model.ByteSize() / 2**30:.1f} GiB, and 2 is the"
            " limit. Export it as .pt2."
        )
    return model


def sha256_of(path: Path) -> str:
    """The SHA-256 of an ONNX file that `load_whole` has read, and of the files with its tensors."""
    of_graph = files.sha256_of(path)
    parts = parts_of(path)
    if not parts:
        return of_graph
    digests = []
    for part in parts:
        digests.append(files.sha256_of(part))
        warn_of_difference(part, digests[-1])  # they carry no checksums, as the graph does not
    return hashlib.sha256("".join([of_graph, *digests]).encode()).hexdigest()


def parts_of(path: Path) -> list[Path]:
    """The files that hold tensors of an ONNX file, in the order of their names.

    Raises WeightsError if one does not lie in its folder, or is no file.
    """
    locations = {
        entry.value
        for tensor in _external(onnx_file.parse(path))
        for entry in tensor.external_data
        if entry.key == "location"
    }
    folder, parts = path.absolute().parent, []
    for location in sorted(locations):
        part = folder / location
        if not (part.resolve().is_relative_to(folder.resolve()) and part.is_file()):
            raise WeightsError(f"{path}: the file {location!r} with its tensors is not beside it.")
        parts.append(path.parent / location)
    return parts


def _external(message) -> Iterator["TensorProto"]:
    """The tensors that lie in other files, anywhere in a protobuf message."""
    from onnx import TensorProto

    if isinstance(message, TensorProto):
        if message.data_location == TensorProto.EXTERNAL:
            yield message
        return
    for field, value in message.ListFields():
        if field.message_type:
            for message in [value] if hasattr(value, "ListFields") else value:
                yield from _external(message)


def first_layer_input(model: "ModelProto") -> str | None:
    """The value that the first node with weights is given of the pictures; None: there is none."""
    weights = {tensor.name for tensor in model.graph.initializer}
    following = {value.name for value in model.graph.input} - weights
    for node in model.graph.node:
        followed = [name for name in node.input if name in following]
        if followed and node.op_type in MIXING:
            return followed[0]
        if followed:
            following.update(node.output)
    return None


def attends(model: "ModelProto") -> bool:
    """Whether positions see each other: a product with what a softmax gave."""
    carried: set[str] = set()
    for node in model.graph.node:
        follows = not carried.isdisjoint(node.input)
        if "Attention" in node.op_type or (node.op_type == "MatMul" and follows):
            return True
        if node.op_type == "Softmax" or (node.op_type in PASSED_ON and follows):
            carried.update(node.output)
    return False
