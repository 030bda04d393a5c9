"""A net in the form that computes what it gives fastest on a CPU: `fused`.

Of the net's graph each convolution takes the layers that follow it alone: batch normalisation, a
sum, an activation. What is observed within is computed a second time by itself, so that a layer's
activations do not depend on which others are asked for. Parts that have no graph stay as they are;
the net itself is not changed.
"""

import copy
import operator

import torch
from torch import fx, nn

from vggfeat.backbones.fused_convolution import FusedConvolution, activation_of
from vggfeat.backbones.layer_graph import (
    NoGraphError,
    is_exactly,
    is_observation,
    layer_graph,
    layer_of,
)

ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}
RELU = {torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu_, "relu", "relu_"}
RELU6 = {nn.functional.relu6}
IN_PLACE = {operator.iadd, operator.imul, operator.isub}


def fused(module: nn.Module) -> nn.Module:
    """A module that gives what this one does, up to rounding; itself where nothing can be fused."""
    if isinstance(module, fx.GraphModule | torch.jit.ScriptModule):
        return module
    try:
        graph = layer_graph(module)
    except NoGraphError:
        return _with_fused_parts(module)
    if not _fuse(graph):
        return module
    faster = copy.copy(module)
    faster.__dict__["forward"] = graph.forward  # the rest of it may be what others look at
    return faster


def _with_fused_parts(module: nn.Module) -> nn.Module:
    parts = {name: part and fused(part) for name, part in module._modules.items()}
    if all(parts[name] is part for name, part in module._modules.items()):
        return module
    faster = copy.copy(module)
    faster._modules = parts
    return faster


def _fuse(graph: fx.GraphModule) -> int:
    """Fuse each convolution of a graph with what follows it; the number of what was."""
    count = 0
    for node in list(graph.graph.nodes):
        conv = layer_of(graph, node)
        if is_exactly(conv, nn.Conv2d) and _is_plain(conv) and len(node.args) == 1:
            count += _fuse_from(graph, node, conv, f"fused_{count}")
    graph.graph.lint()
    graph.recompile()
    return count


def _fuse_from(graph: fx.GraphModule, start: fx.Node, conv: nn.Conv2d, name: str) -> bool:
    """Put one layer in place of a convolution and what follows it; whether anything does."""
    images = start.args[0]
    is_changed = any(_is_in_place(graph, user) for user in images.users)
    layer, chain, other = FusedConvolution(conv), [start], None
    while not layer.activation and (user := _only_user(graph, chain[-1])) is not None:
        called = layer_of(graph, user) or _functional(user)
        # oneDNN adds where there is one group, and what is to be added may come later in the graph.
        may_add = conv.groups == 1 and not layer.adds and not is_changed
        if _is_norm(called) and not layer.norm and not layer.adds:
            layer.norm = called
        elif may_add and (other := _added(user, chain[-1])) is not None:
            layer.adds = True
        elif activation_of(called) and (is_exactly(called, nn.ReLU) or not layer.adds):
            layer.activation = called
        elif not _does_nothing(called):
            break
        chain.append(user)
    if not (layer.norm or layer.adds or layer.activation):
        return False
    graph.add_module(name, layer)
    # Whatever changes the images in place comes after the convolution.
    with graph.graph.inserting_after(start if is_changed else chain[-1]):
        fused_node = graph.graph.call_module(name, (images, other) if layer.adds else (images,))
    chain[-1].replace_all_uses_with(fused_node)
    for node in reversed(chain):
        if not node.users:  # else it is observed
            graph.graph.erase_node(node)
    return True


def _is_plain(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _only_user(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The only node that computes with what this one gives; None if there is none, or several."""
    users = [u for u in node.users if u.op != "output" and not is_observation(graph, u)]
    return users[0] if len(users) == 1 else None


def _is_norm(layer: nn.Module | None) -> bool:
    is_norm = is_exactly(layer, nn.BatchNorm2d)
    return is_norm and not layer.training and layer.running_mean is not None


def _does_nothing(layer: nn.Module | None) -> bool:
    is_dropout = is_exactly(layer, nn.Dropout)
    return is_exactly(layer, nn.Identity) or (is_dropout and not layer.training)


def _added(node: fx.Node, value: fx.Node) -> fx.Node | None:
    """What a node adds to the value; None if it does not, or may change another value by it."""
    if node.target not in ADDITIONS or len(node.args) != 2 or node.kwargs:
        return None
    first, second = node.args
    if first is value and isinstance(second, fx.Node) and second is not value:
        return second
    is_new = node.target in (operator.add, torch.add, "add")
    return first if is_new and second is value and isinstance(first, fx.Node) else None


def _functional(node: fx.Node) -> nn.Module | None:
    if node.target in RELU:
        return nn.ReLU()
    return nn.ReLU6() if node.target in RELU6 else None


def _is_in_place(graph: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return bool(getattr(layer_of(graph, node), "inplace", False))
    name = node.target if isinstance(node.target, str) else node.target.__name__
    return node.target in IN_PLACE or name.endswith("_") or bool(node.kwargs.get("inplace"))
