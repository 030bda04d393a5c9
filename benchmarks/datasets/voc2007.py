"""PASCAL VOC 2007 classification: trained on `trainval`, scored on `test`."""

from vggfeat.benchmarks.datasets.definition import IN_PAPER, DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.voc_protocol import (
    CLASSES,
    VOC_SCALES,
    VocProtocol,
    voc_benchmark,
    voc_mirrors,
)
from vggfeat.benchmarks.sources.distribution import Distribution

# Pictures with an instance that is not difficult, in the order of CLASSES.
TRAIN = (
    112, 116, 180, 81, 139, 97, 376, 163, 224, 69, 97, 203, 139, 120, 1025, 133, 48, 111, 127, 128,
)  # fmt: skip
VAL = (
    126, 127, 150, 100, 105, 89, 337, 174, 221, 72, 103, 218, 148, 125, 983, 112, 48, 118, 134, 128,
)  # fmt: skip
TEST = (
    204, 239, 282, 172, 212, 174, 721, 322, 417, 127, 190, 418, 274, 222, 2007, 224, 97, 223, 259,
    229,
)  # fmt: skip

VOC2007 = DatasetDefinition(
    name="voc2007",
    title="VOC-2007",
    about="20 classes, several in a picture",
    num_pictures=9963,
    source=Distribution(
        name="voc2007",
        folder="VOC2007",
        marker="ImageSets",
        archives=(
            voc_mirrors(
                "voc2007",
                "VOCtrainval_06-Nov-2007.tar",
                460_032_000,
                "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
            ),
            voc_mirrors(
                "voc2007",
                "VOCtest_06-Nov-2007.tar",
                451_020_800,
                "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
            ),
        ),
        parts=("ImageSets/Main/train.txt", "ImageSets/Main/test.txt"),
        evidence={"VOCtest_06-Nov-2007.tar": "ImageSets/Main/test.txt"},
    ),
    build=voc_benchmark,
    protocol=VocProtocol(metric="map_11pt", test_is_public=True),
    scales=VOC_SCALES,
    known_counts=(
        KnownCounts(
            set="train",
            total=2501,
            classes=dict(zip(CLASSES, TRAIN, strict=True)),
            source="devkit documentation 2007, table 1",
        ),
        KnownCounts(
            set="val",
            total=2510,
            classes=dict(zip(CLASSES, VAL, strict=True)),
            source="devkit documentation 2007, table 1",
        ),
        KnownCounts(
            set="test",
            total=4952,
            classes=dict(zip(CLASSES, TEST, strict=True)),
            source="the lists of the test archive",
        ),
    ),
    in_paper=True,
    group=IN_PAPER,
    # "Database rights" on the challenge's pages.
    licence="Flickr's terms of use",
)
