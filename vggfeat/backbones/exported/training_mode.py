"""Whether an exported graph says that it was exported in training mode."""

from typing import TYPE_CHECKING

import torch

from vggfeat.errors import NetworkError

if TYPE_CHECKING:
    from onnx import ModelProto

REMEDY = "Call net.eval() and export it again."
# Of torch's operators: the place of the argument `train` or `training`.
TRAINING_ARGUMENT = {
    "dropout": 2, "dropout_": 2, "feature_dropout": 2, "feature_dropout_": 2, "alpha_dropout": 2,
    "alpha_dropout_": 2, "feature_alpha_dropout": 2, "native_dropout": 2,
    "batch_norm": 5, "native_batch_norm": 5, "cudnn_batch_norm": 5,
    "_native_batch_norm_legit": 5, "_native_batch_norm_legit_functional": 5,
}  # fmt: skip


def in_training_mode(path: object, operator: str) -> NetworkError:
    """The error for a net whose graph has an operator in training mode."""
    return NetworkError(
        f"{path}: was exported in training mode: its graph has {operator} as in training, so that"
        f" what it gives depends on chance or on the pictures in a batch. {REMEDY}"
    )


def of_onnx(model: "ModelProto") -> str:
    """The operator of an ONNX graph that is in training mode; empty if none is."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                constants[node.output[0]] = attribute.t
    for node in model.graph.node:
        if node.op_type == "Dropout" and len(node.input) > 2:
            ratio, training = (
                float(numpy_helper.to_array(constants[name]).sum()) if name in constants else None
                for name in node.input[1:3]
            )
            if training and ratio != 0:
                return "Dropout"
        if node.op_type == "BatchNormalization":
            if any(a.name == "training_mode" and a.i for a in node.attribute):
                return "BatchNormalization"
    return ""


def of_program(exported: torch.export.ExportedProgram) -> str:
    """The operator of a program of torch.export that is in training mode; empty if none is."""
    for node in exported.graph.nodes:
        packet = getattr(node.target, "overloadpacket", None)
        if packet is not None and _trains(packet.__name__, list(node.args)):
            return packet.__name__
    return ""


def of_torchscript(script: torch.jit.ScriptModule) -> str:
    """The operator of a TorchScript net in eval mode that trains all the same; empty if none."""
    for node in script.inlined_graph.nodes():
        arguments = [value.toIValue() for value in node.inputs()]  # None where it is computed
        if _trains(node.kind().removeprefix("aten::"), arguments):
            return node.kind().removeprefix("aten::")
    return ""


def _trains(operator: str, arguments: list[object]) -> bool:
    place = TRAINING_ARGUMENT.get(operator)
    if place is None or len(arguments) <= place:
        return False
    # A dropout of no shares, as some nets have it in their blocks, does nothing.
    does_nothing = "dropout" in operator and arguments[1] == 0
    return arguments[place] is True and not does_nothing
