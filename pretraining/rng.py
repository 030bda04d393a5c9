"""Random numbers without a state: each is a function of the recipe's seed and of what it is for.

Nothing has to be stored to go on after an interruption, and nothing depends on the number of
processes or on which of them does the work.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """The purpose of random numbers: different ones never come from the same stream."""

    ORDER = 1  # of an epoch's pictures
    PICTURE = 2  # its augmentation
    DROPOUT = 3  # of a layer in an update


def generator(purpose: Purpose, *key: int) -> np.random.Generator:
    """A generator that depends on purpose and key alone."""
    return np.random.default_rng([purpose, *key])


def torch_seed(purpose: Purpose, *key: int) -> int:
    """A seed for a torch.Generator that depends on purpose and key alone."""
    (word,) = np.random.SeedSequence([purpose, *key]).generate_state(1, np.uint64)
    return int(word >> np.uint64(1))  # torch takes 63 bits


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order [count] in which an epoch goes through its pictures, each exactly once."""
    return generator(Purpose.ORDER, seed, epoch).permutation(count)
