"""Whether a probe is fitted in memory or to vectors that stream from disk: by what each takes.

The bytes below are those at the peak, beside what the process holds before it reads vectors. They
are upper bounds to some tens of percent (tests/probes/test_choice_of_path.py measures them), and
leave out what no size changes.

Shapes: N vectors of a benchmark, n of them trained on or validated, m validated, t tested;
d dimensions, K classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from vggfeat import memory as machine
from vggfeat.errors import OptionError
from vggfeat.plurals import counted, in_bytes
from vggfeat.probes.probe import Fits, Probe
from vggfeat.probes.streaming.block_size import BLOCK_BYTES
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.sharded import ShardedFits, can_be_shared
from vggfeat.probes.streaming.svm_memory import smallest_bytes
from vggfeat.probes.streaming.wide import WideFits, is_wide
from vggfeat.processes.launched import processes_here

FITS = {  # probe -> its fits to vectors on disk
    "svm": "vggfeat.probes.streaming.svm:StreamedSVMFits",
    "ridge": "vggfeat.probes.streaming.ridge:StreamedRidgeFits",
    "logistic": "vggfeat.probes.streaming.logistic:StreamedLogisticFits",
    "knn": "vggfeat.probes.streaming.knn:StreamedNeighbourFits",
    "knn_plain": "vggfeat.probes.streaming.knn:StreamedNeighbourFits",
    "centroid": "vggfeat.probes.streaming.centroid:StreamedCentroidFits",
}
ROW_BYTES = 350  # of a vector's id and digests, by which equal ones are found
OF_PRODUCTS = ("ridge", "logistic")
WORKSPACE = 2**26  # of libraries, and what the allocator keeps
UNKNOWN = 4 * 2**30  # where nobody says how much is free
LARGEST_K = 200  # of neighbours
KEPT_STEPS = 10  # of L-BFGS
REMEDY = (
    "Give more, or take fewer scales, --aggregate average instead of stack, fewer classes, or"
    " another probe"
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The sizes of a benchmark's probe; scales are those that are read to make a vector."""

    N: int
    n: int
    m: int
    t: int
    d: int
    K: int
    read_values: int  # stored values of which a vector is made, at least d


def in_memory_bytes(probe: str, size: Problem) -> int:
    """What fitting in memory takes.

    Vectors: 4 N d, and while they are made of what is stored twice that, 8 N read_values; of them
    the training rows 4 n d. Labels: N K, signs 2 n K, decision values 8 n K and 16 m K while they
    are scored, tests 20 t K; ROW_BYTES N. And of the probe, with r = min(n, d):

    - ridge: X in float64 four times (as given, used, centred, along axes) 32 n d, 24 r^2, 24 n K
    - logistic: 16 n d (given, centred), 12 n r, 24 r^2, and 48 n K of scores and derivatives
    - svm: X in float64 8 n d for few classes, 64 n K, and where n <= 2 d the Gram matrix and its
      low-rank form 10 n^2, or of liblinear's copies up to 24 n d
    - knn: the unit vectors 4 n d, tests 4 (m + t) d, neighbours 16 m 200, 20 n K of votes, and a
      constant of cosines
    - centroid: X in float64, 8 n d
    """
    N, n, m, t, d, K = size.N, size.n, size.m, size.t, size.d, size.K
    r = min(n, d)
    reading = 4 * N * d + 8 * N * size.read_values
    labels = N * (K + ROW_BYTES) + 10 * n * K + 16 * m * K + 20 * t * K
    of_probe = {
        "ridge": 32 * n * d + 24 * r * r + 24 * n * K,
        "logistic": 16 * n * d + 12 * n * r + 24 * r * r + 48 * n * K,
        "svm": 8 * n * d + 64 * n * K + (10 * n * n if n <= 2 * (d + 1) else 0),
        "liblinear": 24 * n * d,
        "knn": 4 * (n + m + t) * d + 16 * m * LARGEST_K + 20 * n * K + 2**28,
        "centroid": 8 * n * d,
    }
    kind = "knn" if probe == "knn_plain" else probe
    # A probe of somebody else's: as much as two copies in float64.
    fitting = 4 * N * d + 4 * n * d + of_probe.get(kind, 16 * n * d)
    return WORKSPACE + max(reading, fitting + labels)


def streamed_bytes(probe: str, size: Problem) -> int | None:
    """What fitting to vectors on disk takes; None where the probe has no such form.

    Blocks of vectors and what is computed of them: BLOCK_BYTES. Labels: N K, signs 2 n K, decision
    values in float32 4 n K and 12 m K while they are scored, tests 16 t K; ROW_BYTES N. And of the
    probe:

    - ridge: X'X, its axes, and their computation, 32 d^2, and 24 d K of classes
    - logistic: the same, and weights, gradients and kept steps, 8 (2 KEPT_STEPS + 10) d K
    - both where is_wide(n, d): X X' and what stands above of n x n in memory, 80 n^2, 16 d K
    - knn: blocks of cosines, a constant, and 24 n of positives
    - centroid: 40 d K
    - svm: whatever there is, from svm_memory.py's least on; a tenth of X is wanted
    """
    N, n, m, t, d, K = size.N, size.n, size.m, size.t, size.d, size.K
    labels = N * (K + ROW_BYTES) + 6 * n * K + 12 * m * K + 16 * t * K
    of_probe = {
        "ridge": 32 * d * d + 24 * d * K,
        "logistic": 32 * d * d + 8 * (2 * KEPT_STEPS + 10) * d * K,
        "knn": 2**28 + 24 * n,
        "centroid": 40 * d * K,
        "svm": 8 * d * K + smallest_bytes(_OnDisk(n, d)),
    }
    if probe in OF_PRODUCTS and is_wide(n, d):
        of_probe[probe] = 80 * n * n + 16 * d * K + 48 * n * K
    kind = "knn" if probe == "knn_plain" else probe
    if probe not in FITS:
        return None
    return WORKSPACE + BLOCK_BYTES + labels + of_probe[kind]


class _OnDisk(VectorBlocks):
    """Rows of a file that is not written yet: what reading them will take."""

    def __init__(self, n: int, d: int):
        self.shape = n, d

    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        raise NotImplementedError

    def held_bytes(self, rows: int) -> int:
        return 12 * min(rows, self.shape[0]) * self.shape[1]  # two buffers, and the chosen rows


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which path a probe takes, and why, in bytes of the whole process."""

    streams: bool
    sentence: str
    is_asked_for: bool  # whether the user said how much memory there is

    @property
    def remarks(self) -> list[str]:
        """What a record says of it: nothing where all is as ever."""
        return [self.sentence] if self.streams or self.is_asked_for else []


def choose_path(probe: Probe, size: Problem, memory: int | None) -> Choice:
    """In memory where that fits, else from disk.

    memory is what the whole process may take; None: what the machine has free, in which case
    everything is as ever if it says nothing or neither path fits. Raises OptionError if neither
    fits into a given memory.
    """
    held, name = machine.resident(), _name(probe)
    in_memory = held + in_memory_bytes(name, size)
    streamed = streamed_bytes(name, size)
    free = machine.available()
    budget = memory if memory is not None else None if free is None else held + free
    of_what = f"{size.N:,} x {size.d:,} vectors of {counted(size.K, 'class')}"
    allowed = "" if budget is None else _allowed(memory, budget)
    if budget is None or in_memory <= budget:
        sentence = f"{of_what} stay in memory: {name} takes about {in_bytes(in_memory)}{allowed}"
        return Choice(streams=False, sentence=sentence, is_asked_for=memory is not None)
    if streamed is None or held + streamed > budget:
        if memory is None:  # an estimate is no reason to refuse what may well go
            return Choice(streams=False, sentence="", is_asked_for=False)
        least = f"takes about {in_bytes(in_memory)} in memory and cannot stream them from disk"
        if streamed is not None:
            least = f"takes about {in_bytes(held + streamed)} even where they stream from disk"
        raise OptionError(f"{of_what}: {name} {least}{allowed}. {REMEDY}.")
    sentence = (
        f"{of_what} stream from disk: {name} takes about {in_bytes(held + streamed)}, in memory it"
        f" would be {in_bytes(in_memory)}{allowed}"
    )
    return Choice(streams=True, sentence=sentence, is_asked_for=memory is not None)


def streamed_fits(
    probe: Probe, X: VectorBlocks, signs: np.ndarray, *, exclusive: bool = False
) -> Fits:
    """The probe's fits to vectors on disk. Raises OptionError where it has no such form."""
    name = _name(probe)
    if name not in FITS:
        raise OptionError(f"{name} has no form for vectors that stream from disk. {REMEDY}.")
    if can_be_shared(probe, X, signs.shape[1], exclusive=exclusive):
        return ShardedFits(probe, X, signs, streamed_fits)
    if name in OF_PRODUCTS and is_wide(*X.shape):
        return WideFits(X, signs, lambda Z: probe.fits(Z, signs, exclusive=exclusive))
    module, _, kind = FITS[name].partition(":")
    make: Callable[..., Fits] = getattr(import_module(module), kind)
    if name == "svm":
        budget = {"memory": _left_for_fits(probe, *signs.shape)}
        options = {"tol": probe.tol, "max_iter": probe.max_iter, "device": probe.device}
        return make(X, signs, **options, **budget)
    of_probe = {"is_plain": probe.is_plain} if hasattr(probe, "is_plain") else {}
    return make(X, signs, exclusive=exclusive, device=probe.device, **of_probe)


def _left_for_fits(probe: Probe, n: int, K: int) -> int:
    """What is left of the process's memory once signs and decision values are there."""
    budget = probe.memory
    if budget is None:  # the processes of a machine have it together
        budget = machine.resident() + (machine.available() or UNKNOWN) // processes_here()
    return budget - machine.resident() - WORKSPACE - 9 * n * K


def _name(probe: Probe) -> str:
    """The probe's name; of SVMs by scikit-learn the solver's."""
    solver = getattr(probe, "solver", "")
    return solver if solver == "liblinear" else probe.name


def _allowed(memory: int | None, budget: int) -> str:
    return f", and {in_bytes(budget)} are {'free' if memory is None else 'allowed'}"
