"""What records can differ in, by name: net, weights, layer, probe and the settings of tables."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vggfeat.errors import RecordError
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.report.settings import later_options, net_options, settings_of, stated

# Settings that follow from the splits, which compared records have in common.
OF_SPLITS = {"splits", "seed", "images", "background"}
SVM = "svm"  # the probe of records that name none


@dataclass(frozen=True, eq=False)
class LocatedRecord:
    """A record, where it lies, and what it can differ in from others."""

    path: Path
    record: Record
    facets: Mapping[str, str]  # name -> value as text, empty where it does not apply

    @property
    def test_set(self) -> tuple[str, str, bool]:
        """What compared records have in common: benchmark, splits, and whether it was limited."""
        return self.record.benchmark, self.record.splits_sha256, self.record.limited

    @property
    def place(self) -> tuple[str, int]:
        """What comparisons are sorted by: benchmark, then training pictures a class, all last."""
        shots = self.record.protocol.get("shots")
        return self.record.benchmark, shots if type(shots) is int else sys.maxsize


def located(paths: Sequence[Path]) -> list[LocatedRecord]:
    """The records at these paths. Raises RecordError."""
    read_records = [records.read(path) for path in paths]
    later = later_options(read_records)
    return [
        LocatedRecord(path, record, _facets(record, later))
        for path, record in zip(paths, read_records, strict=True)
    ]


def record_paths(folder: Path) -> list[Path]:
    """The files of records in a results folder, or in that of a benchmark."""
    return sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])


def located_below(folder: Path) -> list[LocatedRecord]:
    """Every record in a results folder, or in that of a benchmark. Raises RecordError if none."""
    below = located(record_paths(folder))
    if not below:
        raise RecordError(f"{folder}: holds no records. `vggfeat bench` makes them.")
    return below


def differing(a: LocatedRecord, b: LocatedRecord) -> list[str]:
    """The names of facets that differ, without those that follow from another that does."""
    names = [n for n in a.facets if a.facets[n] != b.facets.get(n, "")]
    for name, consequences in {"net": ("weights",), "probe": ("solver",)}.items():
        if name in names:
            names = [n for n in names if n not in consequences]
    return names


def labels_of(compared: Sequence[LocatedRecord]) -> list[str]:
    """What tells each record from the others in words: its net, else its settings, else its path.

    A net is named with its weights where several records have it with others.
    """
    names = [n for n in compared[0].facets if len({c.facets.get(n, "") for c in compared}) > 1]
    weights_of: dict[str, set[str]] = {}
    for c in compared:
        weights_of.setdefault(c.facets["net"], set()).add(c.facets["weights"])
    has_probe, has_net = "probe" in names, "net" in names or "weights" in names
    if has_net:  # features that were made elsewhere have no scales, no mirror images, ...
        names = [n for n in names if n == "layer" or all(c.facets.get(n, "") for c in compared)]
    labels = []
    for c in compared:
        parts = []
        if has_net:
            is_clear = len(weights_of[c.facets["net"]]) == 1
            parts.append(c.record.name or (c.facets["net"] if is_clear else _method(c.facets)))
        for name in names:
            if name in ("net", "weights") or (name == "solver" and has_probe):
                continue
            value = c.facets.get(name, "") or "default"
            parts.append(value if name == "probe" else f"{name.replace('_', ' ')} {value}")
        labels.append(", ".join(parts))
    if len(set(labels)) == len(labels):
        return labels
    return [str(c.path) for c in compared]


def _facets(record: Record, later: Mapping[str, str]) -> dict[str, str]:
    settings = settings_of(record, later)
    if not settings["scales"]:  # each net has its own
        scales = [net["scales"] for net in record.nets if "scales" in net]
        settings["scales"] = "+".join(dict.fromkeys(map(stated, scales)))
        settings["scales_a_net"] = " ".join(dict.fromkeys(str(len(of_net)) for of_net in scales))
        settings["view"] = stated(record.protocol.get("view", ""))
    first = {
        "net": "+".join(_without_layer(net["name"]) for net in record.nets),
        "weights": "+".join(net["weights"] for net in record.nets),
        "layer": "+".join(dict.fromkeys(_layer(net["name"]) for net in record.nets)),
        "probe": str(record.probe.get("probe", SVM)) if record.probe else "",
    }
    others = {n: value for n, value in settings.items() if n not in {*OF_SPLITS, *first}}
    return first | others


def _method(facets: Mapping[str, str]) -> str:
    pairs = zip(facets["net"].split("+"), facets["weights"].split("+"), strict=False)
    return "+".join(f"{net}@{weights}" for net, weights in pairs)


def _without_layer(name: str) -> str:
    options = [option for option in net_options(name) if not option.startswith("layer=")]
    net = name.partition(":")[0]
    return f"{net}:{','.join(options)}" if options else net


def _layer(name: str) -> str:
    """The layer that the net's name states; empty for the net's own."""
    layers = [o.partition("=")[2] for o in net_options(name) if o.startswith("layer=")]
    return layers[0] if layers else ""
