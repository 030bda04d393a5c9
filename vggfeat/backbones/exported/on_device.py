"""Exported programs on another device than the one they were exported on.

torch.export writes the device of the example into the program: in what the program creates, such as
positions and zeros, and in tensors that are no buffers, which nn.Module.to leaves where they are.
"""

import torch
from torch import Tensor, nn
from torch.fx.node import map_aggregate


def follow(net: nn.Module, device: torch.device) -> None:
    """Let a program's constants and what it creates be on this device, where its input is."""
    if getattr(net, "constants_on", None) == device:
        return
    for module in net.modules():
        # Of a module that is called several times, torch keeps a program for each call.
        for each in module.call_modules() if hasattr(module, "call_modules") else [module]:
            for name, value in list(vars(each).items()):
                if isinstance(value, Tensor):
                    setattr(each, name, value.to(device))
            if isinstance(getattr(each, "graph", None), torch.fx.Graph):
                _let_create_on(each.graph, device)
        if isinstance(module, torch.fx.GraphModule):
            module.recompile()
    net.constants_on = device


def _let_create_on(graph: torch.fx.Graph, device: torch.device) -> None:
    def moved(stated: object) -> object:
        return device if isinstance(stated, torch.device) else stated

    for node in graph.nodes:
        node.args, node.kwargs = map_aggregate(node.args, moved), map_aggregate(node.kwargs, moved)
