"""Pickles read as data: plain values and where tensors lie; nothing that they name is imported.

A pickle is a list of steps for a small machine. Python's own machine imports and calls whatever a
pickle names; this one knows dicts, lists, tuples, texts, numbers, and the few functions of torch
that describe a tensor. Anything else becomes an `Unknown`, which keeps its name, state and items
and does nothing.
"""

import mmap
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_STEPS = 2_000_000  # some 40 a tensor; each step makes one small value at most
MAX_AXES = 64
Data = bytes | mmap.mmap


class NotReadable(Exception):
    """What of a pickle is not as it should be."""


@dataclass(frozen=True)
class Global:
    """A function or class by its name, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Unknown:
    """An object of a class that is not known: what it was made with, and nothing that it did."""

    of: str
    state: Any = None
    items: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Storage:
    """Numbers in the file; kind names torch's class for them, such as "FloatStorage"."""

    key: str
    kind: str
    first: int = 0  # of a part of what lies under the key


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that has not been read: where its numbers lie, and how they are arranged."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str = ""  # of a storage without a type


def read(data: Data, kinds: dict[str, str] | None = None) -> Any:
    """The value of the pickle that begins where `data` stands; kinds gets that of each storage.

    Raises NotReadable.
    """
    return _Machine({} if kinds is None else kinds).run(data)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *more: Any) -> Any:
    sound = isinstance(storage, Storage) and type(offset) is int
    for numbers in (shape, stride):
        sound = sound and isinstance(numbers, tuple) and len(numbers) <= MAX_AXES
        sound = sound and all(type(n) is int and 0 <= n < 2**62 for n in numbers)
    if not sound or len(shape) != len(stride) or offset < 0:
        raise NotReadable("a tensor is described as none can be")
    dtype = more[2] if len(more) > 2 else None  # after requires_grad and hooks
    return StoredTensor(storage, offset, shape, stride, dtype.name if _is_dtype(dtype) else "")


def _is_dtype(value: Any) -> bool:
    return isinstance(value, Global) and value.module == "torch"


def _first(*arguments: Any) -> Any:
    return arguments[0]


def _of_type(function: Any, _type: Any, arguments: Any, *_state: Any) -> Any:
    """A tensor of a class of its own, as the tensor that it is."""
    if isinstance(function, Global) and isinstance(arguments, tuple):
        return _called(function, arguments)
    return Unknown("torch._tensor._rebuild_from_type_v2")


def _ordered_dict(*arguments: Any) -> dict:
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    result: dict = {}
    for pair in pairs:
        if isinstance(pair, list | tuple) and len(pair) == 2 and _is_key(pair[0]):
            result[pair[0]] = pair[1]
    return result


# What describes tensors and tables of them, by the names that torch gives it.
KNOWN: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": lambda *a: _tensor(*a[:4]),
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch.nn.parameter.Buffer": _first,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.Size": _first,
}


def _called(function: Any, arguments: tuple) -> Any:
    known = KNOWN.get(str(function)) if isinstance(function, Global) else None
    if known is None:
        return Unknown(str(function) if isinstance(function, Global) else "an object")
    try:
        return known(*arguments)
    except (TypeError, IndexError) as error:
        raise NotReadable(f"{function} has other arguments than it takes") from error


def _is_key(value: Any) -> bool:
    """Whether it can be a key; tuples are none, as to hash nested ones may take for ever."""
    return value is None or isinstance(value, str | int | float | bytes)


def _storage(persistent: Any) -> Any:
    if isinstance(persistent, tuple) and len(persistent) >= 5 and persistent[0] == "storage":
        kind, key, view = persistent[1], persistent[2], persistent[5:6]
        if isinstance(kind, Global) and isinstance(key, str | int):
            first = view[0][1] if view and isinstance(view[0], tuple) and len(view[0]) == 3 else 0
            if type(first) is int and first >= 0:
                return Storage(str(key), kind.name, first)
        raise NotReadable("a tensor's numbers are described as none can be")
    return Unknown("a persistent object")


_MARK = object()
# Steps that put their argument on the stack, and that put one value there.
_ARGUMENT = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: Unknown("set"),
    "MARK": lambda: _MARK,
    "NEXT_BUFFER": lambda: Unknown("a buffer"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = {"PROTO", "FRAME", "READONLY_BUFFER"}


class _Machine:
    """Stack and memo of one pickle."""

    def __init__(self, kinds: dict[str, str]):
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.kinds = kinds

    def run(self, data: Data) -> Any:
        try:
            for step, argument in _steps(data):
                if step == "STOP":
                    return self.stack.pop()
                self._do(step, argument)
        except NotReadable:
            raise
        except (
            ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
            UnicodeError, MemoryError, EOFError,
        ) as error:  # fmt: skip
            raise NotReadable(f"its pickle is damaged ({type(error).__name__})") from error
        raise NotReadable("its pickle has no end")

    def _do(self, step: str, argument: Any) -> None:
        if step in _ARGUMENT:
            self.stack.append(argument)
        elif step in _CONSTANTS:
            self.stack.append(_CONSTANTS[step]())
        elif step in _TUPLES:
            count = _TUPLES[step]
            if len(self.stack) < count:
                raise NotReadable("its pickle is damaged (too few values)")
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif step in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = self.stack[-1]
        elif step == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif step in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[int(argument)])
        elif step not in _IGNORED:
            handler = getattr(self, f"_{step.lower()}", None)
            if handler is None:  # among them the extension registry: it is code of this machine
                raise NotReadable(f"its pickle has a step {step}, which none of torch's has")
            handler(argument)

    def _since_mark(self) -> list:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise NotReadable("its pickle is damaged (no mark)")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _dict(self, _: Any) -> None:
        values = self._since_mark()
        self.stack.append({})
        self._set(values)

    def _frozenset(self, _: Any) -> None:
        self._since_mark()
        self.stack.append(Unknown("set"))

    def _additems(self, _: Any) -> None:
        self._since_mark()

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        self._extend([value])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _setitems(self, _: Any) -> None:
        self._set(self._since_mark())

    def _set(self, values: list) -> None:
        holder = self.stack[-1]
        items = holder.items if isinstance(holder, Unknown) else holder
        if isinstance(items, dict):
            for key, value in zip(values[::2], values[1::2], strict=True):
                if _is_key(key):
                    items[key] = value

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Global(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise NotReadable("its pickle names a function by no text")
        self.stack.append(Global(module, name))

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, tuple):
            raise NotReadable("its pickle is damaged (arguments)")
        self.stack.append(_called(function, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()
        self._reduce(None)

    def _inst(self, argument: str) -> None:
        self._since_mark()
        self.stack.append(Unknown(argument.replace(" ", ".")))

    def _obj(self, _: Any) -> None:
        values = self._since_mark()
        self.stack.append(_called(values[0], tuple(values[1:])))

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Unknown):
            self.stack[-1].state = state

    def _binpersid(self, _: Any) -> None:
        storage = _storage(self.stack.pop())
        if isinstance(storage, Storage):
            self.kinds[storage.key] = storage.kind
        self.stack.append(storage)


def _steps(data: Data) -> Iterator[tuple[str, Any]]:
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if number >= MAX_STEPS:
            raise NotReadable(f"its pickle has more than {MAX_STEPS} steps")
        yield opcode.name, argument
