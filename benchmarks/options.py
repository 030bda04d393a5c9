"""The settings of a measurement: how pictures become vectors, and what is fitted to them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vggfeat.devices import for_probes
from vggfeat.features.options import Extraction, VectorOptions
from vggfeat.options import Declaration, declarations, split_by_owner
from vggfeat.probes.options import ProbeOptions
from vggfeat.probes.registry import load_probe

if TYPE_CHECKING:
    from vggfeat.probes.probe import Probe

PARTS = {"extraction": Extraction, "vectors": VectorOptions, "probe": ProbeOptions}


def measurement_options() -> dict[str, Declaration]:
    """Name -> declaration of every option of a measurement, in the order of declaration."""
    return {name: d for options in PARTS.values() for name, d in declarations(options).items()}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of a measurement, by what they change."""

    extraction: Extraction
    vectors: VectorOptions
    probe: ProbeOptions

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Settings":
        """The settings with these values of options. Raises OptionError, or TypeError at a name."""
        parts = split_by_owner(PARTS, values)
        return cls(**{name: PARTS[name](**stated) for name, stated in parts.items()})

    @property
    def fitted_probe(self) -> "Probe":
        """What is fitted, and where."""
        device = for_probes(self.extraction.resolved_device)
        return load_probe(self.probe.probe, solver=self.probe.solver, device=device)

    def values(self) -> dict[str, Any]:
        """Name -> value of every option."""
        all_options = (getattr(self, name) for name in PARTS)
        return {name: getattr(o, name) for o in all_options for name in declarations(o)}

    def changed(self, values: Mapping[str, Any]) -> "Settings":
        """The same settings with these values of options. Raises OptionError."""
        parts = split_by_owner(PARTS, values)
        return Settings(
            **{name: replace(getattr(self, name), **stated) for name, stated in parts.items()}
        )
