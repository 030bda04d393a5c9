"""Probes on a GPU decide as they do on the CPU."""

import numpy as np
import pytest
from helpers.probes import HELD_OUT, problem, signs_of

from vggfeat.probes.grid_search import choose
from vggfeat.probes.registry import PROBES, load_probe


@pytest.mark.gpu
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("name", PROBES)
def test_a_probe_decides_alike_on_a_gpu(name, exclusive):
    X, y = problem(d=200)
    signs = signs_of(y)
    if not exclusive:
        signs[10:30, 1] = 0
    decisions = []
    for device in ("cpu", "cuda"):
        probe = load_probe(name, device=device)
        fits = probe.fits(X, signs, exclusive=exclusive)
        if probe.grid:
            choose(fits, [HELD_OUT], grid=probe.grid[:3], score=lambda decisions, rows: 0.0)
        decisions.append(fits.fit(1.0).decisions(X))
    np.testing.assert_allclose(*decisions, atol=0.01 * np.ptp(decisions[0]))
