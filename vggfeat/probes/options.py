"""Which probe is fitted to the vectors."""

from dataclasses import dataclass

from vggfeat.options import PROBE, Declared, option
from vggfeat.probes.registry import DEFAULT_PROBE, PROBES


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(Declared):
    """The probe by its name."""

    solver: str = option(
        DEFAULT_PROBE,
        "What fits the SVMs: this project's solver of all classes at once, or scikit-learn's.",
        changes=PROBE,
        choices=PROBES,
    )
