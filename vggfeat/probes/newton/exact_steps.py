"""Few or low-dimensional examples: Newton's method with exact steps, in float64 and one thread.

solver.py has the problems, a row each; here every step solves Newton's system of each problem by a
Cholesky factorisation (exact_systems.py), so that what small problems cost most, the number of
operations rather than their size, is least. A step leads to the minimum of the parabola that holds
while the active set stays: if P is less there, it is taken whole, otherwise to where P is least on
the way. As there are finitely many active sets, this ends (Mangasarian 2002, A finite Newton method
for classification). The duality gap is half the squared gradient, as in solver.py.

Shapes: P problems, n examples; m unknowns, see exact_systems.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggfeat.probes.newton.exact_systems import InWeights, Systems
from vggfeat.probes.newton.line_search import MAX_ITERATIONS, SLOPE_LEFT

TINY = np.finfo(np.float64).tiny
LEAST_GAIN = 4 * np.finfo(np.float64).eps  # of the objective; what gains less is rounding


@dataclass
class ExactSolution:
    """Unknowns [P, m] and scores [P, n]; P(w), its gap and the Newton steps taken [P]."""

    unknowns: np.ndarray
    scores: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    steps: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["ExactSolution"]) -> "ExactSolution":
        """The solutions of blocks of problems as one."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            *(
                np.concatenate(values)
                for values in zip(*(vars(p).values() for p in parts), strict=True)
            )
        )


@dataclass
class _State:
    """What is known of problems at their unknowns v [P, m]."""

    v: np.ndarray
    f: np.ndarray
    margin: np.ndarray
    weighted_slack: np.ndarray  # c s [P, n]
    objective: np.ndarray


def solve_exactly(
    systems: Systems,
    signs: np.ndarray,
    weights: np.ndarray,
    C: np.ndarray,
    *,
    tol: float,
    max_steps: int,
    start: np.ndarray | None = None,
    first: int = 0,
) -> ExactSolution:
    """Minimise P for each row of signs [P, n], with costs C [P] * weights [P, n].

    A problem is solved when its gap is at most tol times its objective. It is left as it is where
    max_steps are taken or no digit is left to gain. start [P, m] may be the unknowns of other costs
    or signs. `first` is the number of the first problem, by which `systems` remembers them.
    """
    c = C[:, None] * weights
    v = np.zeros((len(signs), systems.size)) if start is None else start
    now = _state(systems, signs, c, v)
    if start is not None and not (now.objective <= c.sum(axis=1)).all():  # worse than none
        v = np.where((now.objective <= c.sum(axis=1))[:, None], v, 0)
        now = _state(systems, signs, c, v)
    gap = systems.gap(now.v, 2 * signs * now.weighted_slack)
    result = ExactSolution(
        now.v.copy(), now.f.copy(), now.objective.copy(), gap.copy(), np.zeros(len(signs), int)
    )
    going = np.arange(len(signs))
    for _ in range(max_steps):
        unsolved = ~(gap <= tol * now.objective)
        if not unsolved.all():
            going, now = going[unsolved], _rows(now, unsolved)
            signs, c, weights, C = (each[unsolved] for each in (signs, c, weights, C))
        if not len(going):
            break
        last, now = now, _step(systems, first + going, signs, c, weights, C, now)
        gap = systems.gap(now.v, 2 * signs * now.weighted_slack)
        result.unknowns[going], result.scores[going] = now.v, now.f
        result.objective[going], result.gap[going] = now.objective, gap
        result.steps[going] += 1
        stalled = ~(last.objective - now.objective > LEAST_GAIN * last.objective)
        gap = np.where(stalled, 0, gap)  # leaves the loop, with its true gap in the result
    return result


def measured(
    systems: Systems, signs: np.ndarray, c: np.ndarray, solution: ExactSolution
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weights [P, d] of a solution, P(w) and its gap [P], computed from these weights alone.

    c [P, n] are the costs. A Gram matrix of examples that are nearly the same adds rounding.
    """
    w = systems.weights(solution.unknowns)
    if isinstance(systems, InWeights):
        return w, solution.objective, solution.gap
    of_weights = InWeights(systems.X)
    state = _state(of_weights, signs, c, w)
    return w, state.objective, of_weights.gap(w, 2 * signs * state.weighted_slack)


def objectives(X: np.ndarray, signs: np.ndarray, c: np.ndarray, w: np.ndarray) -> np.ndarray:
    """P(w) [P] of weights w [P, d + 1] on X [n, d], with costs c [P, n]."""
    slack = np.maximum(1 - signs * (w[:, :-1] @ X.T + w[:, -1:]), 0)
    return np.einsum("ij,ij->i", w, w) / 2 + np.einsum("ij,ij->i", c, slack**2)


def _state(systems: Systems, y: np.ndarray, c: np.ndarray, v: np.ndarray) -> _State:
    f = systems.scores(v)
    margin = 1 - y * f
    slack = np.maximum(margin, 0)
    weighted = c * slack
    objective = systems.dot(v, v, f) / 2 + np.einsum("ij,ij->i", weighted, slack)
    return _State(v, f, margin, weighted, objective)


def _rows(state: _State, rows: np.ndarray) -> _State:
    return _State(*(value[rows] for value in vars(state).values()))


def _step(
    systems: Systems,
    problems: np.ndarray,
    y: np.ndarray,
    c: np.ndarray,
    weights: np.ndarray,
    C: np.ndarray,
    now: _State,
) -> _State:
    """Newton's step of these problems, or as much of it as is best."""
    new = _state(systems, y, c, systems.newton(problems, now.weighted_slack > 0, y, weights, C))
    worse = np.flatnonzero(~(new.objective < now.objective))
    if len(worse):
        before, after = _rows(now, worse), _rows(new, worse)
        p, change = after.v - before.v, after.f - before.f
        products = systems.dot(before.v, p, change), systems.dot(p, p, change)
        t = best_steps(c[worse], before.margin, y[worse] * change, *products)
        v = before.v + t[:, None] * p
        shorter = _state(systems, y[worse], c[worse], v)
        for name, values in vars(new).items():
            values[worse] = getattr(shorter, name)
    return new


def best_steps(
    c: np.ndarray, margin: np.ndarray, change: np.ndarray, wp: np.ndarray, pp: np.ndarray
) -> np.ndarray:
    """The share t [P] of a whole step p at which P is least, but for 1 % of its slope at 0.

    margin [P, n] is 1 - y f, change [P, n] is y times that of f; wp and pp [P] are w'p and p'p. P
    after the whole step is not less than before, so that t is between 0 and 1: Newton's method
    between two bounds. 0 where p does not lead downhill, which is rounding.
    """
    low, high, t = np.zeros_like(wp), np.ones_like(wp), np.full_like(wp, 0.5)
    slope_at_0 = wp - 2 * np.einsum("ij,ij->i", c * np.maximum(margin, 0), change)
    pull = c * change
    for _ in range(MAX_ITERATIONS):
        slack = np.maximum(margin - t[:, None] * change, 0)
        slope = wp + t * pp - 2 * np.einsum("ij,ij->i", pull, slack)
        converged = np.abs(slope) <= -SLOPE_LEFT * slope_at_0
        if converged.all():
            break
        low, high = np.where(slope < 0, t, low), np.where(slope < 0, high, t)
        curvature = pp + 2 * np.einsum("ij,ij->i", pull * (slack > 0), change)
        tangent = t - slope / np.maximum(curvature, TINY)
        inside = (tangent > low) & (tangent < high)
        t = np.where(converged, t, np.where(inside, tangent, (low + high) / 2))
    return np.where(slope_at_0 < 0, t, 0)
