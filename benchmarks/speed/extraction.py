"""Descriptors of VGG-16 at three scales, mirrored too: `extract` beside the usual way."""

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import torchvision
from torch import nn

from vggfeat.backbones.load import load_network
from vggfeat.backbones.network import Network
from vggfeat.benchmarks.speed.limits import TERA, jpeg_decoding, matrix_product, product_name
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Row,
    Setup,
    SpeedResult,
    Spread,
    Timings,
    cuda_only_row,
    peak_bytes,
    share_row,
    speed_row,
    time_interleaved,
)
from vggfeat.benchmarks.speed.usual import NAME as USUAL
from vggfeat.benchmarks.speed.usual import UsualWay
from vggfeat.costs import flops
from vggfeat.costs.photographs import write_photographs
from vggfeat.features import store
from vggfeat.features.extract import Extracted, extract
from vggfeat.features.options import Extraction
from vggfeat.images import picture_size

NUM_PICTURES = {"cpu": 8, "cuda": 512}
NUM_BF16 = {"cpu": 8, "cuda": 2048}  # on a GPU seconds, of which the first batch is a small part
FASTER = Goal(4, of="ratio")
NEAR = Goal(1e-4, "at most")
GPU_SHARE = Goal(0.6)
BOUNDED = Goal(1.1, "at most")
MEMORY_NET = "vgg16:width=0.125@random:0"  # small, so that the memory of pictures shows
MEMORY_PICTURES = 24
THINGSVISION = (
    "thingsvision: not measured. Version 2.7.3 asks for torchvision==0.15.2, numpy<2 and"
    " safetensors<0.6, so it cannot be installed beside the torchvision>=0.26 of this project."
)


def measure(
    setup: Setup,
    *,
    net: str = "vgg16@random:0",
    peer: Callable[[], nn.Module] = lambda: torchvision.models.vgg16(init_weights=False),
    scales: tuple[int, ...] = (256, 384, 512),
    num_pictures: int | None = None,
    num_bf16: int | None = None,
    memory_net: str = MEMORY_NET,
    memory_pictures: int | None = MEMORY_PICTURES,
) -> SpeedResult:
    """Pictures a second, the distance of descriptors, the share of the matrix product's speed.

    peer builds a net of the same shape in torchvision's layout, which loads the same weights. In
    bf16 num_bf16 pictures are extracted, each file several times.
    """
    device = setup.device
    num_bf16 = num_bf16 or num_pictures or NUM_BF16[device]
    pictures = write_photographs(setup.folder / "pictures", num_pictures or NUM_PICTURES[device])
    many = _repeated(pictures, num_bf16)
    network = load_network(net)
    usual = _usual_way(network, peer(), scales, device)
    fp32, bf16 = (
        _ours(network, chosen, setup, Extraction(scales=scales, device=device, precision=precision))
        for precision, chosen in (("fp32", pictures), ("bf16", many))
    )
    reference = Contender(USUAL, lambda: usual(pictures), len(pictures), "pictures/s")
    products = [matrix_product(precision, device) for precision in ("fp32", "bf16")]
    decoding = jpeg_decoding(list(pictures.values()))
    timings = time_interleaved([reference, fp32, bf16, *products, decoding], setup.repeats)
    on_cpu = device == "cpu"
    rows = [speed_row(timings[USUAL], device)]
    goals = (None, None), (FASTER, None) if on_cpu else (None, GPU_SHARE)
    runs = zip((fp32, bf16), (pictures, many), products, goals, strict=True)
    for ours, extracted, product, (faster, share) in runs:
        mine, theirs, limit = (timings[name] for name in (ours.name, USUAL, product.name))
        rows += [
            speed_row(mine, device, peer=theirs, goal=faster),
            _distance_row(mine, theirs, pictures, scales, device),
            share_row(mine, _teraflop(network, extracted, scales), limit, device, goal=share),
        ]
    if on_cpu:
        rows.append(cuda_only_row(bf16.name, product_name("bf16"), GPU_SHARE))
        if memory_pictures:
            rows.append(_memory_row(memory_net, scales, pictures, memory_pictures, setup))
    settings = {
        "net": net, "scales": list(scales), "mirror": True, "pictures": len(pictures),
        "pictures_bf16": len(many), "memory_net": memory_net,
        "teraflop_per_picture": _teraflop(network, pictures, scales) / len(pictures),
    }  # fmt: skip
    return SpeedResult(
        settings=settings,
        rows=rows,
        limits=[
            *(speed_row(timings[product.name], device) for product in products),
            speed_row(timings[decoding.name], "cpu"),
        ],
        notes=[THINGSVISION],
    )


def _teraflop(network: Network, pictures: Mapping[str, Path], scales: tuple[int, ...]) -> float:
    """Operations of extracting the pictures with their mirror images, in 10^12."""
    sizes = [picture_size(path) for path in pictures.values()]
    return flops.count_descriptors(network.module, sizes, scales, mirror=True) / TERA


def _repeated(pictures: Mapping[str, Path], number: int) -> dict[str, Path]:
    """So many pictures: these, and further ones of the same files in turn."""
    paths = list(pictures.values())
    further = {f"{n:05d}": paths[n % len(paths)] for n in range(len(paths), number)}
    return dict(pictures) | further


def _usual_way(
    network: Network, peer_net: nn.Module, scales: tuple[int, ...], device: str
) -> UsualWay:
    """The usual way with the network's weights."""
    peer_net.load_state_dict(network.net().state_dict())
    return UsualWay(peer_net, network.statistics, scales, device)


def _ours(
    network: Network, pictures: Mapping[str, Path], setup: Setup, options: Extraction
) -> Contender:
    """`extract`, each run into a new feature file, as an existing one is not extracted again."""
    name = f"vggfeat, {options.precision}"
    runs = count()

    def run() -> Extracted:
        folder = setup.folder / f"{options.precision}-{next(runs)}"
        return extract("photographs", pictures, network, options, folder=folder)

    return Contender(name, run, len(pictures), "pictures/s")


def _distance_row(
    ours: Timings,
    theirs: Timings,
    pictures: Mapping[str, Path],
    scales: tuple[int, ...],
    device: str,
) -> Row:
    """The row of the largest cosine distance between our descriptors and the peer's."""
    a, b = store.read(ours.result.path, list(pictures), scales), theirs.result  # [N, S, D]
    cosines = (a * b).sum(2) / (np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2))
    return Row(
        contender=ours.contender.name,
        quantity=f"1 - cosine to {USUAL}, largest",
        device=device,
        value=Spread.of([np.maximum(0, 1 - cosines.min())]),  # NaN stays NaN
        goal=NEAR,
    )


def _memory_row(
    net: str, scales: tuple[int, ...], pictures: Mapping[str, Path], number: int, setup: Setup
) -> Row:
    """The row of the peak memory with four times `number` pictures over that with `number`."""
    paths = list(pictures.values())
    peaks = []
    for times in (1, 4):
        chosen = {str(i): paths[i % len(paths)] for i in range(times * number)}
        folder = setup.folder / f"memory-{times}"
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            peaks.append(pool.submit(_peak_bytes, net, scales, chosen, folder).result())
    quantity = f"peak memory of {4 * number} pictures over that of {number}"
    is_measured = None not in peaks
    return Row(
        contender="vggfeat, fp32",
        quantity=quantity,
        device="cpu",
        value=Spread.of([peaks[1] / peaks[0]]) if is_measured else None,
        goal=BOUNDED,
        note="" if is_measured else "only Linux reports it",
    )


def _peak_bytes(
    net: str, scales: tuple[int, ...], pictures: Mapping[str, Path], folder: Path
) -> int | None:
    """Peak memory of an extraction; to be called in a new process."""
    options = Extraction(scales=scales, device="cpu", precision="fp32")
    extract("photographs", pictures, load_network(net), options, folder=folder)
    return peak_bytes()
