"""PASCAL VOC 2012 classification: scored on `val`; `test` is for the evaluation server."""

from vggfeat.benchmarks.datasets.definition import IN_PAPER, DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.voc_protocol import (
    CLASSES,
    VOC_SCALES,
    VocProtocol,
    voc_benchmark,
    voc_mirrors,
)
from vggfeat.benchmarks.sources.distribution import Distribution

# The evaluation server hands the test pictures to its users; only its archive needs them.
VOC2012_DISTRIBUTION = Distribution(
    name="voc2012",
    folder="VOC2012",
    marker="ImageSets",
    archives=(
        voc_mirrors(
            "voc2012",
            "VOCtrainval_11-May-2012.tar",
            1_999_639_040,
            "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        ),
    ),
    manual_archives=("VOC2012test.tar",),
    evidence={"VOC2012test.tar": "ImageSets/Main/test.txt"},
)
# Pictures with an instance that is not difficult, in the order of CLASSES.
TRAIN = (
    327, 268, 395, 260, 365, 213, 590, 539, 566, 151, 269, 632, 237, 265, 1994, 269, 171, 257, 273,
    290,
)  # fmt: skip
VAL = (
    343, 284, 370, 248, 341, 208, 571, 541, 553, 152, 269, 654, 245, 261, 2093, 258, 154, 250, 271,
    285,
)  # fmt: skip

VOC2012 = DatasetDefinition(
    name="voc2012",
    title="VOC-2012",
    about="20 classes, several in a picture; scored on val",
    num_pictures=11540,
    source=VOC2012_DISTRIBUTION,
    build=voc_benchmark,
    protocol=VocProtocol(metric="map_area", test_is_public=False),
    scales=VOC_SCALES,
    known_counts=(
        KnownCounts(
            set="train",
            total=5717,
            classes=dict(zip(CLASSES, TRAIN, strict=True)),
            source="devkit documentation 2012, table 1",
        ),
        KnownCounts(
            set="val",
            total=5823,
            classes=dict(zip(CLASSES, VAL, strict=True)),
            source="devkit documentation 2012, table 1",
        ),
        KnownCounts(set="test", total=10991, classes={}, source="TensorFlow Datasets"),
    ),
    in_paper=True,
    group=IN_PAPER,
    # "Database rights" on the challenge's pages.
    licence="Flickr's terms of use",
)
