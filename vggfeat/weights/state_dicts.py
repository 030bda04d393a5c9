"""State dicts in what trainers write: every table of tensors in a file, and the one that fits.

One rule for all: a net lies where its keys are, behind whatever all of them have in front. Two nets
that fit are two parts, and the user chooses by `part=`; a moving average is never taken by itself.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vggfeat.errors import WeightsError
from vggfeat.weights.inert_pickle import StoredTensor, Unknown

USUAL = ("state_dict", "model")  # wrappers that are taken before others
IN_PARALLEL = "module."
# What torch puts between the names of a net's modules: compiled, sharded, recomputed.
INSERTED = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
AVERAGE = re.compile(r"(?:^|[._])(?:ema|swa|shadow|avg|averaged?)(?:[._]|$)", re.IGNORECASE)
MAX_DEPTH, NUM_NAMED = 5, 4
MAX_SEARCHED, LONGEST_KEY = 100_000, 200  # a large net has some thousand tensors

Shape = Sequence[int]
Tables = Mapping[str, Mapping[str, Any]]  # where in the file -> key -> a tensor, read or not


@dataclass(frozen=True)
class Part:
    """The tensors of one net in a file, under keys without what all have in front."""

    table: str  # where in the file, "" for the outermost
    prefix: str  # in front of the keys, such as "module.encoder_q."
    tensors: Mapping[str, Any]
    outside: tuple[str, ...]  # keys of the table that have another prefix
    found: int  # keys of the net that are there with their shape
    fits: bool

    @property
    def names(self) -> list[str]:
        """The names on the way to it."""
        return [name for name in f"{self.table}.{self.prefix}".split(".") if name]

    @property
    def label(self) -> str:
        """Where it lies, in one text."""
        label = ".".join(self.names) or "the outermost table"
        return "".join(c if c.isprintable() else "?" for c in label)


@dataclass(frozen=True)
class Wanted:
    """What a net needs: the shapes of its tensors, which of them matter, and its last layer."""

    shapes: Mapping[str, Shape]
    needs: Callable[[str], bool]
    last_layer: str

    def is_like(self, key: str, tensor: Any) -> bool:
        """Whether a tensor can be the one of this key; the number of outputs is free."""
        shape, wanted = tuple(tensor.shape), tuple(self.shapes[key])
        if self.last_layer and key.rpartition(".")[0] == self.last_layer:
            return len(shape) == len(wanted) and shape[1:] == wanted[1:] and 0 not in shape
        return shape == wanted

    @property
    def kept(self) -> list[str]:
        """The keys that matter to any layer: counts of batches do not."""
        return [key for key in self.shapes if not key.endswith("num_batches_tracked")]

    @property
    def needed(self) -> list[str]:
        """The keys without which the layer cannot be computed."""
        return [key for key in self.kept if self.needs(key)]


def find_tables(values: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Every table of tensors in what a file holds, by the names on the way to it."""
    return dict(_tables("", values, (), _Budget()))


class _Budget:
    """How much of a file is searched: values may hold each other, in circles too."""

    def __init__(self):
        self._left = MAX_SEARCHED

    def allows(self, values: Any) -> bool:
        """Count a value and what it holds; False once it was enough."""
        self._left -= 1 + (len(values) if isinstance(values, Mapping) else 0)
        return self._left >= 0


def _tables(
    label: str, values: Any, within: tuple[int, ...], budget: _Budget
) -> Iterator[tuple[str, dict[str, Any]]]:
    values = values.items if isinstance(values, Unknown) and values.items else values
    if len(within) > MAX_DEPTH or id(values) in within or not budget.allows(values):
        return
    within += (id(values),)
    if isinstance(values, Unknown):  # a whole net, saved as the object that it is
        values = dict(_of_module("", values, budget))
    if not isinstance(values, Mapping):
        return
    named_values = {
        key: value
        for key, value in values.items()
        if isinstance(key, str) and len(key) <= LONGEST_KEY
    }
    if table := {key: value for key, value in named_values.items() if is_tensor(value)}:
        yield label, _without_inserted(table)
    for key, value in named_values.items():
        if isinstance(value, Mapping | Unknown):
            yield from _tables(f"{label}.{key}" if label else key, value, within, budget)


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor, read or not."""
    return isinstance(value, Tensor | StoredTensor)


def _of_module(prefix: str, module: Any, budget: _Budget) -> Iterator[tuple[str, Any]]:
    """The state dict of a net that was pickled as an object."""
    state = module.state if isinstance(module, Unknown) else None
    if not isinstance(state, dict) or len(prefix) > LONGEST_KEY or not budget.allows(state):
        return
    for kind in ("_parameters", "_buffers"):
        tensors = state.get(kind)
        for key, value in tensors.items() if isinstance(tensors, dict) else ():
            if is_tensor(value):
                yield f"{prefix}{key}", value
    modules = state.get("_modules")
    for key, value in modules.items() if isinstance(modules, dict) else ():
        yield from _of_module(f"{prefix}{key}.", value, budget)


def _without_inserted(table: dict[str, Any]) -> dict[str, Any]:
    short = {INSERTED.sub("", key): value for key, value in table.items()}
    return short if len(short) == len(table) else table


def choose(tables: Tables, wanted: Wanted, part: str | None, path: Path) -> tuple[Part, list[Part]]:
    """The part of a file that fits a net, and others that would fit, too.

    Where none fits, it is the one that comes nearest; loading it says what is missing. Raises
    WeightsError if several fit and none is chosen, or if there is no such part.
    """
    usual = _usual(tables, wanted)
    parts = [usual] if usual else []
    for label, table in tables.items():
        for prefix in _prefixes(table, wanted):
            if usual is None or (label, prefix) != (usual.table, usual.prefix):
                parts.append(_part(label, prefix, table, wanted))
    if not tables:
        raise WeightsError(f"{path}: holds no table of named tensors.")
    parts = parts or [_part(label, "", table, wanted) for label, table in tables.items()]
    fitting = [candidate for candidate in parts if candidate.fits]
    if part is not None:
        return _chosen(part, parts, path), []
    if not fitting:
        return max(parts, key=lambda candidate: candidate.found), []
    if usual in fitting:
        chosen = usual
    else:
        plain = [candidate for candidate in fitting if not AVERAGE.search(candidate.label)]
        if len(plain) != 1 and len(fitting) > 1:
            raise WeightsError(
                f"{path}: holds {len(fitting)} nets that fit: {_listed(fitting)}. Choose one with"
                f" part=, such as NET:part={short_names(fitting)[0]}@{path.name}."
            )
        chosen = (plain or fitting)[0]
    return chosen, [candidate for candidate in fitting if candidate is not chosen]


def short_names(parts: Sequence[Part]) -> list[str]:
    """A name for each part by which `part=` finds it: what the others do not have in theirs."""
    names = []
    for candidate in parts:
        others = {n for other in parts if other is not candidate for n in other.names}
        own = [name for name in candidate.names if name not in others and name.isprintable()]
        names.append(own[0] if own else candidate.label)
    return names


def _listed(parts: Sequence[Part]) -> str:
    names = [
        f"part={name}" + ("" if name == part.label else f" ({part.label})")
        for name, part in zip(short_names(parts), parts, strict=True)
    ]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _chosen(name: str, parts: Sequence[Part], path: Path) -> Part:
    """The part that the user names: by all names on the way to it, or some that follow."""
    fitting = [candidate for candidate in parts if candidate.fits]
    for among in (fitting, parts):
        named = [c for c in among if c.label == name]
        named = named or [c for c, short in zip(among, short_names(among), strict=True)
                          if short == name]  # fmt: skip
        named = named or [c for c in among if f".{name}." in f".{c.label}."]
        if len(named) == 1 or (named and among is parts):
            return max(named, key=lambda candidate: candidate.found)
        if named:
            raise WeightsError(f"{path}: part={name} may be each of {_listed(named)}.")
    known = f"Parts that fit the net: {_listed(fitting)}." if fitting else "No part fits the net."
    raise WeightsError(f"{path}: has no part {name!r}. {known}")


def _usual(tables: Tables, wanted: Wanted) -> Part | None:
    """The part that is taken before all others if it fits."""
    label = next((label for label in (*USUAL, "") if label in tables), None)
    if label is None:
        return None
    in_parallel = all(key.startswith(IN_PARALLEL) for key in tables[label])
    return _part(label, IN_PARALLEL if in_parallel else "", tables[label], wanted)


def _prefixes(table: Mapping[str, Any], wanted: Wanted) -> list[str]:
    """What may stand in front of a net's keys in a table, the likeliest first."""
    counts: Counter[str] = Counter()
    for key in table:
        at = -1
        while True:
            if key[at + 1 :] in wanted.shapes:
                counts[key[: at + 1]] += 1
            at = key.find(".", at + 1)
            if at < 0:
                break
    return [prefix for prefix, _ in counts.most_common(16)]


def _part(label: str, prefix: str, table: Mapping[str, Any], wanted: Wanted) -> Part:
    tensors = {k.removeprefix(prefix): v for k, v in table.items() if k.startswith(prefix)}
    fitting = {k for k, v in tensors.items() if k in wanted.shapes and wanted.is_like(k, v)}
    return Part(
        table=label,
        prefix=prefix,
        tensors=tensors,
        outside=tuple(key for key in table if not key.startswith(prefix)),
        found=len(fitting),
        fits=bool(fitting) and all(key in fitting for key in wanted.needed),
    )


def report(
    part: Part, others: Sequence[Part], left_out: Sequence[str], missing: Sequence[str]
) -> str:
    """What was done to a file, for the user; empty if its tensors are the net's as they are."""
    said = []
    if part.names:
        table = f"the tensors of {part.table!r}" if part.table else "the tensors"
        prefix = f", without {part.prefix!r} before their names" if part.prefix else ""
        said.append(f"took {table}{prefix}")
    names = [*part.outside, *left_out]
    if names:
        said.append(f"left out: {named(names)}")
    if missing:
        said.append(f"not in it, and not needed for this layer: {named(missing)}")
    for other, name in zip(others, short_names([*others, part]), strict=False):
        average = "a moving average" if AVERAGE.search(other.label) else "another net"
        said.append(f"{other.label!r} fits, too ({average}): part={name} takes it")
    return "; ".join(said)


def named(keys: Sequence[str]) -> str:
    """The first of some keys, and how many there are."""
    shown = ", ".join(repr(key)[:80] for key in keys[:NUM_NAMED])
    return shown + (f" and {len(keys) - NUM_NAMED} more" if len(keys) > NUM_NAMED else "")
