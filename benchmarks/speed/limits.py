"""The machine's limits as contenders: matrix product, memory copy, JPEG decoding."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vggfeat.benchmarks.speed.measuring import Contender

TERA, GIGA, MEGA = 1e12, 1e9, 1e6
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Sides at which the product is fastest, and counts that take long enough to be timed.
SIDE = {"cpu": 3072, "cuda": 8192}
PRODUCTS = {"cpu": 2, "cuda": 64}
COPY_BYTES = 2**28  # far beyond all caches


def matrix_product(precision: str, device: str) -> Contender:
    """Products of square matrices by torch.mm, in TFLOP/s."""
    side, count = SIDE[device], PRODUCTS[device]
    a, b = (torch.randn(side, side, device=device).to(DTYPES[precision]) for _ in range(2))
    result = torch.empty_like(a)

    def run() -> None:
        for _ in range(count):
            torch.mm(a, b, out=result)
        finish(device)

    return Contender(product_name(precision), run, count * 2 * side**3 / TERA, "TFLOP/s")


def product_name(precision: str) -> str:
    """The name of `matrix_product` as a contender."""
    return f"the {precision} matrix product"


def memory_copy() -> Contender:
    """A copy of memory by one core, in GB/s."""
    source, target = np.ones(COPY_BYTES, np.uint8), np.zeros(COPY_BYTES, np.uint8)
    return Contender(
        "the memory copy", lambda: np.copyto(target, source), COPY_BYTES / GIGA, "GB/s"
    )


def jpeg_decoding(paths: Sequence[Path]) -> Contender:
    """Decoding of JPEGs by one core, and nothing else, in pictures/s."""

    def run() -> None:
        for path in paths:
            with Image.open(path) as picture:
                picture.load()

    return Contender("JPEG decoding", run, len(paths), "pictures/s")


def finish(device: str) -> None:
    """Wait until the GPU has computed what is queued on it."""
    if device == "cuda":
        torch.cuda.synchronize()
