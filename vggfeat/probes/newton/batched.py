"""Operations on the rows of a batch, each of which belongs to a problem of its own.

Shapes: P problems, n examples.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

SYSTEMS_BYTES = 2 * 2**30  # of linear systems and their factors in memory at the same time


def dot(u: Tensor, v: Tensor) -> Tensor:
    """Inner products of the rows of u and v [P, n], summed in float64: [P]."""
    return (u * v).sum(dim=1, dtype=torch.float64)


def as_column(values: Tensor, like: Tensor) -> Tensor:
    """values [P] as [P, 1] in the type of `like`."""
    return values[:, None].to(like.dtype)


def map_problems(
    function: Callable[..., Tensor], *of_problems: Tensor, num_bytes: float = 0
) -> list[Tensor]:
    """function applied to each problem's rows; on a CPU, to several problems at once.

    Several cores for one small system would mostly wait for each other. num_bytes is the memory of
    the largest call: as many run at once as SYSTEMS_BYTES holds.
    """
    threads, count = torch.get_num_threads(), len(of_problems[0])
    workers = int(min(threads, count, max(1, SYSTEMS_BYTES // max(1, num_bytes))))
    if of_problems[0].device.type != "cpu" or workers == 1:
        return list(map(function, *of_problems))
    threads_each = [threads // workers]
    try:
        with ThreadPoolExecutor(
            workers, initializer=torch.set_num_threads, initargs=threads_each
        ) as pool:
            return list(pool.map(function, *of_problems))
    finally:
        torch.set_num_threads(threads)
