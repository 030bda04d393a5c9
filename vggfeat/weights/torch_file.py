"""Weights in torch's own files, new (zip) and old (one pickle after the other): tensors, no code.

Pickles are read by inert_pickle.py, which imports and calls nothing. So what trainers write beside
the tensors, such as arguments and schedules, does no harm and is left out.
"""

import mmap
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vggfeat.errors import WeightsError
from vggfeat.storage.files import new_file
from vggfeat.weights import inert_pickle
from vggfeat.weights.checkpoint import Card, named_tensors
from vggfeat.weights.inert_pickle import NotReadable, Storage, StoredTensor

WRITTEN = (".pth", ".pt")
SUFFIXES = (*WRITTEN, ".ckpt", ".bin")
WRAPPERS = ("state_dict", "model")
ZIP = b"PK\x03\x04"  # how files begin
OLD = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
OLD_PROTOCOL = 1001
MAX_PICKLE_BYTES = 2**26
DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}  # fmt: skip
OF_UNTYPED = {name: dtype for name, dtype in vars(torch).items() if isinstance(dtype, torch.dtype)}


def is_torch_file(path: Path) -> bool:
    """Whether a file begins as torch's files do, whatever its name."""
    try:
        with path.open("rb") as file:
            begins = file.read(256)
    except OSError:
        return False
    return begins.startswith(OLD) or (begins.startswith(ZIP) and b"/data.pkl" in begins)


def read(path: Path) -> dict[str, Tensor]:
    """The named tensors of a torch file, bare or as {"state_dict": ...} or {"model": ...}.

    Raises WeightsError if the file is missing, damaged, of another kind, or holds more than
    tensors in that table.
    """
    values = read_values(path)
    wrapped = (values[key] for key in WRAPPERS if isinstance(values.get(key), Mapping))
    table = next(wrapped, values)
    return named_tensors(load(path, table), path)


def read_values(path: Path) -> dict[Any, Any]:
    """What a torch file holds, its tensors as `StoredTensor`, which `load` reads.

    Raises WeightsError if the file is missing, damaged, of another kind, or no dict.
    """
    with _opened(path) as file:
        values = file.values
    if isinstance(values, inert_pickle.Unknown):
        values = {"": values}
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: holds a {type(values).__name__}, not named tensors.")
    return values


def load(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """A table of a file with its tensors read; each storage once. Raises WeightsError."""
    with _opened(path) as file:
        storages: dict[Storage, Tensor] = {}
        return {
            key: file.tensor(value, storages) if isinstance(value, StoredTensor) else value
            for key, value in table.items()
        }


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write tensors, whole or not at all; there is no place for the card."""
    with new_file(path) as file:
        torch.save(dict(tensors), file)


class _File:
    """An opened torch file: its values, and the bytes of its storages."""

    values: Any
    big_endian = False

    def bytes_of(self, storage: Storage) -> Tensor:
        """The bytes that lie under a storage's key."""
        raise NotImplementedError

    def tensor(self, stored: StoredTensor, storages: dict[Storage, Tensor]) -> Tensor:
        """Read a tensor; storages are those read before."""
        storage = stored.storage
        if storage not in storages:
            storages[storage] = self.bytes_of(storage)
        dtype = OF_UNTYPED.get(stored.dtype) if stored.dtype else DTYPES.get(storage.kind)
        if dtype is None:
            kind = stored.dtype or storage.kind
            raise NotReadable(f"it holds numbers of the kind {kind[:40]!r}, which are not known")
        raw = storages[storage]
        numbers = raw[: len(raw) // dtype.itemsize * dtype.itemsize]
        if self.big_endian:
            numbers = numbers.reshape(-1, dtype.itemsize).flip(1).reshape(-1)
        numbers = numbers.view(dtype) if len(numbers) else torch.empty(0, dtype=dtype)
        return numbers.as_strided(stored.shape, stored.stride, storage.first + stored.offset)


class _Zip(_File):
    def __init__(self, archive: zipfile.ZipFile, size: int):
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            # torch.save packs nothing, and a small file could become a large one
            raise WeightsError("refused: it is compressed. Write it again with torch.save.")
        if sum(entry.file_size for entry in entries) > size:
            raise NotReadable("its parts claim more than the file has")
        if not any(entry.CRC for entry in entries):
            for entry in entries:  # written without checksums, which torch can be set to
                del entry.CRC
        self.archive, self.entries = archive, {entry.filename: entry for entry in entries}
        pickles = [name for name in self.entries if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1 or self.entries[pickles[0]].file_size > MAX_PICKLE_BYTES:
            raise NotReadable("it has no table of tensors as torch.save writes one")
        self.folder = pickles[0].removesuffix("data.pkl")
        order = self.folder + "byteorder"
        self.big_endian = order in self.entries and archive.read(order) == b"big"
        self.values = inert_pickle.read(archive.read(pickles[0]))

    def bytes_of(self, storage: Storage) -> Tensor:
        entry = self.entries.get(f"{self.folder}data/{storage.key}")
        if entry is None:
            raise NotReadable("numbers of a tensor are not in it")
        numbers = torch.empty(entry.file_size, dtype=torch.uint8)
        with self.archive.open(entry) as file:  # compares the checksum when all is read
            _fill(numbers.numpy(), file)
        return numbers


class _Old(_File):
    """Files of torch before 1.6: pickles, then each storage as its length and its numbers."""

    def __init__(self, data: mmap.mmap):
        inert_pickle.read(data)  # torch's magic number
        if inert_pickle.read(data) != OLD_PROTOCOL:
            raise NotReadable("it is not of torch's old format")
        system = inert_pickle.read(data)
        self.big_endian = isinstance(system, dict) and system.get("little_endian") is False
        self.kinds: dict[str, str] = {}
        self.values = inert_pickle.read(data, self.kinds)
        keys = inert_pickle.read(data)
        self.data, self.places = data, {}
        at = data.tell()
        for key in keys if isinstance(keys, list) else []:
            length = int.from_bytes(data[at : at + 8], "big" if self.big_endian else "little")
            size = length * self._item_size(str(key))
            at += 8
            if at + size > len(data):
                raise NotReadable("it ends before its tensors do")
            self.places[str(key)] = at, size
            at += size

    def _item_size(self, key: str) -> int:
        kind = self.kinds.get(key, "")
        if kind not in DTYPES:
            raise NotReadable(f"it holds numbers of the kind {kind[:40]!r}, which are not known")
        return DTYPES[kind].itemsize

    def bytes_of(self, storage: Storage) -> Tensor:
        if storage.key not in self.places:
            raise NotReadable("numbers of a tensor are not in it")
        at, size = self.places[storage.key]
        with memoryview(self.data) as view, view[at : at + size] as part:
            return torch.from_numpy(np.frombuffer(part, np.uint8).copy())


def _fill(numbers: np.ndarray, file: Any) -> None:
    view, at = memoryview(numbers), 0
    while at < len(view):
        count = file.readinto(view[at:])
        if not count:
            raise NotReadable("it ends before its tensors do")
        at += count


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")
    try:
        with path.open("rb") as file:
            begins = file.read(len(OLD))
            if begins.startswith(ZIP):
                with zipfile.ZipFile(file) as archive:
                    yield _Zip(archive, path.stat().st_size)
            elif begins == OLD:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    yield _Old(data)
            else:
                raise WeightsError(
                    "refused: it does not begin as torch's files do. Nothing in it was run. Save"
                    " the state_dict with torch.save, or convert it to .safetensors."
                )
    except WeightsError as error:
        message = str(error)
        raise error if str(path) in message else WeightsError(f"{path}: {message}") from error
    except NotReadable as error:
        raise WeightsError(
            f"{path}: not a whole torch file of tensors: {error}. Nothing in it was run. Save the"
            " state_dict alone, or convert it to .safetensors."
        ) from error
    except Exception as error:  # damaged files make zipfile and torch raise almost anything
        raise WeightsError(
            f"{path}: not a whole torch file of tensors ({type(error).__name__})."
        ) from error
