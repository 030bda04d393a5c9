"""Which records are compared: record files, results folders, or nets, probes and settings by name.

A record is paired with the one of the other side that has the same test set and agrees with it in
most other facets, if either is the only such one of the other.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vggfeat.benchmarks.comparison.facets import (
    LocatedRecord,
    differing,
    located,
    located_below,
    record_paths,
)
from vggfeat.errors import RecordError, UnknownNameError, VggfeatError, nearest

NAMED = ("probe", "solver", "precision")  # facets whose values are known without their name
NUM_LISTED = 4  # records that a message names

Pair = tuple[LocatedRecord, LocatedRecord]


@dataclass(frozen=True)
class Side:
    """The records that a selector means, and the facets by which it chose them."""

    text: str
    records: Sequence[LocatedRecord]
    facets: frozenset[str] = frozenset()


def select(text: str, out: Path) -> Side:
    """The records that a selector means; names are looked up in the results folder out.

    A selector is a record file, a results folder, a net as tables name it, a probe, a solver, a
    precision, or NAME=VALUE of any setting, such as layer=features.7. Raises RecordError.
    """
    path = Path(text)
    if path.suffix == ".json":
        return Side(text, located([path]))
    # A folder of pictures or weights may have the name of a net.
    if path.is_dir() and (record_paths(path) or not out.is_dir()):
        return Side(text, located_below(path))
    if not out.is_dir():
        raise RecordError(
            f"{text!r}: no such record or folder; nets and probes are looked up in a results"
            f" folder, and there is no {out}. Name one with --out."
        )
    candidates = located_below(out)
    for facet, value in _readings(text, candidates):
        chosen = [r for r in candidates if _has(r, facet, value)]
        if chosen:
            return Side(text, chosen, _with_consequences(facet, value))
    raise _unknown(text, candidates, out)


def pairs_of(a: Side, b: Side) -> list[Pair]:
    """The records of two sides that are compared with each other.

    Raises RecordError if there are none.
    """
    of_a, of_b = ({record.path.resolve() for record in side.records} for side in (a, b))
    if of_a == of_b:
        raise RecordError(f"{a.text} and {b.text} are the same: there is nothing to compare.")
    if len(of_a) == len(of_b) == 1:
        return [(a.records[0], b.records[0])]
    chosen_by = a.facets | b.facets
    pairs = []
    for record in a.records:
        partner = _only_nearest(record, b.records, chosen_by)
        if partner and _only_nearest(partner, a.records, chosen_by) is record:
            pairs.append((record, partner))
    if not pairs:
        raise RecordError(_why_none(a, b))
    return pairs


def all_pairs(compared: Sequence[LocatedRecord]) -> list[Pair]:
    """Every two records of the same test set."""
    return [
        (a, b)
        for number, a in enumerate(compared)
        for b in compared[number + 1 :]
        if a.test_set == b.test_set
    ]


def _only_nearest(
    record: LocatedRecord, others: Iterable[LocatedRecord], chosen_by: frozenset[str]
) -> LocatedRecord | None:
    """The one of the others that differs from the record in fewest facets; None of several."""
    distances = [
        (len(set(differing(record, other)) - chosen_by), other)
        for other in others
        if other.test_set == record.test_set and other.path.resolve() != record.path.resolve()
    ]
    least = min((distance for distance, _ in distances), default=None)
    near = [other for distance, other in distances if distance == least]
    return near[0] if len(near) == 1 else None


def _readings(text: str, candidates: Sequence[LocatedRecord]) -> list[tuple[str, str]]:
    """The facets and values that a selector can mean, likeliest first."""
    parts = [part.partition("@") for part in text.split("+")]
    names = "+".join(name for name, _, _ in parts)
    files = "+".join(Path(weights).name for _, _, weights in parts)
    readings = [("method", f"{names}@{files}")] if all(at for _, at, _ in parts) else []
    readings += [("net", text), ("weights", "+".join(Path(p).name for p in text.split("+")))]
    readings += [(facet, text) for facet in NAMED]
    named = re.fullmatch(r"([a-z_ ]+)=(.*)", text)
    if named and (name := named[1].replace(" ", "_")) in {n for r in candidates for n in r.facets}:
        readings.append((name, named[2].replace(",", " ")))
    return readings


def _has(candidate: LocatedRecord, facet: str, value: str) -> bool:
    facets = candidate.facets
    if facet == "method":
        return f"{facets['net']}@{facets['weights']}" == value
    if facet == "net":
        return value in (candidate.record.name, facets["net"], candidate.record.net)
    if facet == "layer" and value:
        return value in (facets["layer"], _layer_of_features(candidate))
    return facets.get(facet) == value


def _layer_of_features(candidate: LocatedRecord) -> str:
    files = [net.get("features") for net in candidate.record.nets]
    return "+".join(str(f.get("layer", "")) for f in files if isinstance(f, dict))


def _with_consequences(facet: str, value: str) -> frozenset[str]:
    """The facets that may differ where this one was chosen."""
    if facet in ("method", "net", "weights"):
        layer = ("layer",) if "layer=" in value else ()
        return frozenset(("net", "weights", *layer))
    return frozenset((facet, "solver") if facet == "probe" else (facet,))


def _unknown(text: str, candidates: Sequence[LocatedRecord], out: Path) -> VggfeatError:
    choices = {r.facets[name] for r in candidates for name in ("net", *NAMED) if r.facets.get(name)}
    choices |= {r.record.name for r in candidates if r.record.name}
    choices |= {f"layer={r.facets['layer']}" for r in candidates if r.facets["layer"]}
    if "/" in text and not nearest(text, choices):
        return RecordError(f"{text!r}: no such record or folder, and no net of {out}.")
    return UnknownNameError(f"net, probe or setting of {out}", text, choices)


def _why_none(a: Side, b: Side) -> str:
    """Why no record of one side can be compared with one of the other, in a line."""
    start = f"Nothing of {a.text} can be compared with anything of {b.text}"
    of_a, of_b = ({r.record.benchmark for r in side.records} for side in (a, b))
    if not of_a & of_b:
        return f"{start}: other benchmarks ({_listed(of_a)}; {_listed(of_b)})."
    common = {r.test_set for r in a.records} & {r.test_set for r in b.records}
    if not common:
        return f"{start}: {_listed(of_a & of_b)} with other splits or test pictures."
    several = [r.path for side in (a, b) for r in side.records if r.test_set in common]
    return (
        f"{start}: several records fit each other equally well. Name two of these:"
        f" {_listed(map(str, several), ', ')}."
    )


def _listed(names: Iterable[str], separator: str = ", ") -> str:
    names = sorted(set(names))
    more = f" and {len(names) - NUM_LISTED} more" if len(names) > NUM_LISTED else ""
    return separator.join(names[:NUM_LISTED]) + more
