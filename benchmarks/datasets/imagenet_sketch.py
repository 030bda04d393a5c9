"""ImageNet-Sketch: black and white sketches of ImageNet's 1,000 classes; trained on ImageNet."""

from functools import partial

from vggfeat.benchmarks.datasets.definition import IMAGENET as GROUP
from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.datasets.imagenet import BY_HAND, IMAGENET, LAST_CLASS, TRAIN, TRAIN_BYTES
from vggfeat.benchmarks.protocols.imagenet_sets import read_test_set
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part

FOLDER = "sketch"

IMAGENET_SKETCH = DatasetDefinition(
    name="imagenet_sketch",
    title="ImageNet-Sketch",
    about="sketches of ImageNet's classes",
    num_pictures=1_281_167 + 50_889,
    source=LoaderRoot(
        name="imagenet_sketch",
        parts=(
            TRAIN,
            Part(FOLDER, marker=LAST_CLASS, archives=("ImageNet-Sketch.zip",)),
        ),
        by_hand=(
            f"{BY_HAND} The readme of HaohanWang/ImageNet-Sketch links its zip on Google Drive."
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=partial(read_test_set, folder=FOLDER),
        facts={"training_pictures": "ImageNet's"},
    ),
    scales=(256,),
    features_of=IMAGENET.name,
    known_counts=(KnownCounts(set="test", total=50_889, source="TensorFlow Datasets"),),
    group=GROUP,
    disk_bytes=TRAIN_BYTES
    + 8_400_000_000,  # the tar of ImageNet's training pictures, and its own by its readme
)
