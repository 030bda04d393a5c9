"""Any module of any net as a layer: what its activations look like, and how to have them.

The shapes of a net are probed once: pictures of two sizes go through it, without memory where that
is possible, and the shape of what every module gives is kept. From these follows whether the net is
fully convolutional and which axis of a module's output counts channels: the one that does not grow
with the picture.
Shapes: N images, D channels, h w sides of a map, T tokens.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from vggfeat.backbones.backbone import Backbone, ScoresAsMap, check_input_size
from vggfeat.backbones.defaults import INPUT_OF, OUTPUT, Defaults
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import NetworkError, UnknownNameError, reason_of
from vggfeat.plurals import counted

LARGER = 64  # pixels by which the second picture is larger: two steps of the usual stride of 32
# In the names of modules through which positions see each other, some of timm's among them.
ATTENTION = re.compile(r"attention|groupedattn|subsampleattn|litemla|lambdalayer", re.IGNORECASE)
NUM_NAMED = 60  # layers that an error lists


@dataclass
class ModuleOutput:
    """What one module gave in one forward pass, and when: events of the pass are counted."""

    calls: int = 0
    shape: tuple[int, ...] | None = None  # of the last call; None: no tensor
    begins: int = 0  # of the first call
    ends: int = 0  # of the last call


@dataclass(frozen=True)
class ShapeProbe:
    """What the modules of a net gave, name by name, for pictures of two sizes."""

    first: Mapping[str, ModuleOutput]
    second: Mapping[str, ModuleOutput] | None  # None: the net takes one size only
    any_size: bool = field(default=False)

    @property
    def layers(self) -> list[str]:
        """The modules that can be a layer."""
        return [name for name in self.first if self.is_layer(name)]

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Those modules -> the shape of what each gives for a picture of the first size."""
        return {name: self.first[name].shape for name in self.layers}

    def is_layer(self, name: str) -> bool:
        """Whether it gives a vector, tokens or a map for each image."""
        shape = self.first[name].shape
        return shape is not None and 2 <= len(shape) <= 4 and shape[0] == 1

    def check(self, net: str, layer: str) -> None:
        """Raise UnknownNameError, or NetworkError if that module gives no vector or map."""
        if layer not in self.first:
            modules = [name for name in self.layers if not name.startswith(INPUT_OF)]
            outer = [name for name in modules if name.count(".") < 2]
            listed = modules if len(modules) <= NUM_NAMED else outer
            raise UnknownNameError(f"layer of {net}", layer, modules, listed=listed)
        if not self.is_layer(layer):
            shape = self.first[layer].shape
            gives = (
                "no single tensor of real numbers"
                if shape is None
                else f"a tensor {_sides(shape)} an image, neither a vector, tokens nor a map"
            )
            raise NetworkError(f"{net}: layer {layer!r} gives {gives}. Choose another module.")

    def decides(self, layer: str, key: str) -> bool:
        """Whether a layer can depend on the tensor of this key: its module begins before it ends.

        A tensor of a module that is never called itself is used by the one around it.
        """
        owner = key.rpartition(".")[0]
        while owner and owner not in self.first:
            owner = owner.rpartition(".")[0]
        return not owner or self.first[owner].begins < self.first[layer].ends

    def dim(self, layer: str) -> int:
        """D of a layer."""
        return self.first[layer].shape[self.channel_axis(layer)]

    def channel_axis(self, layer: str) -> int:
        """The axis of D in the module's output; N is axis 0."""
        shape = self.first[layer].shape
        if self.second is not None and layer in self.second:
            larger = self.second[layer].shape
            if larger is not None and len(larger) == len(shape):
                grown = [axis for axis in range(1, len(shape)) if shape[axis] != larger[axis]]
                kept = [axis for axis in range(1, len(shape)) if axis not in grown]
                if grown and len(kept) == 1:
                    return kept[0]
        if len(shape) == 4 and shape[1] == shape[2] != shape[3]:
            return 3  # the pictures were square, so these are the sides of the map
        return {2: 1, 3: 2, 4: 1}[len(shape)]  # vector, tokens, map: the usual order


def probe_shapes(
    net: nn.Module, size: int, *, inputs_of: Sequence[str] = (), batch: int = 1
) -> ShapeProbe:
    """Send a picture of this side, and a larger one, through a net in eval mode.

    The net's own device is used; on "meta" nothing is computed. inputs_of names modules whose input
    is recorded as well. A net that takes `batch` pictures at a time gets as many; the
    shapes are of one.
    Raises OptionError if there is no such side, NetworkError if the net takes not even the first
    picture.
    """
    check_input_size(size)
    device = next((tensor.device for tensor in net.parameters()), torch.device("cpu"))
    passes: list[dict[str, ModuleOutput]] = []
    for side in (size, size + LARGER):
        try:
            with _recorded(net, inputs_of) as outputs, torch.inference_mode():
                output = net(torch.zeros(batch, 3, side, side, device=device))
        except Exception as error:  # the code of a net may raise anything
            if not passes:
                raise NetworkError(
                    f"the net cannot take a picture of {side}x{side} ({reason_of(error)}). State"
                    " its input_size if it is another."
                ) from error
            break
        last = max((module_output.ends for module_output in outputs.values()), default=0)
        outputs[OUTPUT] = ModuleOutput(1, _shape(output), ends=last + 1)
        if batch > 1:
            for module_output in outputs.values():
                if module_output.shape and module_output.shape[0] == batch:
                    module_output.shape = (1, *module_output.shape[1:])
        passes.append(outputs)
    attends = any(ATTENTION.search(type(module).__name__) for module in net.modules())
    return ShapeProbe(
        first=passes[0],
        second=passes[1] if len(passes) > 1 else None,
        any_size=len(passes) > 1 and not attends,
    )


def hooked_backbone(
    spec: NetSpec,
    shapes: ShapeProbe,
    *,
    layer: str,
    side: int,
    default: NetSpec,
    defaults: Defaults,
    min_size: int,
    **fields: Any,
) -> Backbone:
    """A net at any of its modules, from its probed shapes.

    default has the net's own layer and input_size, which its name does not state. min_size is that
    of a net which is fully convolutional, fields are what a Backbone needs besides. Raises
    UnknownNameError or NetworkError where there is no such layer or view.
    """
    name = default.name or default.weights
    shapes.check(name, layer)
    default_view = defaults.view_for(any_size=shapes.any_size)
    view = spec.view or default_view
    if view == "dense" and not shapes.any_size:
        raise NetworkError(
            f"{name}: takes pictures of one size only, so there is no dense view of it. Choose"
            " view=centre, view=corners or view=resized."
        )
    canonical = replace(
        default,
        input_size=side if side != default.input_size else None,
        relu=False if spec.relu is False else None,
        layer=layer if layer != default.layer else None,
        view=view if view != default_view else None,
    )
    return Backbone(
        **{
            "spec": canonical,
            "layer_name": layer,
            "dim": shapes.dim(layer),
            "input_size": side,
            "min_size": min_size if shapes.any_size else side,
            "any_size": shapes.any_size,
            "view": view,
            "to_maps": lambda net, layers: LayerHooks(net, layers, shapes),
            "to_outputs": ScoresAsMap,
            "needs": partial(shapes.decides, layer),
            "layer_shapes": shapes.layer_shapes,
        }
        | fields
    )


@dataclass(frozen=True, eq=False)
class Observer:
    """A hook, before a module or after it, that looks at a value and changes nothing."""

    show: Callable[[Tensor], None]

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], *output: Tensor) -> None:
        self.show(*(output or inputs[:1]))


class LayerHooks(nn.Module):
    """images [N, 3, H, W] -> a map [N, D, h, w] for each of some layers, in one forward pass.

    A vector becomes a map of one position; T tokens become a map of T positions. A module that is
    used several times in a pass gives what it gave last. The pass ends with the last layer.
    Raises NetworkError if a layer gives no row for each image.
    """

    def __init__(self, net: nn.Module, layers: Sequence[str], shapes: ShapeProbe):
        super().__init__()
        self.net = net
        self.layers = tuple(layers)
        self.axes = [shapes.channel_axis(layer) for layer in layers]
        self.calls = {layer: shapes.first[layer].calls for layer in layers}
        self._activations: dict[str, Tensor] = {}
        self._calls_to_come: dict[str, int] = {}
        modules = dict(net.named_modules())
        for layer in self.calls:
            if layer.startswith(INPUT_OF):
                module = modules[layer.removeprefix(INPUT_OF)]
                module.register_forward_pre_hook(Observer(partial(self._keep, layer)))
            elif layer != OUTPUT:
                modules[layer].register_forward_hook(Observer(partial(self._keep, layer)))
        self.eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        self._activations.clear()
        self._calls_to_come.update(self.calls)  # in place: a faster form of this module shares it
        try:
            output = self.net(images)
            if OUTPUT in self._calls_to_come:
                self._activations[OUTPUT] = output
        except _LastLayerReached:
            pass
        outputs = [self._activations[layer] for layer in self.layers]
        self._activations.clear()
        for layer, tensor in zip(self.layers, outputs, strict=True):
            if len(tensor) != len(images):
                raise NetworkError(
                    f"layer {layer!r} gives {counted(len(tensor), 'row')} for"
                    f" {counted(len(images), 'image')}. Choose another, or export the net for a"
                    " variable number of images."
                )
        return [_as_map(tensor, axis) for tensor, axis in zip(outputs, self.axes, strict=True)]

    def _keep(self, layer: str, activations: Tensor) -> None:
        self._calls_to_come[layer] -= 1
        if self._calls_to_come[layer] > 0:
            return
        # A copy: what follows in the net may work in place.
        self._activations[layer] = activations.clone()
        if len(self._activations) == len(self.calls):
            raise _LastLayerReached


class _LastLayerReached(Exception):
    """All layers have been reached; the rest of the forward pass is not needed."""


def _as_map(activations: Tensor, axis: int) -> Tensor:
    """[N, ..., D, ...] with D at this axis -> [N, D, h, w]."""
    moved = activations.movedim(axis, 1)
    return moved.reshape(*moved.shape, *[1] * (4 - moved.ndim))


@contextmanager
def _recorded(net: nn.Module, inputs_of: Sequence[str]) -> Iterator[dict[str, ModuleOutput]]:
    """The shapes in a forward pass: what every module gives, and some take in."""
    outputs: dict[str, ModuleOutput] = {}
    begins: dict[str, int] = {}
    events = count(1)

    def begin(name: str) -> None:
        begins.setdefault(name, next(events))

    def record(name: str, tensor: object) -> None:
        event = next(events)
        output = outputs.setdefault(name, ModuleOutput(begins=begins.get(name, event)))
        output.calls += 1
        output.shape, output.ends = _shape(tensor), event

    with ExitStack() as hooks:
        for name, module in net.named_modules():
            if name in inputs_of:  # before the module begins
                handle = module.register_forward_pre_hook(
                    lambda module, inputs, name=name: record(INPUT_OF + name, inputs[0])
                )
                hooks.callback(handle.remove)
            if name:
                handle = module.register_forward_pre_hook(
                    lambda module, inputs, name=name: begin(name)
                )
                hooks.callback(handle.remove)
                handle = module.register_forward_hook(
                    lambda module, inputs, output, name=name: record(name, output)
                )
                hooks.callback(handle.remove)
        yield outputs


def _shape(tensor: object) -> tuple[int, ...] | None:
    return tuple(tensor.shape) if isinstance(tensor, Tensor) and not tensor.is_complex() else None


def _sides(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "without axes"
