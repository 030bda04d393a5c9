"""What has to be known of a library's net before it is built, and as plain JSON: `Anatomy`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vggfeat.backbones.hooks import ModuleOutput, ShapeProbe
from vggfeat.input_statistics import InputStatistics


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """What a library says of one of its nets, and what its modules gave when they were probed."""

    default_size: int  # side of the crops that the net is meant for, pixels
    input_size: int  # the one that was asked for, else that of the weights
    min_size: int  # pixels
    statistics: InputStatistics
    classifier: str  # the module that gives the scores; "" if there are several
    shapes: ShapeProbe

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Anatomy":
        """The anatomy of what `to_json` returned."""
        mean, std = (tuple(values["statistics"][name]) for name in ("mean", "std"))
        shapes = values["shapes"]
        probe = ShapeProbe(
            first=_outputs(shapes["first"]),
            second=None if shapes["second"] is None else _outputs(shapes["second"]),
            any_size=shapes["any_size"],
        )
        parsed = {"statistics": InputStatistics(mean, std), "shapes": probe}
        return cls(**(dict(values) | parsed))


def _outputs(values: Mapping[str, Any]) -> dict[str, ModuleOutput]:
    return {
        name: ModuleOutput(
            calls=output["calls"],
            shape=None if output["shape"] is None else tuple(output["shape"]),
            begins=output["begins"],
            ends=output["ends"],
        )
        for name, output in values.items()
    }
