"""TorchScript files (.pt, .pth): how they differ from state dicts, and how they are opened."""

import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vggfeat.backbones.defaults import OUTPUT
from vggfeat.backbones.exported.exported_net import ExportedNet
from vggfeat.backbones.exported.training_mode import of_torchscript
from vggfeat.errors import NetworkError, WeightsError, reason_of

SUFFIXES = (".pt", ".pth")  # which state dicts have as well


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript net, by the names of what lies in it; nothing is loaded."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return "constants.pkl" in names and any(name.startswith("code/") for name in names)


def open_torchscript(path: Path) -> ExportedNet:
    """Load a TorchScript file. Raises WeightsError."""
    # Its pickles are read by torch's own C++, which knows tensors and the file's classes only.
    try:
        with warnings.catch_warnings():  # TorchScript is deprecated, which the user knows or not
            warnings.simplefilter("ignore")
            script = torch.jit.load(path, map_location="cpu").eval()
    except Exception as error:  # damaged files make torch's readers raise almost anything
        raise WeightsError(f"{path}: not a whole TorchScript file ({reason_of(error)}).") from error
    parts = _parts(script)
    return _TorchScriptNet(
        path=path,
        net=_TorchScript(script, parts),
        parts=tuple(parts),
        attends="attention" in str(script.inlined_graph).lower(),
        training=of_torchscript(script),
    )


def _parts(script: torch.jit.ScriptModule) -> dict[str, int | str]:
    """The tensors that it returns, if several: name of a layer -> index or key."""
    (output,) = script.inlined_graph.outputs()
    if isinstance(output.type(), torch._C.TupleType):
        return {f"{OUTPUT}.{index}": index for index in range(len(output.type().elements()))}
    if output.node().kind() == "prim::DictConstruct":
        keys = [value.toIValue() for value in list(output.node().inputs())[::2]]
        return {f"{OUTPUT}.{key}": key for key in keys if isinstance(key, str)}
    return {}


@dataclass(frozen=True, kw_only=True)
class _TorchScriptNet(ExportedNet):
    def check_layer(self, layer: str) -> None:
        if self.parts and layer not in self.parts:
            choices = ", ".join(f"layer={name}" for name in self.parts)
            raise NetworkError(
                f"{self.path}: returns {len(self.parts)} values, and one is the descriptor; got"
                f" layer={layer}. Choose one: {choices}."
            )
        if not self.parts and layer != self.output:
            raise NetworkError(
                f"{self.path}: of a TorchScript program only the output can be had; got"
                f" layer={layer}. Export the net as .pt2 or .onnx, or write it to return that"
                " layer."
            )


class _TorchScript(nn.Module):
    """A TorchScript module. Its modules take no hooks, so they are kept out of sight.

    Of several tensors that it returns each has a module that does nothing, so that hooks find it.
    """

    def __init__(self, script: torch.jit.ScriptModule, parts: Mapping[str, int | str]):
        super().__init__()
        self._hidden, self.parts = [script], parts
        for name in parts:
            self._modules[name] = nn.Identity()  # add_module takes no names with a dot

    def forward(self, images: Tensor) -> Any:
        output = self._run(images)
        for name, key in self.parts.items():
            self._modules[name](output[key])
        return output

    def _run(self, images: Tensor) -> Any:
        try:
            return self._hidden[0](images)
        except RuntimeError as error:
            if "TorchScript interpreter" not in str(error) or "allocate" in str(error):
                raise
            raise RuntimeError(reason_of(error)) from error  # in one line

    def _apply(self, fn, recurse=True):  # what moves a module to another device
        self._hidden[0]._apply(fn)
        return super()._apply(fn, recurse)
