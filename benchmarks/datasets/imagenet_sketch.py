"""ImageNet-Sketch: black and white sketches of ImageNet's 1,000 classes; trained on ImageNet."""

from vggfeat.benchmarks.datasets.definition import KnownCounts
from vggfeat.benchmarks.datasets.imagenet import BY_HAND, LAST_CLASS, other_test_set
from vggfeat.benchmarks.sources.loader_root import Part

IMAGENET_SKETCH = other_test_set(
    "imagenet_sketch",
    title="ImageNet-Sketch",
    about="sketches of ImageNet's classes",
    pictures=Part("sketch", marker=LAST_CLASS, archives=("ImageNet-Sketch.zip",)),
    disk_bytes=8_400_000_000,  # by its readme
    tested=KnownCounts(set="test", total=50_889, source="TensorFlow Datasets"),
    facts={"training_pictures": "ImageNet's"},
    by_hand=f"{BY_HAND} The readme of HaohanWang/ImageNet-Sketch links its zip on Google Drive.",
)
