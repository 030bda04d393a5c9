"""A small training run that several test modules build on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from helpers.pictures import write_classes
from vggfeat.layouts.boxes import with_boxes
from vggfeat.layouts.imagenet import open_pictures
from vggfeat.pretraining.box_recipes import BoxRecipe
from vggfeat.pretraining.colours import Colours
from vggfeat.pretraining.recipes import STAGES
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.pretraining.train import StageSpec, TrainedNet, train

COLOURS = Colours(
    mean=(120.0, 110.0, 100.0),
    eigenvalues=(0.2, 0.02, 0.004),
    eigenvectors=((0.57, 0.58, 0.58), (-0.72, 0.0, 0.69), (0.4, -0.81, 0.42)),
)
# 3 classes, 23 training pictures: batches of 8, 8 and 7.
RECIPE = replace(
    STAGES["vgg11-256"].recipe(),
    width=0.0625,
    input_size=32,
    scales=(36, 44),
    init="glorot",
    batch_size=8,
    epochs=2,
)
FP32 = RuntimeOptions(device="cpu", precision="fp32")


def write_pictures(root: Path) -> Path:
    write_classes(root / "train", {"ant": 8, "bee": 8, "cat": 7})
    write_classes(root / "val", {"ant": 3, "bee": 2, "cat": 2})
    return root


def run(root: Path, folder: Path, recipe=RECIPE, *, runtime=FP32, **rest) -> TrainedNet:
    """Train on the pictures of `root`; the rest are fields of StageSpec."""
    pictures = open_pictures(root)
    if isinstance(recipe, BoxRecipe):
        pictures = with_boxes(pictures)
    spec = StageSpec(
        recipe=recipe, pictures=pictures, colours=COLOURS, folder=folder,
        begun_with={"recipe": recipe.decisive()}, runtime=runtime, **rest,
    )  # fmt: skip
    return train(spec)


def weights(net: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in net.state_dict().items()}


def same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def largest_difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Relative to the largest weight of the layer, unless all are zero."""
    assert one.keys() == other.keys()
    return max(np.abs(one[k] - other[k]).max() / (np.abs(one[k]).max() or 1.0) for k in one)
