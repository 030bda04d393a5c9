"""The registry of probes, and what each says of itself, which decides the keys of records."""

import subprocess
import sys

import pytest

from vggfeat.errors import OptionError
from vggfeat.probes.registry import PROBES, load_probe


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_is_found_by_its_name_and_fits_on_a_device(name):
    probe = load_probe(name, device="cuda")
    assert probe.name == name and probe.device == "cuda"
    assert list(probe.grid) == sorted(set(probe.grid))


def test_an_unknown_probe_is_an_error_that_lists_the_known_ones():
    with pytest.raises(OptionError, match=f"probe must be one of {', '.join(PROBES)}; got 'sgd'"):
        load_probe("sgd")


def test_the_settings_of_the_svms_never_change():
    """They are part of the keys by which records are found again."""
    common = {
        "loss": "squared hinge, one class against the rest",
        "intercept": "regularised with the weights (intercept_scaling 1)",
        "class_weight": None,
        "c_grid": [0.01, 0.1, 1.0, 10.0, 100.0],
        "c_patience": 2,
        "c_saturated": 0.999,
        "c_tol": 1e-4,
    }
    newton = "Newton's method on all classes, duality gap at most tol of the objective"
    liblinear = "scikit-learn's LinearSVC, primal, one class after the other"
    assert load_probe().settings() == common | {
        "solver": "newton", "method": newton, "tol": 1e-5, "max_iter": 200
    }  # fmt: skip
    assert load_probe(solver="liblinear").settings() == common | {
        "solver": "liblinear", "method": liblinear, "tol": 1e-6, "max_iter": 10_000
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBES)
def test_a_probe_that_is_only_described_loads_no_scikit_learn(name):
    code = (
        "import sys; from vggfeat.probes.registry import load_probe;"
        f"assert 'numpy' not in sys.modules; load_probe({name!r}).settings();"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
