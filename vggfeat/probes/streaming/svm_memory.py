"""What a streamed SVM holds in memory, and how large its parts may be within a budget: `Sizes`.

Of n examples with d dimensions (D = d + 1) it allocates, in bytes, for blocks of m rows, r axes,
leading blocks of s x s and groups of P problems:

    reading       2 * 4 m d                       two buffers of a `VectorFile`; none of an array
    axes          D (8 r + 4 s)
    a problem     n                               its active set
                  16 s^2                          its leading block and inverse, and copies
                  8 * 18 D                        weights, gradients, directions, sums, copies
                  48 m + samples (4 d + 12 s)     scores of a block and what is made of them; the
                                                  examples of a block that its leading block is of
                  64 * 512                        scores of a block in float64
    once          8 * 512 d + 24 * 8 s^2          rows of a block in float64; leading blocks while
                                                  they are factorised
    at first      4 k D + 20 min(k, D)^2 + 24 D r a sample of k examples, and how it gives the axes:
                                                  gone before the rest is allocated

and where problems are solved on working sets of u examples, P' at a time, instead of P problems

    examples      4 u d
    a problem     as above, and 4 u               signs, and where they count

Besides, for each problem 8 D of weights that the next fit starts from, and 4 n of what `decisions`
returns. The caller holds signs [n, K] (a byte each as int8, eight as NumPy's usual integers) and,
within `choose`, those of each fold.
"""

from dataclasses import dataclass

from vggfeat.errors import OptionError
from vggfeat.plurals import in_bytes
from vggfeat.probes.streaming.blocks import VectorBlocks

ROWS, FEWEST_ROWS = 4096, 128  # of a block
ROWS_IN_FLOAT64 = 512
FACTORISED_AT_ONCE = 8  # leading blocks in float64
SAMPLES_OF_AN_AXIS = 4  # active examples that a leading block is summed over, for each of its axes
SAMPLE, SMALLEST_SAMPLE = 8192, 256  # examples that give the axes
MAX_AXES = 1024
BLOCK_SIZES = (256, 128, 64, 32, 16, 8, 1)
ENOUGH = 32  # problems of a group for which reading takes less time than computing
# Of the budget: for axes; for buffers with the scores of ENOUGH problems; for working sets, of what
# is left then.
FOR_AXES, FOR_BLOCKS, FOR_WORKING_SETS = 1 / 8, 1 / 4, 0.6


@dataclass(frozen=True)
class Sizes:
    """Rows m of a block, sample size k, axes r, size s of leading blocks, problems P of a group.

    room is for u examples of working sets, of at most working_problems at a time.
    """

    rows: int
    sample: int
    axes: int
    leading: int
    problems: int = 1
    room: int = 0
    working_problems: int = 1

    @classmethod
    def within(cls, memory: float, vectors: VectorBlocks, num_problems: int) -> "Sizes":
        """The sizes by which everything but results fits into so many bytes.

        Raises OptionError where not even one problem does.
        """
        n, d = vectors.shape
        scores = 48 * min(num_problems, ENOUGH)
        rows, sample = min(n, ROWS), min(n, SAMPLE)
        while rows > FEWEST_ROWS and (
            vectors.held_bytes(rows) + scores * rows > FOR_BLOCKS * memory
        ):
            rows = -(-rows // 2)
        axes = max(1, min(d + 1, MAX_AXES, int(FOR_AXES * memory / 8 / (d + 1))))
        while sample > SMALLEST_SAMPLE and _first_bytes(sample, d, axes) > memory:
            sample = -(-sample // 2)
        axes = min(axes, sample)
        for leading in BLOCK_SIZES:
            part = cls(rows, sample, axes, min(leading, axes))
            left = memory - part._fixed_bytes(vectors)
            problems = min(num_problems, int(left / part._bytes_of_a_problem(n, d)))
            if problems >= min(num_problems, ENOUGH):
                break
        if problems < 1:
            raise OptionError(
                f"SVMs of {n:,} vectors of {d:,} values need more than {in_bytes(int(memory))} of"
                f" memory: give them at least {in_bytes(smallest_bytes(vectors))}."
            )
        room = min(n, int(FOR_WORKING_SETS * left / (4 * d)))
        each = part._bytes_of_a_problem(n, d) + 4 * room
        working = int((1 - FOR_WORKING_SETS) * left / each)
        return cls(rows, sample, axes, part.leading, problems, room if working else 0, working)

    def _fixed_bytes(self, vectors: VectorBlocks) -> float:
        d = vectors.shape[1]
        axes = (d + 1) * (8 * self.axes + 4 * self.leading)
        in_float64 = 8 * ROWS_IN_FLOAT64 * d + 24 * FACTORISED_AT_ONCE * self.leading**2
        return vectors.held_bytes(self.rows) + axes + in_float64

    def _bytes_of_a_problem(self, n: int, d: int) -> float:
        samples = samples_of_a_block(self.leading, self.rows, n)
        of_block = 48 * self.rows + samples * (4 * d + 12 * self.leading) + 64 * ROWS_IN_FLOAT64
        return n + 16 * self.leading**2 + 8 * 18 * (d + 1) + of_block


def samples_of_a_block(leading: int, rows: int, n: int) -> int:
    """Active examples of a block of rows that a leading block is summed over, at most."""
    return -(-SAMPLES_OF_AN_AXIS * leading // -(-n // rows))


def smallest_bytes(vectors: VectorBlocks) -> int:
    """The least memory with which SVMs can be fitted, one class after the other."""
    n, d = vectors.shape
    sizes = Sizes(min(n, FEWEST_ROWS), min(n, SMALLEST_SAMPLE), axes=1, leading=1)
    working = sizes._fixed_bytes(vectors) + sizes._bytes_of_a_problem(n, d)
    return int(max(working / (1 - FOR_AXES), _first_bytes(sizes.sample, d, sizes.axes)) + 4096)


def _first_bytes(sample: int, d: int, axes: int) -> float:
    return 4 * sample * (d + 1) + 20 * min(sample, d + 1) ** 2 + 24 * (d + 1) * axes
