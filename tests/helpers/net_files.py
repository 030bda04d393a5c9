"""Weights files of narrow nets with random weights: what `pretrain` exports, without training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from vggfeat import vgg
from vggfeat.weights.checkpoint import Card

CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox")
# Not scaled, as the paper has it: the scores are of the order of 1, so that posteriors differ.
MEAN, STD = (120.0, 110.0, 100.0), (1.0, 1.0, 1.0)


def write_net(
    path: Path,
    classes: Sequence[str] = CLASSES,
    *,
    name: str = "vgg11",
    input_size: int = 32,
    seed: int = 0,
    num_outputs: int | None = None,
    has_card: bool = True,
    training: dict[str, Any] | None = None,
) -> Path:
    """A file of random weights; `training` is what its card says of how they were made."""
    net = vgg.build(
        name, width=0.0625, input_size=input_size, num_classes=num_outputs or len(classes)
    )
    vgg.initialise(net, "glorot", seed=seed)
    card = Card(
        net=f"{name}:width=0.0625,input_size={input_size}",
        classes=tuple(classes),
        mean=MEAN,
        std=STD,
        training={} if training is None else training,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), path, card.metadata() if has_card else {})
    return path
