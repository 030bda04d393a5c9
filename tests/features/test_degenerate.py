"""Vectors that say nothing are named; where all are such, nothing is measured."""

import numpy as np
import pytest

from vggfeat.errors import NetworkError
from vggfeat.features.degenerate import notes_on

IDS = [f"{n}.jpg" for n in range(30)]


@pytest.fixture
def vectors():
    """Descriptors [30, 2, 4], all different."""
    return np.arange(240, dtype=np.float32).reshape(30, 2, 4) + 1


def test_different_vectors_need_no_word(vectors):
    assert notes_on(vectors, IDS, "net") == []


def test_zero_vectors_are_counted_and_the_first_named(vectors):
    vectors[[3, 5, 7, 9]] = 0
    (note,) = notes_on(vectors, IDS, "net")
    assert note.endswith("of 4 of 30 pictures (3.jpg, 5.jpg, 7.jpg, ...) are zero throughout")
    vectors[3, 0, 0] = 1e-20
    assert "3 of 30 pictures (5.jpg, 7.jpg, 9.jpg)" in notes_on(vectors, IDS, "net")[0]


def test_vectors_that_many_share_are_named_and_copies_of_a_picture_are_not(vectors):
    vectors[1] = vectors[0]
    assert notes_on(vectors, IDS, "net") == []
    vectors[10:20] = vectors[10]
    (note,) = notes_on(vectors, IDS, "net")
    assert note == "net: the vectors of 10 of 30 pictures (10.jpg, 11.jpg, 12.jpg, ...) are equal"


@pytest.mark.parametrize(("value", "word"), [(0, "zero"), (3, "equal")])
def test_where_all_are_equal_nothing_is_measured(vectors, value, word):
    vectors[...] = value
    with pytest.raises(NetworkError, match=f"net: the vectors of all 30 pictures are {word}"):
        notes_on(vectors, IDS, "net")


def test_a_picture_of_many_examples_counts_once(vectors):
    """As that of a picture in which ten people do something."""
    vectors[:12] = vectors[0]
    assert notes_on(vectors, ["0.jpg"] * 12 + IDS[12:], "net") == []
    assert notes_on(vectors[:2], ["0.jpg"] * 2, "net") == []
