"""The probes by name; a probe is one file and one line here.

A probe's module is imported when the probe is asked for, as its libraries take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from vggfeat.errors import OptionError

if TYPE_CHECKING:
    from vggfeat.probes.probe import Probe

PROBES = {
    "newton": "vggfeat.probes.svm_newton:NewtonSVM",
    "liblinear": "vggfeat.probes.svm_liblinear:LiblinearSVM",
}
DEFAULT_PROBE = "newton"


def load_probe(name: str = DEFAULT_PROBE, *, device: str = "cpu") -> "Probe":
    """The probe of this name, which fits on this torch device. Raises OptionError."""
    if name not in PROBES:
        raise OptionError(f"solver must be one of {', '.join(PROBES)}; got {name!r}.")
    module, _, probe = PROBES[name].partition(":")
    return getattr(import_module(module), probe)(device=device)
