"""Linear SVMs over vectors from disk: in groups that fit into memory, each by the way that is best.

All problems of a group begin with passes over all vectors (svm_solver.py). Those that come to leave
slack to few examples go on, a few at a time, on working sets in memory (svm_working_set.py).

Shapes: n examples, P problems, D dimensions with the 1 for the intercept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggfeat.features.allocator import return_freed_memory
from vggfeat.probes.streaming.blocks import ArrayBlocks, VectorBlocks
from vggfeat.probes.streaming.svm_memory import Sizes
from vggfeat.probes.streaming.svm_pass import Passes
from vggfeat.probes.streaming.svm_preconditioner import Preconditioner, PrincipalAxes
from vggfeat.probes.streaming.svm_solver import FEW_EXAMPLES, Problems
from vggfeat.probes.streaming.svm_working_set import WorkingSets

MAX_ROUNDS = 10  # passes of a working set
FOR_OTHERS = 0.5  # the share of tol that may be left on a working set


@dataclass
class Solved:
    """Weights w [P, D], objectives, gaps and Newton steps taken [P]."""

    w: Tensor
    objective: Tensor
    gap: Tensor
    steps: Tensor

    def set(self, problems: Tensor, solved: "Solved | Problems") -> None:
        """Take over where others have come to; the steps are added."""
        for name in ("w", "objective", "gap"):
            getattr(self, name)[problems] = getattr(solved, name)
        self.steps[problems] += solved.steps


class Solver:
    """Solves problems over vectors [n, d] with memory for these sizes."""

    def __init__(self, vectors: VectorBlocks, axes: PrincipalAxes, sizes: Sizes, max_steps: int):
        self.vectors, self.axes, self.sizes, self.max_steps = vectors, axes, sizes, max_steps
        self.num_passes = 0

    def solve(
        self,
        signs: np.ndarray,
        costs: Tensor,
        w: Tensor,
        *,
        tol: float,
        scores: np.ndarray | None = None,
    ) -> Solved:
        """Minimise P for each column of signs [n, P], with costs [2, P], from weights w [P, D].

        costs are those of negative and of positive examples. scores [n, P] receives the minima's;
        without it the gap is confirmed in float64.
        """
        solved = Solved(w, *w.new_zeros(2, len(w)), w.new_zeros(len(w), dtype=torch.long))
        for first in range(0, len(w), self.sizes.problems):
            group = torch.arange(first, min(first + self.sizes.problems, len(w)), device=w.device)
            near = self._by_passes(group, signs, costs, solved, tol, scores, self.sizes.room)
            return_freed_memory()
            with_few = near >= 0
            unsolved = [
                some[~self._on_working_set(some, signs, costs, solved, tol, scores)]
                for some in self._with_room(group[with_few], near[with_few])
            ]
            return_freed_memory()
            if unsolved and len(rest := torch.cat(unsolved)):
                self._by_passes(rest, signs, costs, solved, tol, scores, room=0)
        return solved

    def _with_room(self, problems: Tensor, near: Tensor) -> Iterator[Tensor]:
        """These problems [Q], as many at a time as there is room for their examples near [Q]."""
        some, num_near = [], 0
        for problem, count in zip(problems.tolist(), near.tolist(), strict=True):
            if len(some) == self.sizes.working_problems or num_near + count > self.sizes.room:
                yield problems.new_tensor(some)
                some, num_near = [], 0
            some.append(problem)
            num_near += count
        if some:
            yield problems.new_tensor(some)

    def _by_passes(
        self,
        some: Tensor,
        signs: np.ndarray,
        costs: Tensor,
        solved: Solved,
        tol: float,
        scores: np.ndarray | None,
        room: int,
    ) -> Tensor:
        """Solve problems by passes over all vectors.

        Those left for a working set have their number of examples in what is returned, others -1.
        """
        columns = _columns(some)
        own_scores = None if scores is None else scores[:, columns]
        passes = Passes(
            self.vectors,
            signs[:, columns],
            costs[:, some],
            rows=self.sizes.rows,
            leading=self.axes.leading(self.sizes.leading),
            scores=own_scores,
        )
        problems = self._problems(passes, solved.w[some], tol, confirm=scores is None, room=room)
        problems.run(self.max_steps)
        self.num_passes += passes.count
        solved.set(some, problems)
        if scores is not None and not isinstance(columns, slice):
            scores[:, columns] = own_scores
        return torch.where(problems.waits_for == FEW_EXAMPLES, problems.num_near, -1)

    def _on_working_set(
        self,
        some: Tensor,
        signs: np.ndarray,
        costs: Tensor,
        solved: Solved,
        tol: float,
        scores: np.ndarray | None,
    ) -> Tensor:
        """Solve problems on a working set; which of them [Q] came as far as they can."""
        columns, costs = some.cpu().numpy(), costs[:, some]
        sets = WorkingSets(
            self.vectors,
            signs[:, columns].astype(np.int8, copy=False),
            costs,
            rows=self.sizes.rows,
            room=self.sizes.room,
        )
        done, before = torch.zeros(len(some), dtype=torch.bool, device=some.device), -1
        for _ in range(MAX_ROUNDS):
            kept = sets.at(solved.w[some], scores, columns)
            self.num_passes += 1
            if kept is None:
                break
            solved.objective[some], solved.gap[some] = kept.objective, kept.gap
            done = kept.gap <= tol * kept.objective
            num_now = int(sets.count_in.sum())
            if done.all() or num_now == before:  # with the same examples it came no farther
                done[:] = True
                break
            going, before = (~done).nonzero()[:, 0], num_now
            passes = Passes(
                ArrayBlocks(kept.X),
                kept.signs[:, _columns(going)],
                costs[:, going],
                rows=self.sizes.rows,
                leading=self.axes.leading(self.sizes.leading),
            )
            w = solved.w[some[going]]
            problems = self._problems(passes, w, FOR_OTHERS * tol, confirm=True, room=0)
            problems.run(self.max_steps)
            solved.set(some[going], problems)
        return done

    def _problems(
        self, passes: Passes, w: Tensor, tol: float, *, confirm: bool, room: int
    ) -> Problems:
        preconditioner = Preconditioner(self.axes, len(w), passes.leading)
        return Problems(passes, preconditioner, w, tol=tol, confirm=confirm, room=room)


def _columns(some: Tensor) -> slice | np.ndarray:
    """An index of the columns of these problems; of neighbours one that gives a view."""
    first, last = int(some[0]), int(some[-1])
    if len(some) == last - first + 1:
        return slice(first, last + 1)
    return some.cpu().numpy()
