"""The options of an extraction."""

from dataclasses import dataclass

from vggfeat import devices
from vggfeat.errors import OptionError

MAX_SCALE = 10_000
CHOICES = {
    "precision": ("auto", "fp32", "bf16"),
    "dtype": ("float32", "float16"),
    "on_error": ("stop", "skip"),
}


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """The options of an extraction. Those that change descriptors are stored with them."""

    scales: tuple[int, ...]
    mirror: bool = True
    exif: bool = False
    device: str = "auto"
    precision: str = "auto"
    dtype: str = "float32"
    batch_size: int | None = None  # None: as many as images.BATCH_PIXELS allows
    on_error: str = "stop"

    def __post_init__(self):
        object.__setattr__(self, "scales", tuple(self.scales))
        if not self.scales or not all(1 <= scale <= MAX_SCALE for scale in self.scales):
            raise OptionError(f"scales must be from 1 to {MAX_SCALE}; got {list(self.scales)}.")
        if len(set(self.scales)) < len(self.scales):
            raise OptionError(f"a scale is given twice in {list(self.scales)}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError(f"batch size must be at least 1; got {self.batch_size}.")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise OptionError(
                    f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}."
                )
        devices.resolved(self.device)  # refuses one that is not there

    @property
    def resolved_device(self) -> str:
        return devices.resolved(self.device)

    @property
    def resolved_precision(self) -> str:
        return devices.resolved_precision(self.precision, self.resolved_device)
