"""ImageNetV2, matched frequency: ImageNet's test set collected again; trained on ImageNet.

Its class folders are the numbers of the classes in the order of their WordNet ids.
"""

from vggfeat.benchmarks.datasets.definition import KnownCounts
from vggfeat.benchmarks.datasets.imagenet import other_test_set
from vggfeat.benchmarks.protocols.imagenet_sets import numbered_class
from vggfeat.benchmarks.sources.loader_root import Part
from vggfeat.storage.sources import Source

SOURCE = Source(
    "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz",
    "sha256",
    "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
    1_264_079_360,
)
IMAGENET_V2 = other_test_set(
    "imagenet_v2",
    title="ImageNetV2",
    about="ImageNet's test set, collected again",
    pictures=Part("imagenetv2-matched-frequency-format-val", (SOURCE,), marker="999"),
    disk_bytes=SOURCE.size,
    tested=KnownCounts(
        set="test", total=10_000, per_class=10, source="readme of modestyachts/ImageNetV2"
    ),
    wordnet_id=numbered_class,
    facts={"training_pictures": "ImageNet's", "test_set": "matched frequency"},
    licence="each photograph's, by Flickr",
)
