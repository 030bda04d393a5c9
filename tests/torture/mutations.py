"""Mutations of files: of bytes, of texts, of JSON, and of what lies inside containers.

Each takes content and a random.Random, and gives other content; equal seeds give equal content.
"""

import copy
import json
import random
import re
import struct

NUMBERS = (
    "inf", "-inf", "nan", "1e999", "-1", "0", "-0.0", "1e-320", "500.0", "9" * 5000, "1" * 20,
    "0x10", "1_0", "\u0663", "", "1,5", "2147483648", "9223372036854775808", "true",
)  # fmt: skip
VALUES = (
    None, True, False, -1, 0, 1, 2.5, 1e308, 10**400, float("nan"), float("inf"), "", "text",
    "9" * 9, "\x1b[2J", "\ud800", [], {}, [[]], [None], [1, 2], ["a", "b"], {"a": 1}, {"": None},
)  # fmt: skip
BITS = (
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\n\n", b"\t", b" ", b"\x1b[2J",
    b"\0" * 9, "\u202e".encode(), "\u2028".encode(), b"<", b">", b"&lol;", b'"', b",", b"'", b"{",
    b"[" * 2000, b"..", b"/", b"A" * 70_000,
)  # fmt: skip


def of_bytes(content: bytes, rng: random.Random) -> bytes:
    """One to three changes to bytes: flips, extremes, spans cut out, doubled, moved, cut short."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(max(1, len(data)))
        span = min(len(data), at + rng.choice((1, 2, 4, 8, 16, 100, 4096)))
        match rng.randrange(9):
            case 0 | 1 | 2:
                if data:
                    data[at] ^= 1 << rng.randrange(8)
            case 3:
                data[at:span] = rng.randbytes(span - at)
            case 4:
                kind, value = rng.choice((("<I", -1), ("<Q", -1), (">I", -1), ("<I", 1), (">Q", 1)))
                number = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1)) if value < 0 else 2**20
                packed = struct.pack(kind, number)
                data[at : at + len(packed)] = packed
            case 5:
                del data[at:span]
            case 6:
                data[at:at] = data[at:span]
            case 7:
                to = rng.randrange(max(1, len(data)))
                data[to : to + span - at] = data[at:span]
            case 8:
                del data[at if rng.random() < 0.5 else max(0, len(data) - rng.randrange(1, 64)) :]
    return bytes(data)


def of_text(content: bytes, rng: random.Random) -> bytes:
    """A number or word of a text replaced, a line lost or doubled, odd bytes put in."""
    for _ in range(rng.choice((1, 1, 2))):
        match rng.randrange(6):
            case 0 | 1:
                content = _replaced(content, rb"-?\d+(?:\.\d+)?", rng.choice(NUMBERS).encode(), rng)
            case 2:
                words = re.findall(rb"\w+", content) or [b""]
                content = _replaced(content, rb"\w+", rng.choice((*words, b"", b"x" * 300)), rng)
            case 3:
                lines = content.splitlines(keepends=True) or [b""]
                at = rng.randrange(len(lines))
                lines[at : at + 1] = rng.choice(([], lines[at : at + 1] * 2, [rng.choice(lines)]))
                content = b"".join(lines)
            case 4:
                at = rng.randrange(len(content) + 1)
                content = content[:at] + rng.choice(BITS) + content[at:]
            case 5:
                content = of_bytes(content, rng)
    return content


def of_json(content: bytes, rng: random.Random, seal: str = "sha256") -> bytes:
    """A value, or a key, anywhere in JSON, by one of another kind; or the text changed.

    Mostly without the seal, as older files are: none that was changed gets past it.
    """
    if rng.random() < 0.25:
        return of_text(content, rng)
    try:
        values = json.loads(content)  # of some metadata it is none
        if isinstance(values, dict) and rng.random() < 0.8:
            values.pop(seal, None)
        return json.dumps(of_values(values, rng)).encode()
    except (ValueError, RecursionError):
        return of_text(content, rng)


def of_values(values: object, rng: random.Random) -> object:
    """Plain values with one to three of them changed."""
    values = copy.deepcopy(values)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(values))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        match rng.randrange(7):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[f"{key}x"] = holder.pop(key)
            case 2:
                holder[key] = [holder[key]]
            case 3:
                deep: object = holder[key]
                for _ in range(rng.choice((2, 100, 800))):
                    deep = [deep]
                holder[key] = deep
            case _:
                holder[key] = copy.deepcopy(rng.choice(VALUES))
    return values


def of_safetensors(content: bytes, rng: random.Random) -> bytes:
    """The header, the JSON inside its metadata, or any byte."""
    choice = rng.randrange(4)
    if choice == 0:
        return of_bytes(content, rng)
    (length,) = struct.unpack("<Q", content[:8])
    header, tensors = content[8 : 8 + length], content[8 + length :]
    if choice == 1:
        header = of_json(header, rng)
    else:
        values = json.loads(header)
        metadata = values["__metadata__"]
        if rng.random() < 0.8 and metadata.pop("sha256", None):  # as older files are
            for key in metadata:
                metadata[key] = metadata[key].replace('"schema_version": 2', '"schema_version": 1')
        key = rng.choice([key for key in metadata if key != "sha256"])
        metadata[key] = of_json(metadata[key].encode(), rng).decode(errors="replace")
        header = json.dumps(values).encode()
    return struct.pack("<Q", len(header)) + header + tensors


def of_hdf5(content: bytes, rng: random.Random) -> bytes:
    """Any byte; or an attribute or array by one of another kind."""
    if rng.random() < 0.7:
        return of_bytes(content, rng)
    import io

    import h5py
    import numpy as np

    values = (
        np.zeros(3), np.zeros((0, 2)), np.float64("nan"), "text", b"bytes", 5, True, [1, 2],
        np.zeros((2, 2, 2), "int8"), h5py.Empty("f4"), ["a", "b"],
    )  # fmt: skip
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        item = file[rng.choice(("/", *names))]
        if item.attrs and rng.random() < 0.6:
            name = rng.choice(list(item.attrs))
            del item.attrs[name]
            if rng.random() < 0.8:
                item.attrs[name] = rng.choice(values)
        elif names:
            name = rng.choice(names)
            del file[name]
            if rng.random() < 0.8:
                file[name] = rng.choice((*values, h5py.SoftLink("/"), h5py.SoftLink("/nowhere")))
    return buffer.getvalue()


def _replaced(content: bytes, pattern: bytes, new: bytes, rng: random.Random) -> bytes:
    found = [match.span() for match in re.finditer(pattern, content)]
    if not found:
        return content + new
    start, end = rng.choice(found)
    return content[:start] + new + content[end:]


def _places(values: object):
    """(holder, key) of every value inside lists and dicts."""
    if not isinstance(values, dict | list):
        return
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in list(items):
        yield values, key
        if isinstance(value, dict | list):
            yield from _places(value)
