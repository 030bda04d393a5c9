"""MATLAB's .mat files of versions 5 and 7: elements inside each other, compressed in version 7."""

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

import numpy as np

from vggfeat.weights.matconvnet.mat_values import (
    CLASSES,
    DTYPES,
    Budget,
    Damaged,
    Refused,
    text_rows,
    unread,
)

HEADER_BYTES = 128
SMALL_BYTES = 2**20  # of a part that is no array: dimensions, names
PIECE_BYTES = 2**18  # unpacked at once

_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _SPARSE = 1, 2, 4, 5
_CODE = {3: "object", 16: "function handle", 17: "opaque object", 18: "object"}
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_ENCODINGS = {1: "utf-8", 2: "utf-8", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}


class _Plain:
    """The bytes of a file from where it stands."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.position = 0

    def read(self, count: int) -> np.ndarray:
        buffer = np.empty(count, np.uint8)
        if self._file.readinto(buffer) != count:
            raise Damaged("it ends too early")
        self.position += count
        return buffer

    def skip(self, count: int) -> None:
        self._file.seek(count, 1)
        self.position += count


class _Inflated:
    """The bytes that `count` compressed ones of a file stand for."""

    def __init__(self, file: BinaryIO, count: int):
        self._file, self._num_left = file, count
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
            raise Damaged("a compressed variable is not whole")

    def _pieces(self, count: int) -> Iterator[tuple[int, memoryview]]:
        start = 0
        while start < count:
            self._fill()
            piece = self._ready[: count - start]
            if not piece:
                raise Damaged("a compressed variable ends too early")
            yield start, piece
            self._ready = self._ready[len(piece) :]
            start += len(piece)
            self.position += len(piece)

    def _fill(self) -> None:
        """Have at least one byte ready, unless the end is reached."""
        while not self._ready and not self._inflater.eof:
            compressed = self._inflater.unconsumed_tail
            if not compressed:
                compressed = self._file.read(min(self._num_left, PIECE_BYTES))
                self._num_left -= len(compressed)
            self._ready = memoryview(self._inflater.decompress(compressed, PIECE_BYTES))
            if not (self._ready or compressed):
                return


class Version5:
    """Versions 5 and 7: elements of a tag (kind, count of bytes) and bytes, one inside the other.

    Version 7 has its variables compressed.
    """

    def __init__(self, file: BinaryIO, budget: Budget, order: str):
        self._file, self._budget, self._order = file, budget, order
        self._source: _Plain | _Inflated

    def read(self, names: Collection[str]) -> dict[str, Any]:
        """Name -> value of those of the named variables that the file has."""
        values = {}
        for name, header, end in self._variables():
            if name in names:
                if name in values:
                    raise Damaged(f"it has {name!r} twice")
                values[name] = self._value(*header, end, depth=1)
                self._source.skip(end - self._source.position)
                if isinstance(self._source, _Inflated):
                    self._source.finish()
        return values

    def names(self) -> list[str]:
        """The names of the file's variables."""
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
                raise Damaged("it ends too early")
            if kind == _COMPRESSED:
                self._source = _Inflated(self._file, count)
                kind, count = self._words(2)
            if kind != _MATRIX:
                raise Damaged(f"a variable is of the unknown kind {kind}")
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
                raise Damaged("an element's size is wrong")
            padding = 4 - count
        else:
            (count,) = self._words(1)
            padding = 0 if kind == _MATRIX else -count % 8
        if self._source.position + count + padding > end:
            raise Damaged("an element is larger than what it is a part of")
        return kind, count, padding

    def _small_element(self, end: int) -> tuple[int, bytes]:
        """Kind and bytes of an element that is no array."""
        kind, count, padding = self._tag(end)
        if count > SMALL_BYTES:
            raise Damaged("a name or a shape is too long")
        content = self._source.read(count).tobytes()
        self._source.skip(padding)
        return kind, content

    def _header(self, end: int, *, top: bool) -> tuple[int, int, tuple[int, ...], str]:
        """Class, flags, dimensions and name. Without dimensions where the class is code."""
        _, content = self._small_element(end)
        if len(content) != 8:
            raise Damaged("an array's flags are wrong")
        (flags,) = struct.unpack(f"{self._order}I", content[:4])
        matrix_class = flags & 0xFF
        if matrix_class == 17:  # an opaque object has no dimensions but names
            return matrix_class, flags, (), self._text(end) if top else ""
        _, content = self._small_element(end)
        dims = tuple(np.frombuffer(content, f"{self._order}i4").tolist())
        if not 2 <= len(dims) <= 32 or min(dims) < 0:
            raise Damaged(f"an array has the shape {dims[:32]}")
        return matrix_class, flags, dims, self._text(end)

    def _text(self, end: int) -> str:
        return self._small_element(end)[1].rstrip(b"\0").decode("latin-1")

    def _child(self, end: int, depth: int) -> Any:
        kind, count, _ = self._tag(end)
        if kind != _MATRIX:
            raise Damaged(f"a value is of the unknown kind {kind}")
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
            raise Refused(f"it holds code or objects (a MATLAB {_CODE[matrix_class]})")
        count = math.prod(dims)
        if matrix_class == _CELL:
            self._budget.enter(count, depth)
            return [self._child(end, depth + 1) for _ in range(count)]
        if matrix_class == _STRUCT:
            return self._struct(count, end, depth)
        if matrix_class == _CHAR:
            return self._characters(dims, end)
        if matrix_class not in CLASSES or flags & 0x800:
            odd = "sparse" if matrix_class == _SPARSE else "complex" if flags & 0x800 else "unknown"
            raise Damaged(f"an array is {odd}, which no net has")
        return self._numbers(DTYPES[CLASSES[matrix_class]], dims, end)

    def _struct(self, count: int, end: int, depth: int) -> dict | list[dict]:
        _, content = self._small_element(end)
        (length,) = struct.unpack(f"{self._order}i", content)
        _, content = self._small_element(end)
        if length <= 0 or len(content) % length:
            raise Damaged("a struct's fields are wrong")
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
            raise Damaged(f"a text is of the unknown kind {kind}")
        self._budget.spend(4 * count)
        content = self._source.read(count).tobytes()
        self._source.skip(padding)
        encoding = _ENCODINGS[kind]
        if encoding != "utf-8":
            encoding += "-le" if self._order == "<" else "-be"
        return text_rows(content.decode(encoding, errors="replace"), dims)

    def _numbers(self, dtype: str, dims: tuple[int, ...], end: int) -> np.ndarray:
        kind, count, padding = self._tag(end)
        if kind not in _STORED:
            raise Damaged(f"an array is of the unknown kind {kind}")
        stored = np.dtype(self._order + _STORED[kind])
        if math.prod(dims) * stored.itemsize != count:
            raise Damaged(f"an array of shape {dims} has {count} bytes")
        if count > self._budget.skip_above:
            self._source.skip(count + padding)
            return unread(dtype, dims)
        # MATLAB stores whole numbers in fewer bytes than their class has.
        self._budget.spend(math.prod(dims) * max(stored.itemsize, np.dtype(dtype).itemsize))
        values = self._source.read(count).view(stored)
        self._source.skip(padding)
        return values.astype(dtype, copy=False).reshape(dims, order="F")
