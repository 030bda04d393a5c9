"""The settings of a record as text, in the words of published.csv."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from vggfeat.features.options import Extraction, VectorOptions
from vggfeat.input_statistics import TORCHVISION_STATISTICS
from vggfeat.layouts.options import DataOptions
from vggfeat.options import declarations
from vggfeat.probes.registry import DEFAULT_PROBE
from vggfeat.records.record import Record

OF_PROTOCOL = (
    "scales", "aggregate", "scale_l2", "mirror", "splits", "seed", "images", "background",
    "difficult", "box_margin",
)  # fmt: skip
PROBE = "probe"  # records of SVMs do not state it
OF_FEATURES = ("exif", "precision", "dtype")  # of the extraction
DECODER, PILLOW = "decoder", "Pillow"  # of the extraction, and what it nearly always is
OWN = "own"  # weights that come with a net of the user's
DECLARED = (Extraction, VectorOptions, DataOptions)  # options that a protocol may state


def settings_of(record: Record, later: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """What a user can vary and the net's name does not say, by name; empty if it does not apply.

    later are later_options() of all records that are shown together.
    """
    of_protocol = {name: stated(record.protocol.get(name, "")) for name in OF_PROTOCOL}
    of_features = {name: feature_setting(record, name) for name in OF_FEATURES}
    solver = str(record.probe.get("solver", "")).partition(" ")[0]  # older records say more
    newer = {
        name: stated((record.probe if name == PROBE else record.protocol).get(name, usual))
        for name, usual in later.items()
    }
    if DECODER in later:
        newer[DECODER] = feature_setting(record, DECODER) or PILLOW
    return of_protocol | of_features | {"solver": solver} | newer


def later_options(records: Sequence[Record]) -> dict[str, str]:
    """The options that were added after these tables were made, if a record states them.

    Name -> default, which records that were written before have.
    """
    named = {name for record in records for name in record.protocol}
    is_svm = not any(PROBE in record.probe for record in records)
    probe = {} if is_svm else {PROBE: DEFAULT_PROBE}
    decoder = {} if all(map(is_pillow, records)) else {DECODER: PILLOW}
    return (
        probe
        | decoder
        | {
            field.name: declared[field.name].unset or stated(field.default)
            for options, declared in ((options, declarations(options)) for options in DECLARED)
            for field in fields(options)
            if field.name in named & declared.keys() - {*OF_PROTOCOL, *OF_FEATURES}
        }
    )


def feature_setting(record: Record, name: str) -> str:
    """A setting of the feature files, once if it is the same for all nets."""
    features = [net.get("features") for net in record.nets]
    values = [str(f[name]) for f in features if isinstance(f, dict) and name in f]
    return " ".join(dict.fromkeys(values))


def stated(value: object) -> str:
    """A value of a protocol as published.csv has it: "yes", "256 384", "102"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)


def net_options(name: str) -> list[str]:
    """The options in the name of a net, such as ["width=0.25"]."""
    options = name.partition(":")[2]
    return options.split(",") if options else []


def assumed_statistics(net: Mapping[str, Any]) -> str:
    """The input statistics of a record's net that nobody states; empty if all are stated."""
    if "assumed" in net:
        return str(net["assumed"])
    features, options = net.get("features"), net_options(net["name"])
    if net["weights"] != OWN or not isinstance(features, dict):
        return ""
    # Records of before say nothing. A net that comes with its weights had torchvision's then.
    named = {option.partition("=")[0] for option in options}
    usual = {name: list(values) for name, values in vars(TORCHVISION_STATISTICS).items()}
    return " and ".join(n for n in usual if n not in named and features.get(n) == usual[n])


def assumptions(record: Record) -> list[str]:
    """What was assumed of the input of the record's nets, in words."""
    return [
        f"input statistics of {net['name']} assumed, {assumed}"
        for net in record.nets
        if (assumed := assumed_statistics(net))
    ]


def assumed_legend(records: Sequence[Record]) -> tuple[str, ...]:
    """The line below a table that says what was assumed of its nets' input; none if nothing."""
    words = dict.fromkeys(text for record in records for text in assumptions(record))
    return (f"Not stated by anybody: {'; '.join(words)}.",) if words else ()


def interval_of(record: Record, metric: str) -> tuple[float, float] | None:
    """The ends of the metric's 95 % interval in %, where the record came with intervals."""
    ends = record.metrics[metric].get("interval")
    return None if ends is None else (percent(ends[0]), percent(ends[1]))


def interval_legend(intervals: Iterable[Any], of_what: str = "") -> tuple[str, ...]:
    """The line below a table that says what its intervals are; none if all of them are None."""
    if not any(intervals):
        return ()
    return (f"(low to high): 95 % interval{of_what} over test pictures (bootstrap).",)


def percent(fraction: float | None) -> float | None:
    """A fraction of one in percent, without the noise of binary fractions; None stays None."""
    return None if fraction is None else round(100 * fraction, 4)


def is_pillow(record: Record) -> bool:
    """Whether Pillow decoded whole pictures, as for every record that does not state another."""
    return feature_setting(record, DECODER) in ("", PILLOW)
