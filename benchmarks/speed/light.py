"""Descriptors of light nets on a CPU: `extract`, with and without fused layers, and the usual way.

Every round has other pictures, most of them of a shape that no picture before had: kernels for new
shapes are part of what is timed.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision import transforms

from vggfeat.backbones.load import load_network
from vggfeat.backbones.network import Network
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Row,
    Setup,
    SpeedResult,
    Spread,
    speed_row,
    time_interleaved,
)
from vggfeat.benchmarks.speed.usual import NAME as USUAL
from vggfeat.benchmarks.speed.usual import prepared
from vggfeat.costs.photographs import varied_sizes, write_photographs
from vggfeat.features import store
from vggfeat.features.extract import Extracted, extract
from vggfeat.features.inference import layer_by_layer
from vggfeat.features.options import Extraction
from vggfeat.features.views import views_of

TIMM = ":mean=127.5/127.5/127.5,std=127.5/127.5/127.5@random:0"
NETS = (
    "squeezenet1_0@random:0",
    "mobilenet_v2@random:0",
    "timm/tf_efficientnet_lite0" + TIMM,
    "resnet50@random:0",
    "timm/vit_small_patch16_224" + TIMM,
)
OURS, PLAIN = "vggfeat", "vggfeat, layer by layer"


def measure(
    setup: Setup,
    *,
    nets: Sequence[str] = NETS,
    scales: tuple[int, ...] = (256, 384),
    num_pictures: int = 48,
) -> SpeedResult:
    """Pictures a second of each net, in the precision that `auto` is, and of the usual way."""
    rounds = [
        write_photographs(
            setup.folder / f"round-{number}",
            num_pictures,
            sizes=varied_sizes(num_pictures, seed=number),
        )
        for number in range(setup.repeats + 1)
    ]
    is_there = find_spec("timm") is not None
    options = Extraction(scales=scales, device="cpu")
    rows = []
    measured = [net for net in nets if is_there or not net.startswith("timm/")]
    for net in measured:
        rows += _rows(net, rounds, options, setup)
    return SpeedResult(
        settings={
            "nets": measured,
            "scales": list(scales),
            "mirror": True,
            "pictures": num_pictures,
            "precision": options.resolved_precision,
        },
        rows=rows,
        notes=[] if is_there else ["nets of timm: not measured, as timm is not installed"],
    )


def _rows(
    net: str, rounds: Sequence[Mapping[str, Path]], options: Extraction, setup: Setup
) -> list[Row]:
    network = load_network(net)
    name = network.backbone.spec.name
    contenders = [
        _usual_way(f"{name}, {USUAL}", network, rounds, options.scales),
        _ours(f"{name}, {PLAIN}", network, rounds, options, setup, fused=False),
        _ours(f"{name}, {OURS}", network, rounds, options, setup, fused=True),
    ]
    usual, plain, ours = time_interleaved(contenders, setup.repeats).values()
    first = list(rounds[-1])
    vectors = [store.read(done.result.path, first, options.scales) for done in (plain, ours)]
    return [
        speed_row(usual, "cpu"),
        speed_row(plain, "cpu", peer=usual),
        speed_row(ours, "cpu", peer=usual),
        speed_row(ours, "cpu", peer=plain),
        Row(
            contender=ours.contender.name,
            quantity=f"1 - cosine to {PLAIN}, largest",
            device="cpu",
            value=Spread.of([np.maximum(0, 1 - _cosines(*vectors).min())]),
        ),
    ]


def _ours(
    name: str,
    network: Network,
    rounds: Sequence[Mapping[str, Path]],
    options: Extraction,
    setup: Setup,
    *,
    fused: bool,
) -> Contender:
    """`extract` of a round's pictures into a new feature file."""
    number = count()

    def run() -> Extracted:
        current = next(number)
        folder = setup.folder / "features" / f"{network.slug}-{fused}-{current}"
        with nullcontext() if fused else layer_by_layer():
            return extract("photographs", rounds[current], network, options, folder=folder)

    return Contender(name, run, len(rounds[0]), "pictures/s")


def _usual_way(
    name: str, network: Network, rounds: Sequence[Mapping[str, Path]], scales: Sequence[int]
) -> Contender:
    """One picture, scale and mirror image after the other in float32, channels first."""
    number = count()
    module = network.module
    mean, std = ([v / 255 for v in values] for values in vars(network.statistics).values())
    normalise = transforms.Normalize(mean, std)

    def descriptor(path: Path, scale: int) -> Tensor:
        (image,) = views_of(network, normalise(prepared(path, scale))[None])
        return sum(module(view).mean(dim=(2, 3))[0] for view in (image, image.flip(3))) / 2

    @torch.inference_mode()
    def run() -> np.ndarray:
        pictures = rounds[next(number)].values()
        return np.stack([[descriptor(p, s).numpy() for s in scales] for p in pictures])

    return Contender(name, run, len(rounds[0]), "pictures/s")


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of vectors [N, S, D]."""
    return (a * b).sum(2) / (np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2))
