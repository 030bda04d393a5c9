"""Synthetic scenes and the actions in them, in PASCAL VOC's layout and by its protocols.

They need no download, so that every part of the toolkit can be tried on a fresh machine. They run
through the code of PASCAL VOC with pictures on disk; they say nothing about photographs.
"""

from pathlib import Path

from vggfeat.benchmarks.datasets.definition import MADE, DatasetDefinition
from vggfeat.benchmarks.datasets.synthetic_drawing import (
    SHAPES,
    write_action_lists,
    write_devkit,
)
from vggfeat.benchmarks.protocols.voc_action_protocol import ActionProtocol, actions_benchmark
from vggfeat.benchmarks.protocols.voc_protocol import VocProtocol, voc_benchmark
from vggfeat.benchmarks.sources.generated import Generated

CLASSES = tuple(f"{colour}_{shape}" for colour in ("red", "green") for shape in SHAPES)
# The shapes as people; those of the last class do something else.
ACTIONS = tuple(f"being_a_{name}" for name in CLASSES[:-1])


def write_scenes(root: Path) -> None:
    """Write a devkit of 150 scenes a set with the lists of both tasks."""
    scenes = write_devkit(root, CLASSES, {"train": 150, "val": 150, "test": 150})
    write_action_lists(root, scenes, ACTIONS)


SOURCE = Generated(name="synthetic_scenes", version=1, write=write_scenes)
SYNTHETIC_SCENES = DatasetDefinition(
    name="synthetic_scenes",
    title="Synthetic scenes",
    about="8 classes of shapes, several in a picture",
    num_pictures=450,
    source=SOURCE,
    build=voc_benchmark,
    protocol=VocProtocol(metric="map_11pt", classes=CLASSES, test_is_public=True),
    scales=(48, 72),
    group=MADE,
    licence="drawn by vggfeat",
)
SYNTHETIC_ACTIONS = DatasetDefinition(
    name="synthetic_actions",
    title="Synthetic actions",
    about="7 actions of shapes in the same pictures, with boxes",
    num_pictures=450,
    source=SOURCE,
    features_of=SYNTHETIC_SCENES.name,
    build=actions_benchmark,
    protocol=ActionProtocol(
        with_box=True,
        actions=ACTIONS,
        server_file="results/synthetic/comp10_action_test_{}.txt",
    ),
    scales=SYNTHETIC_SCENES.scales,
    group=MADE,
    licence="drawn by vggfeat",
)
