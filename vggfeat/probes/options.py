"""Which probe is fitted to the vectors."""

from dataclasses import dataclass

from vggfeat.options import PROBE, Declared, option
from vggfeat.probes.registry import DEFAULT_PROBE, DEFAULT_SOLVER, PROBES, SOLVERS


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(Declared):
    """The probe by its name."""

    probe: str = option(
        DEFAULT_PROBE,
        "What is fitted to the descriptors; repeatable, all from one extraction.",
        changes=PROBE,
        choices=PROBES,
        added_later=True,
    )
    solver: str = option(
        DEFAULT_SOLVER,
        "What fits the SVMs: this project's solver of all classes at once, or scikit-learn's.",
        changes=PROBE,
        choices=SOLVERS,
    )
