"""Stored descriptors -> the vector an SVM takes: combine scales, L2, combine nets.

Shapes: N pictures, S scales, D channels of one net.
"""

from collections.abc import Sequence

import numpy as np

from vggfeat.features.options import VectorOptions

# Of a vector's largest value: beyond, squares in float32 would overflow or vanish.
USUAL = (2.0**-40, 2.0**40)


def aggregate(descriptors: np.ndarray, options: VectorOptions) -> np.ndarray:
    """Combine scales, then L2: [N, S, D] -> [N, D] for "average", [N, S * D] for "stack".

    The paper averages on VOC and stacks on Caltech (appendix B). It does not say whether scales
    are normalised one by one before they are combined; scale_l2 does so, otherwise a scale keeps
    its weight.
    """
    if options.scale_l2:
        descriptors = l2_normalised(descriptors)
    if options.aggregate == "stack":
        return l2_normalised(descriptors.reshape(len(descriptors), -1))
    return l2_normalised(descriptors.mean(axis=1))


def fuse(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Stack the vectors of several nets and normalise again, so that C keeps its meaning."""
    if len(vectors) == 1:
        return vectors[0]
    stacked = np.concatenate(vectors, axis=1)
    stacked /= _lengths(stacked)  # in place: these are the largest arrays there are
    return stacked


def l2_normalised(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., D] of length one; a vector of zeros stays as it is."""
    largest = np.maximum(vectors.max(axis=-1, keepdims=True), -vectors.min(axis=-1, keepdims=True))
    is_odd = ((largest > USUAL[1]) | ((largest < USUAL[0]) & (largest > 0)))[..., 0]
    if is_odd.any():
        vectors = vectors.copy()
        vectors[is_odd] /= largest[is_odd]
    return vectors / _lengths(vectors)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """[..., 1], with 1 for a vector of zeros."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(norms == 0, 1, norms)
