"""Records chosen by benchmark, net, probe and scales, as the user names them."""

from collections.abc import Callable, Mapping, Sequence

from vggfeat.errors import RecordError, UnknownNameError
from vggfeat.records.record import Record
from vggfeat.report.settings import stated
from vggfeat.report.shots import probe_of


def chosen(records: Sequence[Record], wanted: Mapping[str, Sequence[str]]) -> list[Record]:
    """The records that are of one of the wanted names of each kind; all where none are wanted.

    wanted has names by kind, one of KINDS. A net is named as tables name it, with or without its
    options and weights. Raises UnknownNameError at a name that no record has, and RecordError where
    no record is of all kinds.
    """
    left = list(records)
    for kind, names in wanted.items():
        names_of = KINDS[kind]
        for name in names:
            if not any(name in names_of(record) for record in records):
                there = {names_of(record)[0] for record in records}
                raise UnknownNameError(f"{kind} of these records", name, there)
        if names:
            left = [r for r in left if not set(names).isdisjoint(names_of(r))]
    if records and not left:
        both = ", ".join(f"{kind} {' or '.join(names)}" for kind, names in wanted.items() if names)
        raise RecordError(f"No record is of {both} at once. Leave one of them out.")
    return left


def _benchmarks(record: Record) -> list[str]:
    return [record.benchmark, record.title]


def _nets(record: Record) -> list[str]:
    """The names of a record's nets together, the first as a list of all names has it."""
    without_options = [net["name"].partition(":")[0] for net in record.nets]
    weights = [net["weights"] for net in record.nets]
    names = [record.net, record.nets_with_weights, "+".join(without_options), "+".join(weights)]
    return [record.name, *names] if record.name else names


def _scales(record: Record) -> list[str]:
    """The scales of the record, or of each of its nets, as "256 384" and as "256,384"."""
    of_nets = [stated(net["scales"]) for net in record.nets if "scales" in net]
    texts = [stated(record.protocol.get("scales", "")) or "+".join(of_nets), *of_nets]
    return [text.replace(" ", ",") for text in texts] + texts


KINDS: Mapping[str, Callable[[Record], list[str]]] = {
    "benchmark": _benchmarks,
    "net": _nets,
    "probe": lambda record: [probe_of(record)],
    "scales": _scales,
}
