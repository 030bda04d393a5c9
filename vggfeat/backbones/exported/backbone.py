"""Files that are nets: ONNX graphs, torch.export's programs (.pt2) and TorchScript (.pt, .pth).

Such a file is run as it is. What it returns is the descriptor, the map of descriptors or the
tokens, unless `layer=` names something inside. A program is code by its nature, and a weights file
never is: the kinds are told apart before anything is loaded, and files that would make Python
itself run something while they are loaded are refused.
Shapes: N images, H W sides of a picture, D channels of a layer, h w sides of its map, K outputs.
"""

import io
import logging
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vggfeat.amx import right_convolutions
from vggfeat.backbones.backbone import Backbone, Only
from vggfeat.backbones.exported import onnx_graph
from vggfeat.backbones.exported.onnx_graph import Onnx, attends, whole
from vggfeat.backbones.exported.pt2_archive import check_archive
from vggfeat.backbones.hooks import OUTPUT, Survey, Taps, survey, surveyed_backbone
from vggfeat.errors import NetworkError, WeightsError, reason_of
from vggfeat.images import TORCHVISION_STATISTICS
from vggfeat.storage import files
from vggfeat.weights import onnx

INPUT_SIZE = 224  # where the program does not say
TORCHSCRIPT = (".pt", ".pth")  # suffixes that state dicts have as well


def is_program(path: Path) -> bool:
    """Whether a file is to be run as a net, by its suffix and what lies in it; nothing is loaded.

    Raises WeightsError for a damaged ONNX file.
    """
    if path.suffix == ".pt2":  # nothing else has this suffix
        return True
    if not path.is_file():
        return False
    if path.suffix == ".onnx":
        return onnx.read_card(path) is None
    return path.suffix in TORCHSCRIPT and _is_torchscript(path)


def program(
    path: Path,
    *,
    input_size: int | None = None,
    layer: str | None = None,
    view: str | None = None,
) -> Backbone:
    """Loads the file and runs it once. Raises NetworkError, UnknownNameError or WeightsError."""
    opened = _opened(path)
    side = opened.side_for(input_size)
    tap = layer or opened.output
    surveyed = opened.survey(tap, side)
    opened.try_out(tap, side, surveyed)
    opened = replace(opened, net=nn.Identity())  # the weights need not stay in memory
    return surveyed_backbone(
        path.name,
        surveyed,
        tap=tap,
        usual_tap=opened.output,
        side=side,
        usual_side=opened.usual_side,
        min_size=opened.min_side,
        view=view,
        statistics=TORCHVISION_STATISTICS,
        build=lambda tensors: _opened(path).net,
        to_maps=lambda net, taps: opened.maps(net, taps, side, surveyed),
        to_outputs=lambda net: Only(opened.maps(net, [opened.output], side, surveyed)),
        num_outputs=surveyed.dim(opened.output) if surveyed.is_layer(opened.output) else 0,
    )


def sha256_of(path: Path) -> str:
    """The digest of a program that has been opened, with all that it computes with."""
    return onnx_graph.sha256_of(path) if path.suffix == ".onnx" else files.sha256_of(path)


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A program and what its input says; None is what may vary from picture to picture."""

    path: Path
    net: nn.Module
    shape: tuple[int | None, ...] = (None, None, None, None)  # N, 3, H, W
    min_side: int = 1
    output: str = OUTPUT
    attends: bool = False  # positions see each other, so another size is another net

    def __post_init__(self):
        """Raises NetworkError if it takes no pictures."""
        sides = set(self.shape[2:]) - {None}
        if len(self.shape) != 4 or self.shape[1] not in (None, 3) or len(sides) > 1:
            takes = "x".join("any" if side is None else str(side) for side in self.shape)
            raise NetworkError(
                f"{self.path}: takes a tensor {takes}, and pictures are Nx3xSxS. Export it for"
                " square pictures with the channels first."
            )

    @property
    def batch(self) -> int | None:
        return self.shape[0]

    @property
    def fixed_side(self) -> int | None:
        return next(filter(None, self.shape[2:]), None)

    @property
    def usual_side(self) -> int:
        return self.fixed_side or INPUT_SIZE

    def side_for(self, asked: int | None) -> int:
        """Raises NetworkError if the program takes no pictures of this side."""
        if asked and self.fixed_side and asked != self.fixed_side:
            raise NetworkError(
                f"{self.path}: takes pictures of {self.fixed_side} pixels only; got input_size="
                f"{asked}. Export it for pictures of that size."
            )
        return asked or self.usual_side

    def survey(self, tap: str, side: int) -> Survey:
        """What it gives at this layer. Raises NetworkError or UnknownNameError."""
        net = self.net
        if isinstance(net, Onnx):
            net.check(tap)
            net = net.giving([tap, self.output])
        elif isinstance(net, _TorchScript) and tap != self.output:
            raise NetworkError(
                f"{self.path}: of a TorchScript program only the output can be had; got"
                f" layer={tap}. Export the net as .pt2 or .onnx, or write it to return that layer."
            )
        try:
            surveyed = survey(net, side, batch=self.batch or 1)
        except NetworkError as error:
            raise NetworkError(f"{self.path}: {error}") from error
        surveyed.check(self.path.name, tap)
        return replace(surveyed, any_size=surveyed.any_size and not self.attends)

    def maps(self, net: nn.Module, taps: Sequence[str], side: int, surveyed: Survey) -> nn.Module:
        """A program of this file -> images to a list of maps, one for each tap."""
        if isinstance(net, Onnx):
            net = net.giving(taps)
            if not surveyed.first.keys() >= set(taps):
                surveyed = survey(net, side, batch=self.batch or 1)
        for tap in taps:
            surveyed.check(self.path.name, tap)
        return _Run(self.path, Taps(net, taps, surveyed), self.batch)

    def try_out(self, tap: str, side: int, surveyed: Survey) -> None:
        """Find what shows in a pass only, such as integers or too few rows. Raises NetworkError."""
        device = next((tensor.device for tensor in self.net.parameters()), torch.device("cpu"))
        with torch.inference_mode():
            self.maps(self.net, [tap], side, surveyed)(torch.zeros(2, 3, side, side, device=device))


class _Run(nn.Module):
    """The maps of a program: images [N, 3, H, W] -> a list of maps [N, D, h, w], all float32.

    A program that takes `batch` pictures at a time gets as many, the last ones filled up. Whatever
    it raises becomes a NetworkError.
    """

    def __init__(self, path: Path, maps: nn.Module, batch: int | None):
        super().__init__()
        self.path = path
        self.maps = maps
        self.batch = batch

    def forward(self, images: Tensor) -> list[Tensor]:
        try:
            # A program computes in the precision that it was written in, which may be bf16.
            device = images.device.type
            with torch.autocast(device, enabled=False), right_convolutions(device, bf16=True):
                parts = images.float().split(self.batch or len(images))
                found = [self._of_part(part) for part in parts]
        except NetworkError as error:
            raise NetworkError(f"{self.path}: {error}") from error
        except Exception as error:  # a program may raise anything
            if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate" in str(error):
                raise
            sides = "x".join(map(str, images.shape))
            raise NetworkError(
                f"{self.path}: fails on images {sides}: {reason_of(error)}"
            ) from error
        return [torch.cat(maps) for maps in zip(*found, strict=True)]

    def _of_part(self, images: Tensor) -> list[Tensor]:
        given = len(images)
        if self.batch and given < self.batch:
            images = torch.cat([images, images.new_zeros(self.batch - given, *images.shape[1:])])
        found = []
        for values in self.maps(images):
            if not values.is_floating_point():
                raise NetworkError(
                    f"gives {str(values.dtype).removeprefix('torch.')}, and descriptors are"
                    " floating-point numbers. Choose another layer."
                )
            found.append(values[:given].float())
        return found


def _opened(path: Path) -> _Opened:
    """Raises NetworkError or WeightsError."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file. Check the path.")
    match path.suffix:
        case ".onnx":
            return _open_onnx(path)
        case ".pt2":
            return _open_exported(path)
    return _open_torchscript(path)


class _TorchScript(nn.Module):
    """A TorchScript program. Its modules take no hooks, so they are kept out of sight."""

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


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return "constants.pkl" in names and any(name.startswith("code/") for name in names)


def _open_torchscript(path: Path) -> _Opened:
    # Its pickles are read by torch's own C++, which knows tensors and the program's classes only.
    try:
        with warnings.catch_warnings():  # TorchScript is deprecated, which the user knows or not
            warnings.simplefilter("ignore")
            script = torch.jit.load(path, map_location="cpu").eval()
    except Exception as error:  # damaged files make torch's readers raise almost anything
        raise WeightsError(f"{path}: not a whole TorchScript file ({reason_of(error)}).") from error
    attends = "attention" in str(script.inlined_graph).lower()
    return _Opened(path=path, net=_TorchScript(script), attends=attends)


def _open_exported(path: Path) -> _Opened:
    content = io.BytesIO(path.read_bytes())  # so that what is checked is what is loaded
    check_archive(content, path)
    told = logging.getLogger("torch.export")  # it logs tracebacks
    disabled, told.disabled = told.disabled, True
    try:
        content.seek(0)
        exported = torch.export.load(content)
    except Exception as error:
        raise WeightsError(
            f"{path}: torch {torch.__version__} cannot load this program ({reason_of(error)})."
            " Export it again with this version."
        ) from error
    finally:
        told.disabled = disabled
    names = exported.graph_signature.user_inputs
    inputs = [n for n in exported.graph.nodes if n.op == "placeholder" and n.name in names]
    if len(inputs) != 1 or len(names) != 1:
        raise NetworkError(f"{path}: takes {len(names)} inputs, and a net takes pictures alone.")
    value = inputs[0].meta.get("val")
    if not isinstance(value, Tensor) or value.dtype != torch.float32:
        raise NetworkError(
            f"{path}: takes {getattr(value, 'dtype', type(value).__name__)}, and pictures are"
            " torch.float32. Export it for those."
        )
    ranges = [exported.range_constraints.get(_symbol(side)) for side in value.shape[2:]]
    try:
        net = torch.export.unflatten(exported).eval()
    except Exception as error:
        raise NetworkError(f"{path}: cannot be run module by module: {reason_of(error)}") from error
    return _Opened(
        path=path,
        net=net,
        shape=tuple(side if isinstance(side, int) else None for side in value.shape),
        min_side=max([1, *(int(found.lower) for found in ranges if found)]),
        attends=any("attention" in str(node.target) for node in exported.graph.nodes),
    )


def _symbol(side: "int | torch.SymInt") -> object:
    return None if isinstance(side, int) else side.node.expr


def _open_onnx(path: Path) -> _Opened:
    model = whole(path)
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise NetworkError(f"{path}: needs onnxruntime: pip install 'vggfeat[onnx]'.") from error
    net = Onnx(path, model)
    try:
        inputs = net.session(torch.device("cpu")).get_inputs()
    except Exception as error:
        raise WeightsError(f"{path}: onnxruntime cannot load it: {reason_of(error)}") from error
    if len(inputs) != 1:
        raise NetworkError(f"{path}: takes {len(inputs)} inputs, and a net takes pictures alone.")
    if inputs[0].type != "tensor(float)":
        raise NetworkError(
            f"{path}: takes {inputs[0].type}, and pictures are tensor(float). Export it for those."
        )
    return _Opened(
        path=path,
        net=net,
        shape=tuple(side if isinstance(side, int) else None for side in inputs[0].shape),
        output=net.outputs[0],
        attends=attends(model),
    )
