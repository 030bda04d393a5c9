"""MATLAB's .mat files of versions 5, 7 and 7.3 -> plain Python.

struct -> dict (an array of structs: list of dicts), cell -> list in MATLAB's order (columns first),
char -> str, numbers -> numpy arrays of MATLAB's shape, index order and class.

Nothing in a file is executed, and what is code or an object is refused. A version 5 or 7 file is
read here rather than by scipy, whose reader loads a variable as a whole, allocates what a header
claims, and ends the process where cells lie a hundred thousand deep. Version 7.3 is HDF5.
"""

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from vggfeat.errors import WeightsError

HEADER_BYTES = 128
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSETS = (0, 512)  # MATLAB puts its own header before HDF5's
MAX_DEPTH = 16  # of cells and structs; a net has four
MAX_NODES = 100_000  # values in all; a net of the family has some thousands
# What may be unpacked: deflate and HDF5's fill values let a small file claim a large array. Weights
# hardly shrink; a net that is zero throughout does, and is small enough.
MAX_UNPACKED_BYTES, MAX_GROWTH = 2**30, 32
SMALL_BYTES = 2**20  # of a part that is no array: dimensions, names
PIECE_BYTES = 2**18  # unpacked at once

_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _SPARSE = 1, 2, 4, 5
_CODE = {3: "object", 16: "function handle", 17: "opaque object", 18: "object"}
_CLASSES = {
    6: "double", 7: "single", 8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32",
    13: "uint32", 14: "int64", 15: "uint64",
}  # fmt: skip
_DTYPES = {name: name for name in _CLASSES.values()} | {"single": "float32", "double": "float64"}
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_ENCODINGS = {1: "utf-8", 2: "utf-8", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}


class _Damaged(Exception):
    """What of a file is not as it should be; `_explained` adds the file's name."""


class _Refused(Exception):
    """What in a file is left alone for safety."""


def read(
    path: Path, names: Collection[str], *, skip_above: int | None = None
) -> dict[str, dict | list | str | np.ndarray]:
    """Those of the named variables that the file has; the others are not looked at.

    Arrays of more than skip_above bytes are not read: zeros of their shape, which take no memory,
    stand for them. Raises WeightsError if the file is missing, damaged, no .mat file of these
    versions, or holds code or objects among what is read.
    """
    with _opened(path, skip_above) as file:
        return file.read(names)


def variables(path: Path) -> list[str]:
    """The names of a file's variables. Raises WeightsError."""
    with _opened(path, None) as file:
        return file.names()


@contextmanager
def _opened(path: Path, skip_above: int | None) -> Iterator["_Version5 | _Version73"]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")
    with _explained(path), path.open("rb") as file:
        budget = _Budget(path.stat().st_size, skip_above)
        header = file.read(HEADER_BYTES)
        for offset in HDF5_OFFSETS:
            file.seek(offset)
            if file.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
                with h5py.File(path, "r") as opened:
                    yield _Version73(opened, budget)
                return
        if header[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
            raise _Damaged("it does not begin as version 5, 7 or 7.3 does")
        yield _Version5(file, budget, "<" if header[126:128] == b"IM" else ">")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except WeightsError:
        raise
    except _Refused as error:
        raise WeightsError(
            f"{path}: refused: {_in_one_line(error)}. Nothing in it was run. Save"
            " the net's numbers, texts, structs and cells alone."
        ) from error
    except _Damaged as error:
        raise WeightsError(
            f"{path}: cannot be read as a MATLAB file: {_in_one_line(error)}. Get it again, or"
            " save it with -v7."
        ) from error
    except Exception as error:  # damaged files make zlib, numpy and h5py raise almost anything
        reason = f"{type(error).__name__}: {_in_one_line(error)}"
        raise WeightsError(
            f"{path}: cannot be read as a MATLAB file ({reason}). Get it again, or save"
            " it with -v7."
        ) from error


def _in_one_line(error: Exception) -> str:
    """Its text, which may hold names from the file, and those anything."""
    return "".join(c if c.isprintable() else " " for c in str(error))[:300]


class _Budget:
    """What a file of this size may claim."""

    def __init__(self, size: int, skip_above: int | None):
        self.size = size
        self.skip_above = math.inf if skip_above is None else skip_above
        self._bytes = max(MAX_UNPACKED_BYTES, MAX_GROWTH * size)
        self._nodes = MAX_NODES

    def spend(self, count: int) -> None:
        self._bytes -= count
        if self._bytes < 0:
            raise _Damaged(f"it claims more than its {self.size} bytes can mean")

    def enter(self, count: int, depth: int) -> None:
        """Count the values of a cell or struct that lies `depth` deep."""
        self._nodes -= max(1, count)
        if self._nodes < 0:
            raise _Damaged(f"it claims more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise _Damaged(f"its cells and structs lie more than {MAX_DEPTH} deep")


class _Plain:
    """The bytes of a file from where it stands."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.position = 0

    def read(self, count: int) -> np.ndarray:
        buffer = np.empty(count, np.uint8)
        if self._file.readinto(buffer) != count:
            raise _Damaged("it ends too early")
        self.position += count
        return buffer

    def skip(self, count: int) -> None:
        self._file.seek(count, 1)
        self.position += count


class _Inflated:
    """The bytes that `count` compressed ones of a file stand for."""

    def __init__(self, file: BinaryIO, count: int):
        self._file, self._left = file, count
        self._inflater = zlib.decompressobj()
        self._ready = memoryview(b"")
        self.position = 0

    def read(self, count: int) -> np.ndarray:
        buffer = np.empty(count, np.uint8)
        for start, piece in self._pieces(count):
            buffer[start : start + len(piece)] = piece
        return buffer

    def skip(self, count: int) -> None:
        for _ in self._pieces(count):
            pass

    def finish(self) -> None:
        """See that the compressed bytes are whole, their checksum included, and no more came."""
        self._fill()
        if self._ready or not self._inflater.eof:
            raise _Damaged("a compressed variable is not whole")

    def _pieces(self, count: int) -> Iterator[tuple[int, memoryview]]:
        start = 0
        while start < count:
            self._fill()
            piece = self._ready[: count - start]
            if not piece:
                raise _Damaged("a compressed variable ends too early")
            yield start, piece
            self._ready = self._ready[len(piece) :]
            start += len(piece)
            self.position += len(piece)

    def _fill(self) -> None:
        """Have at least one byte ready, unless the end is reached."""
        while not self._ready and not self._inflater.eof:
            compressed = self._inflater.unconsumed_tail
            if not compressed:
                compressed = self._file.read(min(self._left, PIECE_BYTES))
                self._left -= len(compressed)
            self._ready = memoryview(self._inflater.decompress(compressed, PIECE_BYTES))
            if not (self._ready or compressed):
                return


class _Version5:
    """Versions 5 and 7: elements of a tag (kind, count of bytes) and bytes, one inside the other.

    Version 7 has its variables compressed.
    """

    def __init__(self, file: BinaryIO, budget: _Budget, order: str):
        self._file, self._budget, self._order = file, budget, order
        self._source: _Plain | _Inflated

    def read(self, names: Collection[str]) -> dict[str, Any]:
        found = {}
        for name, header, end in self._variables():
            if name in names:
                if name in found:
                    raise _Damaged(f"it has {name!r} twice")
                found[name] = self._value(*header, end, depth=1)
                self._source.skip(end - self._source.position)
                if isinstance(self._source, _Inflated):
                    self._source.finish()
        return found

    def names(self) -> list[str]:
        return [name for name, _, _ in self._variables() if name]

    def _variables(self) -> Iterator[tuple[str, tuple[int, int, tuple[int, ...]], int]]:
        """Name, (class, flags, dimensions) and end; the source stands where the value begins."""
        position = HEADER_BYTES
        while position < self._budget.size:
            self._file.seek(position)
            self._source = _Plain(self._file)
            kind, count = self._words(2)
            position += 8 + count
            if position > self._budget.size:
                raise _Damaged("it ends too early")
            if kind == _COMPRESSED:
                self._source = _Inflated(self._file, count)
                kind, count = self._words(2)
            if kind != _MATRIX:
                raise _Damaged(f"a variable is of the unknown kind {kind}")
            end = self._source.position + count
            matrix_class, flags, dims, name = self._header(end, top=True)
            yield name, (matrix_class, flags, dims), end

    def _words(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"{self._order}{count}I", self._source.read(4 * count))

    def _tag(self, end: int) -> tuple[int, int, int]:
        """Kind, bytes and padding of the next element; its bytes follow in the source."""
        (first,) = self._words(1)
        kind, count = first & 0xFFFF, first >> 16
        if count:  # a small element: everything in 8 bytes
            if count > 4:
                raise _Damaged("an element's size is wrong")
            padding = 4 - count
        else:
            (count,) = self._words(1)
            padding = 0 if kind == _MATRIX else -count % 8
        if self._source.position + count + padding > end:
            raise _Damaged("an element is larger than what it is a part of")
        return kind, count, padding

    def _part(self, end: int) -> tuple[int, bytes]:
        """Kind and bytes of an element that is no array."""
        kind, count, padding = self._tag(end)
        if count > SMALL_BYTES:
            raise _Damaged("a name or a shape is too long")
        content = self._source.read(count).tobytes()
        self._source.skip(padding)
        return kind, content

    def _header(self, end: int, *, top: bool) -> tuple[int, int, tuple[int, ...], str]:
        """Class, flags, dimensions and name. Without dimensions where the class is code."""
        _, content = self._part(end)
        if len(content) != 8:
            raise _Damaged("an array's flags are wrong")
        (flags,) = struct.unpack(f"{self._order}I", content[:4])
        matrix_class = flags & 0xFF
        if matrix_class == 17:  # an opaque object has no dimensions but names
            return matrix_class, flags, (), self._text(end) if top else ""
        _, content = self._part(end)
        dims = tuple(np.frombuffer(content, f"{self._order}i4").tolist())
        if not 2 <= len(dims) <= 32 or min(dims) < 0:
            raise _Damaged(f"an array has the shape {dims[:32]}")
        return matrix_class, flags, dims, self._text(end)

    def _text(self, end: int) -> str:
        return self._part(end)[1].rstrip(b"\0").decode("latin-1")

    def _child(self, end: int, depth: int) -> Any:
        kind, count, _ = self._tag(end)
        if kind != _MATRIX:
            raise _Damaged(f"a value is of the unknown kind {kind}")
        if not count:
            return np.empty((0, 0))
        child_end = self._source.position + count
        matrix_class, flags, dims, _ = self._header(child_end, top=False)
        value = self._value(matrix_class, flags, dims, child_end, depth)
        self._source.skip(child_end - self._source.position)
        return value

    def _value(
        self, matrix_class: int, flags: int, dims: tuple[int, ...], end: int, depth: int
    ) -> Any:
        if matrix_class in _CODE:
            raise _Refused(f"it holds code or objects (a MATLAB {_CODE[matrix_class]})")
        count = math.prod(dims)
        if matrix_class == _CELL:
            self._budget.enter(count, depth)
            return [self._child(end, depth + 1) for _ in range(count)]
        if matrix_class == _STRUCT:
            return self._struct(count, end, depth)
        if matrix_class == _CHAR:
            return self._characters(dims, end)
        if matrix_class not in _CLASSES or flags & 0x800:
            odd = "sparse" if matrix_class == _SPARSE else "complex" if flags & 0x800 else "unknown"
            raise _Damaged(f"an array is {odd}, which no net has")
        return self._numbers(_DTYPES[_CLASSES[matrix_class]], dims, end)

    def _struct(self, count: int, end: int, depth: int) -> dict | list[dict]:
        _, content = self._part(end)
        (length,) = struct.unpack(f"{self._order}i", content)
        _, content = self._part(end)
        if length <= 0 or len(content) % length:
            raise _Damaged("a struct's fields are wrong")
        fields = [
            content[start : start + length].partition(b"\0")[0].decode("latin-1")
            for start in range(0, len(content), length)
        ]
        self._budget.enter(count * max(1, len(fields)), depth)
        structs = [{field: self._child(end, depth + 1) for field in fields} for _ in range(count)]
        return structs[0] if count == 1 else structs

    def _characters(self, dims: tuple[int, ...], end: int) -> str:
        if not math.prod(dims):
            return ""
        kind, count, padding = self._tag(end)
        if kind not in _ENCODINGS:
            raise _Damaged(f"a text is of the unknown kind {kind}")
        self._budget.spend(4 * count)
        content = self._source.read(count).tobytes()
        self._source.skip(padding)
        encoding = _ENCODINGS[kind]
        if encoding != "utf-8":
            encoding += "-le" if self._order == "<" else "-be"
        return _rows(content.decode(encoding, errors="replace"), dims)

    def _numbers(self, dtype: str, dims: tuple[int, ...], end: int) -> np.ndarray:
        kind, count, padding = self._tag(end)
        if kind not in _STORED:
            raise _Damaged(f"an array is of the unknown kind {kind}")
        stored = np.dtype(self._order + _STORED[kind])
        if math.prod(dims) * stored.itemsize != count:
            raise _Damaged(f"an array of shape {dims} has {count} bytes")
        if count > self._budget.skip_above:
            self._source.skip(count + padding)
            return _unread(dtype, dims)
        # MATLAB stores whole numbers in fewer bytes than their class has.
        self._budget.spend(math.prod(dims) * max(stored.itemsize, np.dtype(dtype).itemsize))
        values = self._source.read(count).view(stored)
        self._source.skip(padding)
        return values.astype(dtype, copy=False).reshape(dims, order="F")


class _Version73:
    """Version 7.3, HDF5: structs are groups, cells are arrays of references, the attribute
    MATLAB_class tells the rest; arrays are stored with their axes reversed."""

    def __init__(self, file: h5py.File, budget: _Budget):
        self._file, self._budget = file, budget

    def read(self, names: Collection[str]) -> dict[str, Any]:
        return {
            name: self._value(self._member(self._file, name), name, depth=1)
            for name in names
            if self._file.id.links.exists(name.encode())
        }

    def names(self) -> list[str]:
        self._budget.enter(len(self._file), depth=1)
        return [name for name in self._file if not name.startswith("#")]

    def _member(self, group: h5py.Group, name: str) -> h5py.Dataset | h5py.Group:
        # h5py's own `in` and `get` look where a link leads.
        if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise _Refused(f"{name!r} is a link to elsewhere, which is not followed")
        return group[name]

    def _value(self, item: Any, name: str, depth: int) -> Any:
        matrix_class = item.attrs.get("MATLAB_class", b"")
        if isinstance(matrix_class, bytes):
            matrix_class = matrix_class.decode("latin-1")
        known = {"", "cell", "struct", "char", "logical", *_DTYPES}
        if "MATLAB_object_decode" in item.attrs or matrix_class not in known:
            raise _Refused(f"it holds code or objects ({name!r} is a MATLAB {matrix_class})")
        if "MATLAB_sparse" in item.attrs:
            raise _Damaged(f"{name!r} is sparse, which no net has")
        if not matrix_class:
            raise _Damaged(f"{name!r} is not by MATLAB's rules (it has no MATLAB_class)")
        if isinstance(item, h5py.Group) and matrix_class == "struct":
            return self._struct(item, depth)
        if not isinstance(item, h5py.Dataset):
            raise _Damaged(f"{name!r} is a {matrix_class}, and no array")
        if item.attrs.get("MATLAB_empty", 0):
            self._budget.enter(1, depth)
            empty = {"cell": [], "struct": [], "char": ""}
            return empty.get(matrix_class, np.empty((0, 0), _DTYPES.get(matrix_class, "bool")))
        if matrix_class == "cell":
            return self._cells(item, name, depth)
        return self._array(item, name, matrix_class)

    def _struct(self, group: h5py.Group, depth: int) -> dict | list[dict]:
        self._budget.enter(len(group), depth)
        found, several = {}, False
        for name in group:
            item = self._member(group, name)
            # The fields of an array of structs are arrays of references without a class.
            if isinstance(item, h5py.Dataset) and "MATLAB_class" not in item.attrs:
                found[name], several = self._cells(item, name, depth), True
            else:
                found[name] = self._value(item, name, depth + 1)
        if not several:
            return found
        if len({len(v) if isinstance(v, list) else -1 for v in found.values()}) > 1:
            raise _Damaged("an array of structs has fields of several lengths")
        return [
            dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)
        ]

    def _cells(self, dataset: h5py.Dataset, name: str, depth: int) -> list:
        if h5py.check_ref_dtype(dataset.dtype) is not h5py.Reference:
            raise _Damaged(f"the cells of {name!r} are no references")
        self._budget.enter(dataset.size, depth)
        self._check(dataset, name)
        references = dataset[()].ravel()  # reversed axes: columns first already
        if not all(references):
            raise _Damaged(f"a cell of {name!r} is nowhere")
        return [self._value(self._file[cell], name, depth + 1) for cell in references]

    def _array(self, dataset: h5py.Dataset, name: str, matrix_class: str) -> str | np.ndarray:
        dtype = dataset.dtype
        if dtype.kind not in "iufb":
            raise _Damaged(f"{name!r} is of {dtype}, which no net has")
        dims = dataset.shape[::-1]
        if matrix_class == "char":
            if dtype.itemsize > 2 or dtype.kind != "u":
                raise _Damaged(f"the text {name!r} is of {dtype}")
            self._check(dataset, name)
            content = dataset[()].astype("<u2").tobytes()  # as stored: columns first
            return _rows(content.decode("utf-16-le", errors="replace"), dims)
        wanted = _DTYPES.get(matrix_class, "bool")
        if dataset.size * dtype.itemsize > self._budget.skip_above:
            self._check_place(dataset, name)
            return _unread(wanted, dims)
        self._check(dataset, name)
        return dataset[()].T.astype(wanted, copy=False)

    def _check(self, dataset: h5py.Dataset, name: str) -> None:
        """Before it is read: it lies in this file, and is no larger than that allows."""
        self._check_place(dataset, name)
        chunk = math.prod(dataset.chunks or ())  # HDF5 unpacks whole ones
        self._budget.spend(max(dataset.size, chunk) * dataset.dtype.itemsize)

    def _check_place(self, dataset: h5py.Dataset, name: str) -> None:
        if dataset.is_virtual or dataset.external:
            raise _Refused(f"{name!r} lies in another file, which is not followed")


def _unread(dtype: str, dims: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.zeros((), dtype), dims)


def _rows(text: str, dims: tuple[int, ...]) -> str:
    """A char array as text; its rows, which lie column by column, become lines."""
    if dims[0] == 1 or math.prod(dims) != len(text):
        return text
    return "\n".join(text[row :: dims[0]] for row in range(dims[0]))
