"""A net as a graph of its layers, `torch.fx`'s, in which what is observed of them has nodes too."""

import copy
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from vggfeat.backbones.hooks import Observer

OF_TORCH = vars(nn.Module()).keys()  # attributes of every module


class NoGraphError(Exception):
    """A net cannot be written as a graph of its layers."""


class Observation(nn.Module):
    """A node that shows a value to an observer."""

    def __init__(self, observer: Observer):
        super().__init__()
        self.observer = observer

    def forward(self, value: Tensor) -> None:
        self.observer.show(value)


class SamePadding(nn.Module):
    """Images with the zeros around them that TensorFlow's "same" convolutions see.

    A side of n gives n / stride positions, rounded up; of an odd number of zeros more come last.
    """

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        self.axes = list(
            zip(convolution.kernel_size, convolution.stride, convolution.dilation, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        (top, bottom), (left, right) = (
            self._zeros(side, *axis) for side, axis in zip(images.shape[2:], self.axes, strict=True)
        )
        if not top + bottom + left + right:
            return images
        batch, channels, height, width = images.shape
        padded = torch.empty(
            (batch, channels, height + top + bottom, width + left + right),
            dtype=images.dtype,
            device=images.device,
            memory_format=torch.channels_last,
        )
        padded[:, :, top : top + height, left : left + width] = images
        for axis, before, side in ((2, top, height), (3, left, width)):
            padded.narrow(axis, 0, before).zero_()
            after = padded.shape[axis] - before - side
            padded.narrow(axis, before + side, after).zero_()
        return padded

    @staticmethod
    def _zeros(side: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
        """Before and after."""
        count = -(-side // stride)
        zeros = max(0, (count - 1) * stride + (kernel - 1) * dilation + 1 - side)
        return zeros // 2, zeros - zeros // 2


def layer_graph(module: nn.Module) -> fx.GraphModule:
    """A module as a graph that shares its parameters; raises NoGraphError.

    Convolutions, batch normalisation and torch's other layers are nodes. The graph runs them
    without their hooks; those of observers have nodes. Hooks of `module` itself are its caller's.
    """
    tracer = _Tracer()
    try:
        with _attributes_kept(module):
            graph = tracer.trace(_Root(module))
    except Exception as error:  # the net's own code meets values that are not there yet
        raise NoGraphError(str(error)) from error
    return fx.GraphModule(tracer.root, graph)


@contextmanager
def _attributes_kept(net: nn.Module) -> Iterator[None]:
    """A `with` block after which modules have what they had before, also in lists and dicts.

    A forward pass that notes something in its module would leave a stand-in there.
    """
    before = [(vars(module), dict(vars(module))) for module in net.modules()]
    kept = [
        (value, copy.copy(value))
        for _, attributes in before
        for name, value in attributes.items()
        if type(value) in (list, dict, set) and (name == "_buffers" or name not in OF_TORCH)
    ]
    try:
        yield
    finally:
        for now, attributes in before:
            for name in now.keys() - attributes.keys():
                del now[name]
            now.update(attributes)
        for value, content in kept:
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(content)


def is_observation(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node shows a value, and computes none."""
    return isinstance(layer_of(graph, node), Observation)


def layer_of(graph: fx.GraphModule, node: object) -> nn.Module | None:
    """The layer that a node calls, if it calls one."""
    is_call = isinstance(node, fx.Node) and node.op == "call_module"
    return graph.get_submodule(str(node.target)) if is_call else None


def is_exactly(layer: object, *kinds: type[nn.Module]) -> bool:
    """Whether a layer computes what one of these does: subclasses and forward= may be others."""
    return type(layer) in kinds and "forward" not in vars(layer)


class _Root(nn.Module):
    """The module whose graph is wanted, called without its own hooks and with its defaults."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Any:
        return self.module.forward(images)


class _Tracer(fx.Tracer):
    """Follows a stand-in of the pictures through the net, and numbers the layers it calls."""

    def __init__(self) -> None:
        super().__init__()
        self.num_layers = 0

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_layer = isinstance(m, nn.Conv2d | nn.BatchNorm2d)
        return is_layer or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m, forward, args, kwargs):
        if not _has_stand_in((args, *kwargs.values())):
            return forward(*args, **kwargs)  # of another thread, or on constants
        for hook in m._forward_pre_hooks.values():
            self._observe(hook, args[0])
        if _is_of_timm(m, "BatchNormAct2d"):  # with a layer or two in it
            value = m.act(m.drop(self._call(_as(nn.BatchNorm2d, m), args, kwargs)))
        elif _is_of_timm(m, "Conv2dSame"):  # TensorFlow's padding, and a convolution
            padded = self._call(SamePadding(m), args, kwargs)
            value = self._call(_as(nn.Conv2d, m), (padded,), {})
        elif not self.is_leaf_module(m, ""):
            value = m.forward(*args, **kwargs)
        elif any(part._forward_hooks or part._forward_pre_hooks for part in list(m.modules())[1:]):
            raise NoGraphError("something within a layer is observed")
        else:
            value = self._call(_without_hooks(m), args, kwargs)
        for hook in m._forward_hooks.values():
            self._observe(hook, value)
        return value

    def _observe(self, hook: object, value: object) -> None:
        if not isinstance(hook, Observer):
            raise NoGraphError(f"a hook, {hook}, may change what a module gives")
        self._call(Observation(hook), (value,), {})

    def _call(self, layer: nn.Module, args: tuple, kwargs: dict) -> Any:
        name = f"layer_{self.num_layers}"
        self.num_layers += 1
        self.root.add_module(name, layer)
        return self.create_proxy("call_module", name, args, kwargs)


def _has_stand_in(value: object) -> bool:
    if isinstance(value, list | tuple):  # DenseNet's layers take lists of maps
        return any(_has_stand_in(each) for each in value)
    return isinstance(value, fx.Proxy)


def _is_of_timm(layer: nn.Module, name: str) -> bool:
    kind = type(layer)  # a user's class of that name may compute something else
    is_named = kind.__name__ == name and kind.__module__.partition(".")[0] == "timm"
    return is_named and is_exactly(layer, kind)


def _without_hooks(layer: nn.Module) -> nn.Module:
    """A layer with the same parameters and no hooks."""
    bare = copy.copy(layer)
    bare._forward_hooks, bare._forward_pre_hooks = OrderedDict(), OrderedDict()
    return bare


def _as(kind: type[nn.Module], layer: nn.Module) -> nn.Module:
    """What a layer of a subclass inherits alone, with the same parameters."""
    plain = _without_hooks(layer)
    plain.__class__, plain._modules = kind, {}
    return plain
