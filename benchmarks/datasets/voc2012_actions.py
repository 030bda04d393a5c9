"""PASCAL VOC 2012 actions in both settings of the paper: the whole picture, and with the box."""

from dataclasses import replace

from vggfeat.benchmarks.datasets.definition import IN_PAPER, DatasetDefinition, KnownCounts
from vggfeat.benchmarks.datasets.voc2012 import VOC2012_DISTRIBUTION
from vggfeat.benchmarks.protocols.voc_action_protocol import (
    ACTIONS,
    ActionProtocol,
    actions_benchmark,
)
from vggfeat.benchmarks.protocols.voc_protocol import VOC_SCALES

# People who do it, in the order of ACTIONS.
TRAIN = (
    247, 228, 309, 264, 289, 266, 280, 227, 237, 298,
)  # fmt: skip
VAL = (
    248, 229, 310, 266, 289, 268, 281, 229, 239, 299,
)  # fmt: skip

WHOLE_PICTURE = DatasetDefinition(
    name="voc2012_actions",
    title="VOC-2012 actions, image",
    about="10 actions of 6,278 people; the whole picture",
    num_pictures=4588,
    source=VOC2012_DISTRIBUTION,
    features_of="voc2012",
    build=actions_benchmark,
    protocol=ActionProtocol(with_box=False),
    scales=VOC_SCALES,
    known_counts=(
        KnownCounts(
            set="train",
            total=3134,
            classes=dict(zip(ACTIONS, TRAIN, strict=True)),
            source="devkit documentation 2012, table 3; people",
        ),
        KnownCounts(
            set="val",
            total=3144,
            classes=dict(zip(ACTIONS, VAL, strict=True)),
            source="devkit documentation 2012, table 3; people",
        ),
    ),
    in_paper=True,
    group=IN_PAPER,
    # "Database rights" on the challenge's pages.
    licence="Flickr's terms of use",
)
PICTURE_AND_BOX = replace(
    WHOLE_PICTURE,
    name="voc2012_actions_box",
    title="VOC-2012 actions, image and box",
    about="the same; the whole picture and the person's box",
    num_crops=6278,
    protocol=ActionProtocol(with_box=True),
)
