"""What the exchange of gradients costs: predicted by hand, and beside what the paper saw."""

import pytest

from vggfeat.pretraining.communication import Communication, predicted_speed_up, ring_bytes

D_BYTES = 4 * 138_357_544  # gradients of net D


def test_a_ring_sends_nearly_twice_the_gradients():
    assert ring_bytes(100, 1) == 0 and ring_bytes(100, 2) == 100 and ring_bytes(100, 4) == 150


def test_by_hand():
    """8 s on one device, 2 s on each of four, of which 4/3 s go back; 3 s of traffic: 2 + 5/3."""
    assert predicted_speed_up(8, 4, 2_000, 1_000) == pytest.approx(8 / (2 + 3 - 4 / 3))
    assert predicted_speed_up(8, 4, 2_000, 1_000, overlap=False) == pytest.approx(8 / (2 + 3))
    assert predicted_speed_up(8, 4, 2_000, 10_000) == 4  # it all fits beside the way back
    assert predicted_speed_up(8, 1, 2_000, 1) == 1


def test_the_papers_machine():
    """370,000 updates in 2 to 3 weeks on four cards, 3.75 times as fast as one (sect. 3.3)."""
    for weeks in (2, 3):
        step_s = 3.75 * weeks * 7 * 86400 / 370_000
        without = predicted_speed_up(step_s, 4, D_BYTES, 6e9, overlap=False)
        assert 3.75 < without < predicted_speed_up(step_s, 4, D_BYTES, 6e9) <= 4


@pytest.mark.parametrize("together, hidden", [(2.0, 1.0), (2.25, 0.75), (3.0, 0.0), (4.0, 0.0)])
def test_the_hidden_share(together, hidden):
    """Two seconds of passes, one of traffic."""
    assert Communication(8, 2.0, 1.0, together).overlap == pytest.approx(hidden)
