"""What a plan is asked: pictures, a net, devices, and what is known of their speed and price."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vggfeat.errors import OptionError
from vggfeat.features.options import Extraction
from vggfeat.images import Picture

WORDS = {
    "num_pictures": "pictures", "num_devices": "gpus", "cores": "cores",
    "images_per_second": "images per second", "tflops": "tflops", "read_mb_s": "read rate",
    "write_mb_s": "write rate",
    "watts": "watts", "price": "price", "disk_price": "disk price",
}  # fmt: skip


# Beyond these a number is mistyped, and what it leads to can be infinite.
MOST_DEVICES, LEAST_SPEED, MOST = 10**6, 1e-6, 1e12


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked. What is None is measured here, or assumed."""

    net: str
    options: Extraction
    num_pictures: int
    pictures: Mapping[str, Picture] | None = None  # of the job, where they are at hand
    picture_size: tuple[int, int] | None = None  # width and height
    picture_bytes: int | None = None
    num_devices: int = 1
    cores: int | None = None  # for each device
    images_per_second: float | None = None  # of one device
    tflops: float | None = None  # of one device
    utilisation: float | None = None
    rates: Path | None = None
    read_mb_s: float | None = None  # of all devices together
    write_mb_s: float | None = None  # likewise
    watts: float | None = None  # of one device
    price: float | None = None  # of an hour of one device
    disk_price: float | None = None  # of a TB a month

    def __post_init__(self) -> None:
        """Raise OptionError at values that are not allowed."""
        if self.num_pictures < 1:
            raise OptionError(f"pictures must be at least 1; got {self.num_pictures}.")
        for names, least, most in (
            (("num_devices", "cores"), 1, MOST_DEVICES),
            (("images_per_second", "tflops", "read_mb_s", "write_mb_s"), LEAST_SPEED, MOST),
            (("watts", "price", "disk_price"), 0, MOST),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and not least <= value <= most:
                    allowed = f"from {least:g} to {most:.0e}"
                    raise OptionError(f"{WORDS[name]} must be {allowed}; got {_shown(value)}.")
        if self.utilisation is not None and not 0 < self.utilisation <= 1:
            raise OptionError(
                f"utilisation must be more than 0 and at most 1; got {self.utilisation:g}."
            )
        if self.utilisation is not None and self.tflops is None:
            raise OptionError("utilisation is a share of --tflops: give that, too.")
        if self.tflops is not None and self.images_per_second is not None:
            raise OptionError("Both --tflops and --images-per-second say how fast: give one.")

    @property
    def speed_is_given(self) -> bool:
        """Whether the user says how fast the devices run the net."""
        return self.images_per_second is not None or self.tflops is not None


def _shown(value: float) -> str:
    """A number in a message, whatever its length."""
    return f"{value:g}" if isinstance(value, float) else reprlib.repr(value)
