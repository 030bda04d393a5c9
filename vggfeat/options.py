"""Options of a measurement, each declared once as a field of a frozen dataclass.

    @dataclass(frozen=True, kw_only=True)
    class VectorOptions(Declared):
        scale_l2: bool = option(False, "Normalise each scale first.", changes=VECTORS, ...)

Everything else follows from the field: the option of the command line (cli/options.py), what is
allowed, what a record's key and protocol hold, the axes of a sweep, the columns of tables and the
lines of a plan.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from vggfeat.errors import OptionError

# What an option changes. Whatever changes numbers is part of a record's key.
DATA = "data"  # which pictures, labels and splits
DESCRIPTORS = "descriptors"  # what is stored
VECTORS = "vectors"  # what the probe gets
PROBE = "probe"  # what is fitted
NOTHING = "nothing"  # how it is computed


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What is known of an option beside its name, type and default."""

    help: str
    changes: str
    choices: Collection[str] = ()
    check: Callable[[Any], None] | None = None  # raises OptionError, where choices do not do
    minimum: float | None = None
    maximum: float | None = None
    because: str = ""  # of the minimum, where it is not obvious
    flag: str = ""  # its name on the command line, if another than the field's
    metavar: str | None = None
    unset: str = ""  # how the command line writes None, such as "auto"
    negatable: bool = True  # a switch has a --no- form
    by_benchmark: bool = False  # each benchmark has a default of its own
    # The values that a sweep tries beside one, that one first; None: it is not swept.
    sweep: Callable[[Any], list] | None = None
    sweep_help: str = ""
    combines_scales: bool = False  # it has no effect where there is one scale
    phrase: Callable[[Any], str] = str  # a value in the line of a plan
    added_later: bool = False  # its default is left out of keys, so that older records are found


def option(default: Any = MISSING, help: str = "", **declaration: Any) -> Any:
    """A dataclass field that declares an option; its keywords are those of Declaration."""
    metadata = {"option": Declaration(help=help, **declaration)}
    return field(default=default, metadata=metadata)


def declarations(options: Any) -> dict[str, Declaration]:
    """Name -> declaration of each option of a dataclass, or of an instance."""
    return {item.name: item.metadata["option"] for item in _declared(options)}


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A dataclass of declared options, which refuses values that are not allowed."""

    def __post_init__(self) -> None:
        """Raise OptionError at a value that is not allowed."""
        for name, declaration in declarations(self).items():
            check_value(declaration.flag or name, declaration, getattr(self, name))

    def key_values(self) -> dict[str, Any]:
        """Name -> value of the options that change numbers, as a record's key has them."""
        return {
            item.name: getattr(self, item.name)
            for item in _declared(self)
            if item.metadata["option"].changes != NOTHING
            and not (
                item.metadata["option"].added_later and getattr(self, item.name) == item.default
            )
        }


def both(first: bool) -> list[bool]:
    """The values of a switch, this one first: for a sweep."""
    return [first, not first]


def others_of(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    """All of these choices, the given one first: for a sweep."""
    return lambda first: [first, *(choice for choice in choices if choice != first)]


def split_by_owner(
    owners: Mapping[str, type[Declared]], values: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Owner -> those of the values that its dataclass declares.

    Raises TypeError at a name that none declares.
    """
    parts = {owner: declarations(options) for owner, options in owners.items()}
    unknown = set(values).difference(*parts.values())
    if unknown:
        raise TypeError(f"no option of a measurement: {', '.join(sorted(unknown))}")
    return {
        owner: {name: value for name, value in values.items() if name in names}
        for owner, names in parts.items()
    }


def _declared(options: Any) -> list[Field]:
    return [item for item in fields(options) if "option" in item.metadata]


def check_value(name: str, declaration: Declaration, value: Any) -> None:
    """Raise OptionError at a value that is not allowed; the message calls the option by name."""
    words = name.replace("_", " ")
    if declaration.choices and value not in declaration.choices:
        raise OptionError(
            f"{words} must be one of {', '.join(declaration.choices)}; got {value!r}."
        )
    if declaration.check:
        declaration.check(value)
    low = -math.inf if declaration.minimum is None else declaration.minimum
    high = math.inf if declaration.maximum is None else declaration.maximum
    for number in value if isinstance(value, tuple) else (value,):
        if number is None or (declaration.minimum is None and declaration.maximum is None):
            continue  # a word, a switch, or "not stated"
        if not low <= number <= high:  # NaN is in no range
            got = list(value) if isinstance(value, tuple) else value
            allowed = f"from {low:g} to {high:g}" if high < math.inf else f"at least {low:g}"
            reason = f", {declaration.because}" if declaration.because else ""
            raise OptionError(f"{words} must be {allowed}{reason}; got {got}.")
