"""The exact line search of Newton's method: the step length at which P is least along a direction.

Shapes: P problems, n examples.
"""

import torch
from torch import Tensor

from vggfeat.probes.newton.batched import as_column, dot

MAX_ITERATIONS = 20
SLOPE_LEFT = 0.01  # of the slope at 0, where the search ends


def best_step(c: Tensor, margin: Tensor, change: Tensor, wp: Tensor, pp: Tensor) -> Tensor:
    """The t [P] at which P(w + t p) is least, but for 1 % of its slope at 0; 0 if p leads nowhere.

    margin [P, n] is 1 - y f, change [P, n] is y G p; wp and pp [P] are w'p and p'p.
    P's slope along p grows with t and is piecewise linear: Newton's method between two bounds.
    """
    t = torch.ones_like(wp)
    low, high = torch.zeros_like(t), torch.full_like(t, torch.inf)
    slope_at_0 = wp - 2 * dot(c * margin.clamp(min=0), change)
    loss = dot(c * margin.clamp(min=0), margin.clamp(min=0))
    for _ in range(MAX_ITERATIONS):
        slack = (margin - as_column(t, change) * change).clamp_(min=0)
        slope = wp + t * pp - 2 * dot(c * slack, change)
        decrease = loss - dot(c * slack, slack) - t * wp - t * t * pp / 2
        converged = (slope.abs() <= -SLOPE_LEFT * slope_at_0) & (decrease >= 0)
        if converged.all():
            break
        low, high = torch.where(slope < 0, t, low), torch.where(slope < 0, high, t)
        middle = torch.where(high.isinf(), 2 * low, (low + high) / 2)
        curvature = pp + 2 * dot(c * (slack > 0) * change, change)
        tangent = t - slope / curvature
        inside = (tangent > low) & (tangent < high)  # false where there is no curvature
        # A problem keeps its step while the search of others goes on.
        t = torch.where(converged, t, torch.where(inside, tangent, middle))
    # Uphill, or downhill without an end, which is rounding: no step.
    return torch.where((slope_at_0 >= 0) | (high.isinf() & ~converged), 0, t)
