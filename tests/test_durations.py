"""Durations in words."""

import pytest

from vggfeat.durations import in_words


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0, "0 s"),
        (0.4, "1 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (149, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (86400, "24 h"),
        (172_799, "48 h"),
        (172_800, "2 days"),
        (1e8, "1157 days"),
    ],
)
def test_the_largest_unit_of_which_there_are_at_least_two(seconds, words):
    assert in_words(seconds) == words


def test_short_ones_may_have_decimals():
    words = [in_words(seconds, ".1f") for seconds in (3.04, 119.9, 5400, 10800)]
    assert words == ["3.0 s", "119.9 s", "90 min", "3 h"]
