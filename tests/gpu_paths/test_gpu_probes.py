"""Probes on a GPU: fits with folds held out, all of whose tensors are there.

There need be no GPU: tests/helpers/fake_cuda.py is one, and says which places of masks are set.
"""

import numpy as np
import pytest
from helpers.fake_cuda import fake_cuda

from vggfeat.probes import logistic
from vggfeat.probes.registry import PROBES, load_probe


def examples(n, d, num_classes=8):
    """X [n, d] and signs [n, K]."""
    X = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    classes = np.arange(n) % num_classes
    return X, np.where(classes[:, None] == np.arange(num_classes), 1, -1).astype(np.int8)


@pytest.fixture(autouse=True)
def few_iterations(monkeypatch):
    """No tensor has values that say when a solver is done."""
    monkeypatch.setattr(logistic, "MAX_ITER", 2)


@pytest.mark.parametrize(
    "n, d, exclusive", [(48, 8, True), (32, 60, False)], ids=["one label", "many dimensions"]
)
@pytest.mark.parametrize("name", PROBES)
def test_a_choice_among_folds_then_the_fit(name, n, d, exclusive):
    X, signs = examples(n, d)
    probe = load_probe(name, device="cuda")
    value = probe.grid[0] if probe.grid else 1.0
    folds = signs.copy()
    folds[: n // 4] = 0
    with fake_cuda() as gpu:
        fits = probe.fits(X, signs, exclusive=exclusive)
        scores = fits.decisions(folds, value)
        fits.start_from(np.arange(8) < 4)
        classifier = fits.fit(value)
        assert scores.shape == signs.shape and classifier.decisions(X).shape == signs.shape
    assert gpu.waits["copy to the CPU"] > 0 or name == "centroid"  # the GPU was used
