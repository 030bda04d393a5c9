"""Counts in words."""

import pytest

from vggfeat.plurals import counted


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((0, "picture"), "0 pictures"),
        ((1, "picture"), "1 picture"),
        ((2040, "picture"), "2,040 pictures"),
        ((2, "class"), "2 classes"),
        ((1, "class"), "1 class"),
        ((3, "batch"), "3 batches"),
        ((74, "epoch"), "74 epochs"),
        ((1, "row is damaged", "rows are damaged"), "1 row is damaged"),
        ((3, "row is damaged", "rows are damaged"), "3 rows are damaged"),
    ],
)
def test_one_is_singular_and_all_else_plural(arguments, words):
    assert counted(*arguments) == words
