"""The backward pass without torch's engine, which asks CUDA's driver for its streams.

The operations' own derivatives are called, in an order in which each has all of its gradients.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def backward(loss: Tensor) -> None:
    """Add the gradients of a loss [] to the `grad` of all parameters that it depends on.

    Raises RuntimeError at a gradient on another device than what it is of.
    """
    missing = _count_users(loss.grad_fn)
    gradients: dict[Any, dict[int, Tensor]] = {loss.grad_fn: {0: torch.ones_like(loss)}}
    ready = [loss.grad_fn]
    while ready:
        node = ready.pop()
        of_node = gradients.pop(node, {})
        if hasattr(node, "variable"):
            _accumulate(node.variable, of_node.get(0))
            continue
        outputs = node(*map(of_node.get, range(max(of_node, default=0) + 1)))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for (user, place), gradient in zip(node.next_functions, outputs, strict=False):
            if user is None:
                continue
            if gradient is not None:
                gradient = _as(user._input_metadata[place], gradient)
                so_far = gradients.setdefault(user, {})
                so_far[place] = so_far[place] + gradient if place in so_far else gradient
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)


def _count_users(root: Any) -> Counter:
    """How many operations pass a gradient on to each one."""
    users, seen, waiting = Counter(), {root}, [root]
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None:
                users[node] += 1
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
    return users


def _as(wanted: Any, gradient: Tensor) -> Tensor:
    """The gradient in the shape and type of what it is of, as torch's engine has it."""
    if gradient.device != wanted.device:
        raise RuntimeError(f"a gradient on {gradient.device} of a tensor on {wanted.device}")
    return gradient.sum_to_size(wanted.shape).to(wanted.dtype)


def _accumulate(parameter: Tensor, gradient: Tensor | None) -> None:
    if gradient is None:
        return
    if gradient.device != parameter.device:
        raise RuntimeError(f"a gradient on {gradient.device} of a parameter on {parameter.device}")
    parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient
