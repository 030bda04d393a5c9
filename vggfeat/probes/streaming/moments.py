"""First and second moments of vectors on disk, by one pass: what ridge and principal axes need.

Classes that leave out other examples have moments of their own, which differ from those of all by
the few that they leave out.

Shapes: n examples, d dimensions, P problems, P_g of them on the same examples.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.principal_axes import NEGLIGIBLE, PrincipalAxes, gram
from vggfeat.probes.streaming.block_size import block_rows
from vggfeat.probes.streaming.blocks import VectorBlocks

GRAMS_BYTES = 2**28  # of the matrices of one pass, where there are many of them


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Of the examples that problems are trained on, in float64.

    mean [d], the products [d, d] of centred vectors with each other and those [d, P_g] with the
    targets, whose means are target_means [P_g]. classes are the problems [P_g].
    """

    classes: np.ndarray
    mean: Tensor
    products: Tensor
    with_targets: Tensor
    target_means: Tensor

    def axes(self) -> PrincipalAxes:
        """The principal axes of the examples."""
        eigenvalues, vectors = torch.linalg.eigh(self.products)
        kept = eigenvalues > NEGLIGIBLE * eigenvalues.max().clamp(min=torch.finfo().tiny)
        return PrincipalAxes(mean=self.mean, axes=vectors[:, kept], eigenvalues=eigenvalues[kept])


def moments_of(X: VectorBlocks, signs: np.ndarray, *, device: str = "cpu") -> Iterator[Moments]:
    """The moments of each group of columns of signs [n, P] that leave out (0) the same examples.

    One pass, or several where the matrices [d, d] of the groups take too much memory.
    """
    groups = alike(signs)
    at_once = max(1, GRAMS_BYTES // (8 * X.shape[1] ** 2))
    for start in range(0, len(groups), at_once):
        yield from _of_groups(X, signs, groups[start : start + at_once], device)


def alike(signs: np.ndarray) -> list[np.ndarray]:
    """The columns of signs [n, P] in groups that leave out the same examples."""
    groups: dict[bytes, list[int]] = {}
    for k in range(signs.shape[1]):
        digest = hashlib.blake2b(np.packbits(signs[:, k] != 0).tobytes()).digest()
        groups.setdefault(digest, []).append(k)
    return [np.array(columns) for columns in groups.values()]


def _of_groups(
    X: VectorBlocks, signs: np.ndarray, groups: Sequence[np.ndarray], device: str
) -> Iterator[Moments]:
    """Sums over the examples that any of the groups uses, less what each of them leaves out."""
    d, columns = X.shape[1], np.concatenate(groups)
    first = [int(group[0]) for group in groups]
    shift: Tensor | None = None  # near the mean, so that little is lost where that is taken off
    common, own = _Sums(d, len(columns), device), {}  # own sums of what a group leaves out
    for rows, block in X.blocks(block_rows(d, len(columns))):
        vectors = torch.from_numpy(block.astype(np.float64)).to(device)
        shift = vectors.mean(dim=0) if shift is None else shift
        vectors -= shift
        used = signs[rows][:, first] != 0
        by_any = used.any(axis=1)
        targets = torch.from_numpy(signs[rows][:, columns].astype(np.float64)).to(device)
        common.add(vectors, targets, by_any)
        for number, mask in enumerate(used.T):
            if (left_out := by_any & ~mask).any():
                sums = own.setdefault(number, _Sums(d, 0, device))
                sums.add(vectors, targets[:, :0], left_out)
    begin = 0
    for number, group in enumerate(groups):
        here = slice(begin, begin := begin + len(group))
        count, total = common.count, common.total
        # In place where that can be: a matrix more would be as large as all else.
        products = common.products.clone() if number not in own and len(groups) > 1 else None
        if number in own:
            count, total = count - own[number].count, total - own[number].total
            products = own.pop(number).products.neg_().add_(common.products)
        products = common.products if products is None else products
        mean, means = total / count, common.target_sums[here] / count
        products.addr_(mean, mean, alpha=-count)
        yield Moments(
            classes=group,
            mean=mean + shift,
            products=products,
            with_targets=common.with_targets[:, here] - count * torch.outer(mean, means),
            target_means=means,
        )


class _Sums:
    """Sums over examples: of vectors, of their products, and of those with targets."""

    def __init__(self, d: int, num_targets: int, device: str):
        zeros = {"dtype": torch.float64, "device": device}
        self.count = 0
        self.total, self.products = torch.zeros(d, **zeros), torch.zeros(d, d, **zeros)
        self.target_sums = torch.zeros(num_targets, **zeros)
        self.with_targets = torch.zeros(d, num_targets, **zeros)

    def add(self, vectors: Tensor, targets: Tensor, chosen: np.ndarray) -> None:
        """Add the chosen rows of vectors [m, d] and targets [m, P]."""
        if not chosen.all():
            mask = torch.from_numpy(chosen).to(vectors.device)
            vectors, targets = vectors[mask], targets[mask]
        self.count += len(vectors)
        self.total += vectors.sum(dim=0)
        self.products += gram(vectors.T)
        self.target_sums += targets.sum(dim=0)
        self.with_targets += vectors.T @ targets
