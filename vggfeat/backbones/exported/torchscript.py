"""TorchScript files (.pt, .pth): how they differ from state dicts, and how they are opened."""

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

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
    attends = "attention" in str(script.inlined_graph).lower()
    return _TorchScriptNet(
        path=path, net=_TorchScript(script), attends=attends, training=of_torchscript(script)
    )


@dataclass(frozen=True, kw_only=True)
class _TorchScriptNet(ExportedNet):
    def check_layer(self, layer: str) -> None:
        if layer != self.output:
            raise NetworkError(
                f"{self.path}: of a TorchScript program only the output can be had; got"
                f" layer={layer}. Export the net as .pt2 or .onnx, or write it to return that"
                " layer."
            )


class _TorchScript(nn.Module):
    """A TorchScript module. Its modules take no hooks, so they are kept out of sight."""

    def __init__(self, script: torch.jit.ScriptModule):
        super().__init__()
        self._hidden = [script]

    def forward(self, images: Tensor) -> Tensor:
        try:
            return self._hidden[0](images)
        except RuntimeError as error:
            if "TorchScript interpreter" not in str(error) or "allocate" in str(error):
                raise
            raise RuntimeError(reason_of(error)) from error  # in one line

    def _apply(self, fn, recurse=True):  # what moves a module to another device
        self._hidden[0]._apply(fn)
        return super()._apply(fn, recurse)
