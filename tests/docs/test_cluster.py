"""The sizes on the page of clusters are what its formulas give, and those what the code does."""

import re
from pathlib import Path

import h5py
import numpy as np

from vggfeat.features.shards.index import BUCKET_ROWS, bits_for
from vggfeat.features.store.sums import block_size

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cluster.md").read_text()
NUMBERS = [10**6, 10**7, 10**8, 10**9]
UNITS = {"B": 1, "MB": 1e6, "GB": 1e9, "TB": 1e12, "s": 1, "min": 60, "h": 3600, "": 1}
PICTURE_BYTES, TAR, DIM = 110e3, 10_000, 4096
GPUS, RATE = 32, 1000
ROW_BYTES, INDEX_BYTES = 2 * DIM + 140, 16.2
INDEX_S = 2.4e-6


def cells(name: str) -> list[float]:
    """The row of the table by this name, in bytes, seconds or plain numbers."""
    (line,) = re.findall(rf"^\| {name} \|(.*)\|$", PAGE, re.MULTILINE)
    values = [re.fullmatch(r"([\d.,]+) ?(\w*)", cell.strip()) for cell in line.split("|")]
    return [float(value[1].replace(",", "")) * UNITS[value[2]] for value in values]


def test_the_sizes_are_what_the_formulas_give():
    formulas = {
        "read": PICTURE_BYTES,
        "tars, and shards": 1 / TAR,
        "shards": ROW_BYTES,
        "index": INDEX_BYTES,
        "extraction": 1 / (GPUS * RATE),
        "joining": INDEX_S,
        "requests to the store": 6 / TAR,
    }
    for name, each in formulas.items():
        np.testing.assert_allclose(cells(name), [each * n for n in NUMBERS], rtol=0.03)


def test_the_index_takes_what_is_said():
    """Hash, row, and for each bucket where it begins and its checksum."""
    for n in NUMBERS:
        small = ((1 << bits_for(n)) * 12 + n / TAR * 40) / n
        assert abs(16 + small - INDEX_BYTES) < 0.2
    assert BUCKET_ROWS == 512 and "512 rows" in PAGE
    assert (1 << bits_for(10**9)) * 12 + 10**9 / TAR * 40 < 30e6


def test_a_row_takes_what_is_said(tmp_path):
    """Around the numbers: what HDF5 has for a row of the arrays, and the checksums before them."""
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["ids"] = [f"{number:020d}" for number in range(TAR)]
        file["done"] = np.ones(TAR, bool)
        file["image_size"] = np.ones((TAR, 2), "i4")
        file["file_bytes"] = np.ones(TAR, "i8")
    around = ((tmp_path / "rows.h5").stat().st_size + block_size(TAR)) / TAR
    assert abs(around - 140) < 15
