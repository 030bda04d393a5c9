"""Rates: what a machine takes for each part of a picture, and JSON files of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vggfeat.costs.work import PictureWork, ScaleWork
from vggfeat.errors import OptionError
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.files import new_file

SCHEMA_VERSION = 1
MAX_BYTES = 2**20
MOST, MOST_CORES = 1e18, 10**6  # of what a file can say; more is no machine's
TEXTS = ("machine", "device", "precision", "net", "pictures", "time")
DIVISORS = ("read_bytes_s", "write_bytes_s", "row_bytes")


@dataclass(frozen=True)
class ForwardRate:
    """Seconds of the net at one scale: of a pass, of each megapixel in it, and of a new shape."""

    megapixel_s: float
    pass_s: float = 0.0
    new_shape_s: float = 0.0

    def seconds(self, work: ScaleWork) -> float:
        """Seconds of the net for a picture at this scale."""
        return (
            work.net_mp * self.megapixel_s
            + work.passes * self.pass_s
            + work.new_shapes * self.new_shape_s
        )


@dataclass(frozen=True)
class LoadingRate:
    """Seconds of one core: to read and decode a megapixel, and to rescale to a megapixel."""

    decode_mp_s: float
    prepare_mp_s: float

    def core_s(self, work: PictureWork) -> float:
        """Seconds of one core that a picture takes until it is at all scales."""
        return work.source_mp * self.decode_mp_s + work.rescaled_mp * self.prepare_mp_s


@dataclass(frozen=True)
class DiskRate:
    """Bytes a second of the disk, and seconds of the thread that stores rows of so many bytes."""

    read_bytes_s: float
    write_bytes_s: float
    row_s: float
    row_bytes: int


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a machine takes: `machine` in words, `net` and what it was measured with."""

    machine: str
    cores: int
    device: str
    precision: str
    net: str
    mirror: bool
    forward: Mapping[int, ForwardRate]  # by scale
    start_s: float  # until a process computes
    loading: LoadingRate
    pictures: str  # what was decoded, in words
    disk: DiskRate
    busy_cores: int = 0  # by other programs, at the moment of measuring
    time: str = ""
    source: str = "measured"  # where the rates are from, in words; no file says so

    def forward_s(self, work: PictureWork) -> float:
        """Seconds of one device that a picture takes at all scales."""
        return sum(self.forward[at.scale].seconds(at) for at in work.scales)


def save(rates: Rates, path: Path) -> None:
    """Write rates to a JSON file, for plans on other machines."""
    values = {"vggfeat_rates": SCHEMA_VERSION} | asdict(rates)
    del values["source"]
    with new_file(path) as file:
        file.write((json.dumps(values, indent=1) + "\n").encode())


def load(path: Path, net: str, scales: tuple[int, ...]) -> Rates:
    """Rates of a file that `save` wrote. Raises OptionError unless it has the net at the scales."""
    try:
        with open(path, "rb") as file:
            values = parse_json(file.read(MAX_BYTES))
    except OSError as error:
        raise OptionError(
            f"{path}: cannot be read ({error.strerror}). `vggfeat plan --save-rates` writes it."
        ) from error
    except ValueError as error:
        raise OptionError(
            f"{path}: is no JSON. `vggfeat plan --save-rates` writes such files."
        ) from error
    rates = _of_json(path, values)
    if rates.net != net:
        raise OptionError(
            f"{path}: has rates of {rates.net}; asked is {net}. Measure it where it shall run, by"
            f" --net {net} --save-rates FILE."
        )
    if lacking := [str(scale) for scale in scales if scale not in rates.forward]:
        there = ", ".join(map(str, sorted(rates.forward)))
        raise OptionError(
            f"{path}: has no rate at scale {', '.join(lacking)}, only at {there}. Give --scales"
            " among them, or measure again with --save-rates."
        )
    return rates


def _of_json(path: Path, values: Any) -> Rates:
    if not isinstance(values, dict) or values.get("vggfeat_rates") != SCHEMA_VERSION:
        raise OptionError(
            f"{path}: is no file of rates, version {SCHEMA_VERSION}. `vggfeat plan --save-rates`"
            " writes it."
        )
    try:
        plain = {f.name: values[f.name] for f in fields(Rates) if f.name != "source"}
        if odd := [name for name in TEXTS if not isinstance(plain[name], str)]:
            raise ValueError(f"{odd[0]} is {plain[odd[0]]!r}")
        _numbers({"start_s": plain["start_s"]})
        forward = {int(s): ForwardRate(**_numbers(r)) for s, r in plain["forward"].items()}
        plain |= {
            "forward": forward,
            "loading": LoadingRate(**_numbers(plain["loading"])),
            "disk": DiskRate(**_numbers(plain["disk"])),
            "cores": _count(plain, "cores", 1),
            "busy_cores": _count(plain, "busy_cores", 0),
        }
        return Rates(**plain, source=f"{path.name} of {plain['time'][:10]}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OptionError(
            f"{path}: is no sound file of rates ({error}). `vggfeat plan --save-rates` writes it."
        ) from error


def _count(values: Mapping[str, Any], name: str, least: int) -> int:
    """A whole number. Raises ValueError at another value."""
    if type(values[name]) is not int or not least <= values[name] <= MOST_CORES:
        raise ValueError(f"{name} is {values[name]!r}")
    return values[name]


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The values as they are. Raises ValueError unless they are numbers that a machine has."""
    for name, value in values.items():
        least = 1 if name in DIVISORS else 0
        if type(value) not in (int, float) or not least <= value <= MOST:
            raise ValueError(f"{name} is {value!r}")
    return dict(values)
