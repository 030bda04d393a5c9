"""A .caffemodel as bytes: which layers it holds and where their arrays lie, and the way back.

A file is one protobuf message, NetParameter > layer > blobs > data. The arrays are skipped by
seeking and read one by one into the memory that keeps them; all else is small and parsed by the
protobuf library. No length is believed before it is compared with what the file holds.

Offsets and lengths are in bytes; arrays are little-endian.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from vggfeat.errors import WeightsError
from vggfeat.weights.caffe.schema import BlobProto, LayerParameter, NetParameter, V1LayerParameter

# Field numbers.
LAYERS, LAYER = 2, 100  # of NetParameter: old and current
BLOBS = {LAYERS: 6, LAYER: 7}  # of the layers
DATA, DOUBLE_DATA = 5, 8  # of BlobProto

LEGACY_AXES = ("num", "channels", "height", "width")  # of a BlobProto without a shape
FLOAT, DOUBLE = "<f4", "<f8"

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_AXES = 4
MAX_SMALL = 2**20  # bytes of a message beside its arrays; real ones take hundreds
MAX_NAME = 200
MAX_FILE = 2**31 - 1  # bytes of a protobuf message, for Caffe as for everyone
PIECE = 2**20  # double values converted at a time


@dataclass(frozen=True)
class Blob:
    """An array in a file: its shape as stated, and where its values lie."""

    shape: tuple[int, ...]
    offset: int
    dtype: str  # numpy's


@dataclass(frozen=True)
class Layer:
    """parameters is its message, without blobs."""

    name: str
    parameters: Any  # LayerParameter or V1LayerParameter
    blobs: tuple[Blob, ...]


@dataclass(frozen=True)
class Net:
    """What a file says of itself. messages names the generation of its layers."""

    name: str
    messages: str
    layers: tuple[Layer, ...]


class _Field(NamedTuple):
    number: int
    wire: int
    tag: int  # where its tag begins
    start: int  # where its value begins
    end: int


def read_net(path: Path) -> Net:
    """The layers of a .caffemodel without their arrays. Raises WeightsError."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")
    try:
        with path.open("rb") as file:
            return _Reader(file, path).net()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from error


def read_arrays(path: Path, blobs: Iterable[tuple[Blob, Sequence[int]]]) -> Iterator[Tensor]:
    """The values of each blob as float32 of the shape beside it, which has as many."""
    try:
        with path.open("rb") as file:
            for blob, shape in blobs:
                yield _read_array(file, blob, shape, path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from error


def _read_array(file: BinaryIO, blob: Blob, shape: Sequence[int], path: Path) -> Tensor:
    values = torch.empty(tuple(shape), dtype=torch.float32, device="cpu")
    flat = values.view(-1).numpy()
    file.seek(blob.offset)
    plain = blob.dtype == FLOAT
    step = len(flat) if plain else PIECE
    for begin in range(0, len(flat), step):
        piece = flat[begin : begin + step]
        raw = piece if plain else np.empty(len(piece), blob.dtype)
        if file.readinto(raw.view(np.uint8)) != raw.nbytes:
            raise WeightsError(f"{path}: became shorter while it was read. Read it again.")
        if not plain:
            with np.errstate(over="ignore"):  # becomes infinite, which loading refuses
                piece[:] = raw
    return values


def write_net(
    file: BinaryIO, head: Any, layers: Sequence[tuple[Any, Sequence[Tensor]]], path: Path
) -> None:
    """A NetParameter: head, and each LayerParameter with its blobs. Raises WeightsError."""
    framed = []  # of each layer: its bytes before the arrays, and of each blob likewise
    total = head.ByteSize()
    for parameters, blobs in layers:
        small = parameters.SerializeToString()
        starts = [_blob_start(blob) for blob in blobs]
        lengths = [len(start) + 4 * blob.numel() for start, blob in zip(starts, blobs, strict=True)]
        starts = [
            _tag(BLOBS[LAYER], length) + start
            for start, length in zip(starts, lengths, strict=True)
        ]
        length = len(small) + sum(map(len, starts)) + sum(4 * blob.numel() for blob in blobs)
        begin = _tag(LAYER, length) + small
        total += len(begin) - len(small) + length
        framed.append((begin, starts))
    if total > MAX_FILE:
        raise WeightsError(
            f"{path}: would take {total} bytes, and Caffe reads at most {MAX_FILE}. Choose a"
            " narrower net."
        )
    file.write(head.SerializeToString())
    for (begin, starts), (_, blobs) in zip(framed, layers, strict=True):
        file.write(begin)
        for start, blob in zip(starts, blobs, strict=True):
            file.write(start)
            plain = blob.detach().to("cpu", torch.float32).contiguous()
            file.write(memoryview(plain.view(-1).numpy()).cast("B"))


def _blob_start(blob: Tensor) -> bytes:
    """A BlobProto up to its values."""
    shape = BlobProto()
    shape.shape.dim.extend(blob.shape)
    return shape.SerializeToString() + _tag(DATA, 4 * blob.numel())


def _tag(number: int, length: int) -> bytes:
    return _varint(number << 3 | LENGTH) + _varint(length)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class _Reader:
    """Walks the messages of one open file."""

    def __init__(self, file: BinaryIO, path: Path):
        self.file, self.path = file, path
        self.size = file.seek(0, 2)

    def net(self) -> Net:
        if not self.size:
            raise self._none("it is empty")
        layer_fields: list[tuple[int, _Field]] = []

        def keep(field: _Field) -> bool:
            if field.number in BLOBS:
                layer_fields.append((field.number, field))
            return field.number in BLOBS

        head = self._parsed(NetParameter, 0, self.size, keep)
        numbers = {number for number, _ in layer_fields}
        if len(numbers) != 1:
            raise self._none(
                "its layers are of two generations" if numbers else "it holds no layers"
            )
        (number,) = numbers
        message = LayerParameter if number == LAYER else V1LayerParameter
        layers = tuple(self._layer(message, BLOBS[number], field) for _, field in layer_fields)
        return Net(self._text(head.name), message.DESCRIPTOR.name, layers)

    def _layer(self, message: type, blobs: int, whole: _Field) -> Layer:
        self._check_length(whole)
        blob_fields: list[_Field] = []

        def keep(field: _Field) -> bool:
            if field.number == blobs:
                blob_fields.append(field)
            return field.number == blobs

        parameters = self._parsed(message, whole.start, whole.end, keep)
        if message is V1LayerParameter and parameters.HasField("layer"):
            raise WeightsError(
                f"{self.path}: its layers are V0LayerParameter, the oldest kind. Caffe's"
                " upgrade_net_proto_binary makes a file of it that can be read."
            )
        name = self._text(parameters.name)
        for text in (*parameters.bottom, *parameters.top):
            self._text(text)
        if message is LayerParameter:
            self._text(parameters.type)
        return Layer(name, parameters, tuple(self._blob(field, name) for field in blob_fields))

    def _blob(self, whole: _Field, layer: str) -> Blob:
        self._check_length(whole)
        arrays: list[_Field] = []

        def keep(field: _Field) -> bool:
            is_data = field.number in (DATA, DOUBLE_DATA)
            if is_data and field.wire != LENGTH:
                raise WeightsError(
                    f"{self.path}: {layer} holds values that are not packed; Caffe packs them."
                )
            if is_data:
                arrays.append(field)
            return is_data

        blob = self._parsed(BlobProto, whole.start, whole.end, keep)
        if len(arrays) != 1:
            raise WeightsError(
                f"{self.path}: {layer} has a blob with {len(arrays)} arrays, and one is allowed."
            )
        shape = tuple(blob.shape.dim)
        if any(blob.HasField(axis) for axis in LEGACY_AXES):
            legacy = tuple(getattr(blob, axis) for axis in LEGACY_AXES)
            if shape and (1,) * (MAX_AXES - len(shape)) + shape != legacy:
                raise WeightsError(f"{self.path}: {layer} has a blob with two shapes.")
            shape = legacy
        stated = "x".join(map(str, shape[: MAX_AXES + 1])) or "no sides"
        if not 0 < len(shape) <= MAX_AXES or min(shape) < 1:
            raise WeightsError(f"{self.path}: {layer} has a blob of {stated}.")
        dtype = FLOAT if arrays[0].number == DATA else DOUBLE
        needs = math.prod(shape) * np.dtype(dtype).itemsize
        holds = arrays[0].end - arrays[0].start
        if needs != holds:
            raise WeightsError(
                f"{self.path}: {layer} has a blob of {stated}, which takes {needs} bytes, and holds"
                f" {holds}."
            )
        return Blob(shape, arrays[0].start, dtype)

    def _parsed(self, message: type, start: int, end: int, keep: Callable[[_Field], bool]) -> Any:
        """The message there, without the fields that `keep` takes."""
        declared = message.DESCRIPTOR.fields_by_number
        content = bytearray()
        for field in self._fields(start, end):
            if keep(field) or field.number not in declared:
                continue
            if len(content) + field.end - field.tag > MAX_SMALL:
                raise self._none(
                    f"{message.DESCRIPTOR.name} has more than {MAX_SMALL} bytes beside its arrays"
                )
            self.file.seek(field.tag)
            content += self.file.read(field.end - field.tag)
        parsed = message()
        try:
            parsed.ParseFromString(bytes(content))
        except DecodeError as error:
            raise self._none(f"{message.DESCRIPTOR.name} at byte {start} is damaged") from error
        return parsed

    def _fields(self, start: int, end: int) -> Iterator[_Field]:
        position = start
        while position < end:
            key, begin = self._varint(position, end)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                after = self._varint(begin, end)[1]
            elif wire == LENGTH:
                length, begin = self._varint(begin, end)
                after = begin + length
            elif wire in (FIXED64, FIXED32):
                after = begin + (8 if wire == FIXED64 else 4)
            else:
                raise self._none(f"byte {position} begins no field")
            if not 0 < number < 2**29:
                raise self._none(f"byte {position} begins no field")
            if after > end:
                raise self._none(
                    f"the field at byte {position} would go on to byte {after}, past the end of"
                    f" what holds it at {end}"
                )
            yield _Field(number, wire, position, begin, after)
            position = after

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """A number of at most ten bytes, and where it ends."""
        self.file.seek(position)
        value = 0
        for i, byte in enumerate(self.file.read(min(10, end - position))):
            value |= (byte & 127) << 7 * i
            if byte < 128:
                return value, position + i + 1
        raise self._none(f"the number at byte {position} has no end")

    def _check_length(self, field: _Field) -> None:
        if field.wire != LENGTH:
            raise self._none(f"byte {field.tag} begins no message")

    def _text(self, value: str | bytes) -> str:
        """A name, which messages may repeat. What is not UTF-8 comes as bytes."""
        if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_NAME:
            raise self._none(f"{value[:20]!r} is not a name")
        return value

    def _none(self, reason: str) -> WeightsError:
        return WeightsError(
            f"{self.path}: not a whole .caffemodel: {reason}. Fetch or write it again."
        )
