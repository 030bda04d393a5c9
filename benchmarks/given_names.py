"""The names that the user gives nets, in records: new ones are written, taken ones refused."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vggfeat.backbones.given_names import Names, name_of
from vggfeat.backbones.load import load_fusions
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import Fusion
from vggfeat.errors import OptionError
from vggfeat.records import record as records
from vggfeat.records.record import Record

log = logging.getLogger(__name__)

NamesOfNetworks = Mapping[tuple, str]  # identities of networks that are used together -> name


def names_of_networks(
    names: Names, fusions: Sequence[Fusion], loaded: Sequence[Sequence[Network]], out: Path
) -> NamesOfNetworks:
    """The names of loaded networks.

    Raises OptionError where a record in the results folder out has one of them for other nets.
    """
    pairs = [(name_of(f, names), networks) for f, networks in zip(fusions, loaded, strict=True)]
    named = [(name, networks) for name, networks in pairs if name]
    if named and out.is_dir():
        taken = {record.name: record for record in records.read_all(out) if record.name}
        for name, networks in named:
            if name in taken and not _are_same(taken[name], networks):
                nets = taken[name].nets_with_weights
                raise OptionError(
                    f"{name!r}: the name of {nets} in {out}. Choose another name or another --out."
                )
    return {identity_of(networks): name for name, networks in named}


def names_of_nets(names: Names, nets: Sequence[Fusion], out: Path, **where: Any) -> NamesOfNetworks:
    """The names of nets, which are loaded for it if any has one; where is load_fusions'."""
    return names_of_networks(names, nets, load_fusions(nets, **where), out) if names else {}


def identity_of(networks: Sequence[Network]) -> tuple[Any, ...]:
    """What the same nets used together have in common, however they are written."""
    return tuple(network.identity for network in networks)


def with_name(record: Record, name: str, out: Path, *, is_new: bool) -> Record:
    """The record with the name, if one is given; one that is on disk already is written again."""
    if not name or record.name == name:
        return record
    record = replace(record, name=name)
    if not is_new:
        log.info("named %r: %s", name, records.write(record, out))
    return record


def _are_same(record: Record, networks: Sequence[Network]) -> bool:
    of_record = [(n["name"], n["weights"], n.get("weights_sha256")) for n in record.nets]
    return of_record == [(n.name, n.weights, n.weights_sha256) for n in networks]
