"""Stored descriptors -> the vector an SVM takes: combine scales, L2, combine nets.

Shapes: N pictures, S scales, D channels of one net.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from vggfeat.errors import OptionError

Aggregate = Literal["average", "stack"]


def aggregate(descriptors: np.ndarray, how: Aggregate, *, scale_l2: bool = False) -> np.ndarray:
    """Combine scales, then L2: [N, S, D] -> [N, D] for "average", [N, S * D] for "stack".

    The paper averages on VOC and stacks on Caltech (appendix B). It does not say whether scales
    are normalised one by one before they are combined; scale_l2 does so, otherwise a scale keeps
    its weight.
    """
    if scale_l2:
        descriptors = l2_normalised(descriptors)
    if how == "average":
        return l2_normalised(descriptors.mean(axis=1))
    if how == "stack":
        return l2_normalised(descriptors.reshape(len(descriptors), -1))
    raise OptionError(f"aggregate must be 'average' or 'stack'; got {how!r}.")


def fuse(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Stack the vectors of several nets and normalise again, so that C keeps its meaning."""
    return vectors[0] if len(vectors) == 1 else l2_normalised(np.concatenate(vectors, axis=1))


def l2_normalised(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., D] of length one; a vector of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms)
